"""Images have the same digest wherever they are made, and hold what is locked."""

import ast
import io
import json
import os
import sys
import tarfile
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from odeon_testkit.images import oci
from odeon_testkit.images.build import SOURCE, STEPS

ENTRIES = tomllib.loads((STEPS / "services.toml").read_text())
LOCKED = {
    line.partition("==")[0]
    for line in (SOURCE / "requirements.txt").read_text().splitlines()
    if "==" in line
}


def made(store: oci.Store, root: Path, key: str) -> oci.Blob:
    return store.layer(key, lambda archive: oci.tree_layer(root, archive))


def test_a_layer_depends_on_what_is_in_it_and_not_on_when_or_by_whom_it_was_made(
    tmp_path: Path,
) -> None:
    store = oci.Store(tmp_path / "store")
    for name, time in (("first", 1_000_000), ("second", 2_000_000)):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
        os.utime(tmp_path / name / "etc" / "hosts", (time, time))

    first = made(store, tmp_path / "first", "a")
    second = made(store, tmp_path / "second", "b")
    (tmp_path / "second" / "etc" / "hosts").chmod(0o600)

    assert first == second
    assert made(store, tmp_path / "second", "b") == first
    assert made(store, tmp_path / "second", "c") != first


def test_an_archive_holds_every_image_and_each_shared_layer_once(tmp_path: Path) -> None:
    store = oci.Store(tmp_path / "store")
    (tmp_path / "root").mkdir()
    layer = made(store, tmp_path / "root", "a")
    names = ["docker.io/odeon/room:1", "docker.io/odeon/auth:1"]
    images = [
        store.image(name, (layer,), oci.Config(entrypoint=(name,), environment={"A": "b"}))
        for name in names
    ]
    written = io.BytesIO()

    store.write_archive(images, written)

    written.seek(0)
    with tarfile.open(fileobj=written) as archive:
        index = json.load(archive.extractfile("index.json") or io.BytesIO())
        members = archive.getnames()
    found = [m["annotations"]["io.containerd.image.name"] for m in index["manifests"]]
    assert found == names
    assert members.count(f"blobs/sha256/{layer.digest}") == 1
    assert len(members) == 2 + 1 + 2 * 2


def test_what_nobody_used_for_long_is_forgotten_and_made_again(tmp_path: Path) -> None:
    store = oci.Store(tmp_path / "store")
    for name in ("old", "used"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    old, used = (made(store, tmp_path / name, name) for name in ("old", "used"))
    for file in (tmp_path / "store").glob("*/*"):
        os.utime(file, (1, 1))
    assert made(store, tmp_path / "used", "used") == used

    store.forget(unused_s=3600)

    kept = {file.name for file in (tmp_path / "store").glob("*/*")}
    assert kept == {"used", used.digest}
    assert made(store, tmp_path / "old", "old") == old


def test_a_key_changes_with_names_contents_and_modes_and_not_with_bytecode(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    keys = [oci.key_of("x", tmp_path)]
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("1")
    assert oci.key_of("x", tmp_path) == keys[0]

    (tmp_path / "a.py").write_text("2")
    keys.append(oci.key_of("x", tmp_path))
    (tmp_path / "a.py").chmod(0o755)
    keys.append(oci.key_of("x", tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    keys.append(oci.key_of("x", tmp_path))

    assert len(set(keys)) == 4


@pytest.mark.parametrize("name", [p.stem for p in sorted((STEPS / "requirements").iterdir())])
def test_requirements_of_images_are_locked_and_none_is_for_development(name: str) -> None:
    listed = (STEPS / "requirements" / f"{name}.txt").read_text().split()

    assert listed
    assert set(listed) <= LOCKED
    assert not {"pytest", "mypy", "ruff", "maturin", "playwright", "chdb"} & set(listed)


def test_every_deployable_has_an_image() -> None:
    folders = {p.name for p in (SOURCE / "services").iterdir() if p.is_dir()}
    images = {name for name, about in ENTRIES.items() if "command" in about}

    assert images == folders | {"operator", "cli"}
    for about in ENTRIES.values():
        assert all((SOURCE / package).is_dir() for package in about.get("packages", ()))


# Imported only where they were added by hand.
OPTIONAL = {"chdb", "matplotlib"}
# What tests import of the test kit, which the CLI's image has for its test card and its players.
OF_TESTS = "libs/testkit/odeon_testkit"


def imported(folder: Path) -> set[str]:
    """Top-level modules that the files of a package import, also within functions."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return {name.partition(".")[0] for name in found}


@pytest.mark.parametrize("service", [n for n, about in ENTRIES.items() if "requirements" in about])
def test_an_image_has_every_package_that_its_own_code_imports(service: str) -> None:
    about = ENTRIES[service]
    below = [folder for name in about["on"] for folder in ENTRIES[name]["packages"]]
    ours = {Path(folder).name for folder in (*below, *about["packages"])}
    listed = {
        name
        for chosen in about["requirements"]
        for name in (STEPS / "requirements" / f"{chosen}.txt").read_text().split()
    }
    distributions = packages_distributions()

    missing = {
        module
        for folder in about["packages"]
        if folder != OF_TESTS
        for module in imported(SOURCE / folder) - sys.stdlib_module_names - ours - OPTIONAL
        if not {d.lower().replace("_", "-") for d in distributions.get(module, ())} & listed
    }

    assert missing == set()
