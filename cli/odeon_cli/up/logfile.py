"""A child's log: one file, and the one before it when it has grown too large."""

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

LIMIT_BYTES = 32 * 1024 * 1024
_TAIL_BYTES = 16 * 1024


class LogFile:
    """Appends lines; begins a new file at `limit` bytes and keeps one old one.

    Args:
        path: of the file; the old one gets ".1" at its end.
        limit: greatest size in bytes.
    """

    def __init__(self, path: Path, *, limit: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit = limit
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._size = path.stat().st_size

    def __enter__(self) -> Self:
        """The open file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._file.close()

    def write(self, line: bytes) -> None:
        """Append a line; a full disk loses it, and nothing else."""
        try:
            if self._size + len(line) > self._limit:
                self._rotate()
            self._size += self._file.write(line) or 0
        except OSError:
            return

    def _rotate(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file = self._path.open("ab", buffering=0)
        self._size = 0


def last_lines(path: Path, count: int = 12) -> list[str]:
    """The end of a log; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []
