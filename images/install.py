"""Put what an image needs below a folder that becomes a layer of it.

`install.py requirements NAME FOLDER`: the Python packages that images/requirements/NAME.txt names,
with the versions and hashes of requirements.txt. `install.py code NAME FOLDER`: our own code, as
images/services.toml has it. `install.py image SERVICE FOLDER`: both, of everything that the image
of a service holds. Only the standard library is needed, and pip or uv (`ODEON_PIP`: "uv pip").
"""

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent
PACKAGES = "usr/local/lib/python3.11/dist-packages"
"""Where Debian's Python looks for what is not Debian's."""
PROGRAM = "usr/local/bin/odeon-service"
"""What images run; one name, since a Dockerfile's ENTRYPOINT takes no arguments."""


def pins() -> dict[str, str]:
    """The lines of requirements.txt by the names of packages."""
    found: dict[str, str] = {}
    name = ""
    for line in (SOURCE / "requirements.txt").read_text().splitlines():
        if line.startswith(" "):
            found[name] += f"{line}\n"
        elif "==" in line:
            name = line.partition("==")[0]
            # One package has several versions where Pythons differ.
            found[name] = found.get(name, "") + f"{line}\n"
    return found


def install_requirements(name: str, root: Path) -> None:
    """Install the packages of one list, and nothing that is not pinned."""
    known = pins()
    names = (HERE / "requirements" / f"{name}.txt").read_text().split()
    pip = os.environ.get("ODEON_PIP", f"{sys.executable} -m pip").split()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as chosen:
        chosen.write("".join(known[each] for each in names))
        chosen.flush()
        subprocess.run(
            [
                *(*pip, "install", "--quiet", "--target", str(root / PACKAGES)),
                *("--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", chosen.name),
            ],
            check=True,
        )
    # Their starters name the Python that installed them.
    shutil.rmtree(root / PACKAGES / "bin", ignore_errors=True)
    compile_below(root)


def install_code(name: str, root: Path) -> None:
    """Copy what one entry of services.toml names, and make what runs it."""
    about = entries()[name]
    for package in about.get("packages", ()):
        copy(SOURCE / package, root / PACKAGES / Path(package).name)
    for source, target in about.get("files", {}).items():
        copy(SOURCE / source, root / target)
    if command := about.get("command"):
        program = root / PROGRAM
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)
        for link in about.get("links", ()):
            (root / link).symlink_to(f"/{PROGRAM}")
    compile_below(root)


def install_image(service: str, root: Path) -> None:
    """Everything of a service, as layers on layers have it."""
    about = entries()[service]
    for name in about.get("requirements", ()):
        install_requirements(name, root)
    for name in (*about.get("on", ()), service):
        install_code(name, root)


def entries() -> dict[str, dict[str, Any]]:
    """services.toml."""
    return tomllib.loads((HERE / "services.toml").read_text())


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder without its tests and caches."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        left_out = shutil.ignore_patterns("__pycache__", "tests", ".odeon-stamp")
        shutil.copytree(source, target, ignore=left_out)
    else:
        shutil.copy(source, target)


def compile_below(root: Path) -> None:
    """Make bytecode that is right whatever the time of the source: layers keep no times."""
    compileall.compile_dir(
        root / PACKAGES,
        quiet=2,
        stripdir=str(root),
        prependdir="/",
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


if __name__ == "__main__":
    kind, chosen_name, folder = sys.argv[1:]
    install = {
        "requirements": install_requirements,
        "code": install_code,
        "image": install_image,
    }[kind]
    install(chosen_name, Path(folder))
