"""Odeon's images, made from the steps in the folder images/ without a Docker engine.

Their layers are shared: base, requirements of all, requirements of one service, code of all, code
of one service. Each is kept in the user's cache under a digest of what it was made from.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from odeon_testkit.images import cache, oci

SOURCE = Path(__file__).resolve().parents[4]
STEPS = SOURCE / "images"
ENVIRONMENT = {
    "HOME": "/tmp",
    "ODEON_DATA_DIR": "/var/lib/odeon",
    "ODEON_GATEWAY_WEB_ROOT": "/usr/share/odeon/web",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}
"""As in the Dockerfile."""
ENTRYPOINT = ("odeon-service",)
_LIMIT_S = 600.0


class StepFailed(Exception):
    """A step of a build failed; the message is what it said."""


@dataclass(frozen=True)
class Builder:
    """Makes images of one version.

    Attributes:
        store: where their layers are kept.
        repository: before the name of each, e.g. "docker.io/odeon".
        tag: of all.
    """

    store: oci.Store
    repository: str = "docker.io/odeon"
    tag: str = "0.1.0"

    @property
    def services(self) -> list[str]:
        """Names of the images."""
        return [name for name, about in self._entries.items() if "command" in about]

    def image(self, service: str) -> oci.Image:
        """The image of a service."""
        about = self._entries[service]
        code = (self._code(name) for name in (*about.get("on", ()), service))
        layers = (*self._below(service), *code)
        config = oci.Config(
            entrypoint=ENTRYPOINT,
            environment=ENVIRONMENT,
            labels={
                "org.opencontainers.image.title": f"odeon-{service}",
                "org.opencontainers.image.version": self.tag,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        )
        return self.store.image(f"{self.repository}/{service}:{self.tag}", layers, config)

    def foundations(self) -> list[oci.Image]:
        """Images of what stands below our own code, which changes seldom."""
        chains = {self._below(service): None for service in self.services}
        nothing = oci.Config(entrypoint=())
        return [
            self.store.image(f"localhost/foundation:{number}", layers, nothing)
            for number, layers in enumerate(chains)
        ]

    def _below(self, service: str) -> tuple[oci.Blob, ...]:
        lists = self._entries[service].get("requirements", ())
        return (self.base, *(self._requirements(name) for name in lists))

    @cached_property
    def base(self) -> oci.Blob:
        """The lowest layer of all; made again when its step changes, not when Debian does."""
        step = STEPS / "base.sh"
        return self.layer(oci.key_of(step), lambda root: _run(step, root))

    def layer(self, key: str, fill: Callable[[Path], None]) -> oci.Blob:
        """A layer of what `fill` puts into the folder that it is given, unless it is kept."""

        def make(archive: Path) -> None:
            root = archive.parent / "root"
            fill(root)
            oci.tree_layer(root, archive)

        return self.store.layer(key, make)

    @cached_property
    def _entries(self) -> dict[str, dict[str, Any]]:
        return tomllib.loads((STEPS / "services.toml").read_text())

    def _requirements(self, name: str) -> oci.Blob:
        chosen, lock = STEPS / "requirements" / f"{name}.txt", SOURCE / "requirements.txt"
        key = oci.key_of("requirements", _INSTALL, chosen, lock)
        return self.layer(key, lambda root: _install("requirements", name, root))

    def _code(self, name: str) -> oci.Blob:
        about = self._entries[name]
        sources = [SOURCE / path for path in (*about.get("packages", ()), *about.get("files", ()))]
        key = oci.key_of("code", repr(about), _INSTALL, *sources)
        return self.layer(key, lambda root: _install("code", name, root))


_INSTALL = STEPS / "install.py"


def _install(kind: str, name: str, root: Path) -> None:
    _run(sys.executable, _INSTALL, kind, name, root)


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        list(map(str, command)),
        cwd=SOURCE,
        env={"ODEON_PIP": f"{_uv()} pip", **os.environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise StepFailed(done.stdout + done.stderr)


def _uv() -> str:
    """uv, which the set-up keeps in the cache where the machine has none."""
    kept = sorted(str(path) for path in cache.folder().glob("uv-*/bin/uv"))
    return shutil.which("uv") or (kept[-1] if kept else "uv")
