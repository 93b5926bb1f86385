"""Servers that are had as Go modules only: built once, kept in the user's cache, used by tests."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

_BUILD_S = 3600.0
_PINS = ("go.mod", "go.sum")


class GoMissing(Exception):
    """The programs are not built, and there is no Go to build them."""


@dataclass(frozen=True, slots=True)
class GoPrograms:
    """Programs that are built together.

    Attributes:
        name: of the whole, with its version; builds of different names or pins live side by side.
        packages: what to build, by the name that Go gives the program. A package that no `module`
            pins is followed by `@version`.
        module: folder of a go.mod and a go.sum that pin everything that is built, and of programs
            of our own.
        ldflags: for the linker, e.g. to tell a program its version.
        renamed: programs that are to have another name than Go gives them.
    """

    name: str
    packages: tuple[str, ...]
    module: Path | None = None
    ldflags: str = ""
    renamed: Mapping[str, str] | None = None

    @property
    def folder(self) -> Path:
        """Where the programs are, or will be."""
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache = Path(os.environ.get("ODEON_CACHE") or Path(home) / "odeon")
        what = sha256(repr((self.packages, self.ldflags)).encode())
        if self.module:
            pins = (self.module / pin for pin in _PINS)
            for file in (*pins, *sorted(self.module.rglob("*.go"))):
                what.update(file.read_bytes())
        return cache / "go" / f"{self.name}-{what.hexdigest()[:8]}"

    @property
    def built(self) -> bool:
        """Whether they are there."""
        return self.folder.exists()

    def build(self) -> Path:
        """Build them unless they are there (minutes); returns their folder.

        Whoever asks meanwhile waits, so that nothing is built twice.

        Raises:
            GoMissing: with what to install.
        """
        folder = self.folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                self._install(folder)
        return folder

    def _install(self, folder: Path) -> None:
        go = shutil.which("go")
        if go is None:
            raise GoMissing(f"Go is missing: install it (go.dev/dl), which builds {self.name}")
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            target = Path(work) / "bin"
            env = {**os.environ, "GOBIN": str(target), "CGO_ENABLED": "0", "GOWORK": "off"}
            # Without `-s -w` linking takes longer and the programs are a third larger.
            flags = ("-trimpath", f"-ldflags=-s -w {self.ldflags}")
            command = [go, "install", *flags, *self.packages]
            where = self.module or work
            subprocess.run(command, env=env, check=True, timeout=_BUILD_S, cwd=where)
            for old, new in (self.renamed or {}).items():
                (target / old).rename(target / new)
            target.replace(folder)
