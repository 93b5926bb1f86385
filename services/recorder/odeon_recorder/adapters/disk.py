"""The few file operations that durability rests on. Blocking: callers use threads."""

import os
import shutil
from pathlib import Path


class Disk:
    """Positional writes that are on the disk when they return.

    The underscored steps are what a crash can fall between; tests cut there.
    """

    def write(self, path: Path, data: bytes, *, offset: int = 0) -> None:
        """Write at `offset` and fdatasync; a new file's folder is synced, too."""
        fresh = not path.exists()
        if fresh:
            path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            self._pwrite(fd, data, offset)
            self._sync(fd)
        finally:
            os.close(fd)
        if fresh:
            self._sync_folder(path.parent)

    def replace(self, path: Path, data: bytes) -> None:
        """Replace a file's content as a whole."""
        self.stage(path, data)
        self.adopt(path)
        self.settle(path.parent)

    def stage(self, path: Path, data: bytes) -> None:
        """The first step of `replace`: write the new content beside the old."""
        fresh = _staged(path)
        fresh.unlink(missing_ok=True)
        self.write(fresh, data)

    def adopt(self, path: Path) -> None:
        """The second step: everyone sees the new content, but a power cut may undo it."""
        self._rename(_staged(path), path)

    def settle(self, folder: Path) -> None:
        """The last step: what was adopted in `folder` stays."""
        self._sync_folder(folder)

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file; a missing one is left missing."""
        if path.exists() and path.stat().st_size > size:
            os.truncate(path, size)

    def read(self, path: Path, *, offset: int = 0, size: int = -1) -> bytes | None:
        """Bytes of a file, fewer at its end; None if it does not exist."""
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except FileNotFoundError:
            return None

    def free_bytes(self, path: Path) -> int:
        """Room left on the disk that holds `path`."""
        return shutil.disk_usage(path).free

    def _pwrite(self, fd: int, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written

    def _sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def _sync_folder(self, folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _rename(self, old: Path, new: Path) -> None:
        old.rename(new)


def _staged(path: Path) -> Path:
    return path.with_name(path.name + ".new")
