"""Which jobs were running, in a small file."""

import json
from collections.abc import Iterable
from pathlib import Path

from odeon_runtime.logs import logger

_log = logger(__name__)


class FileMemory:
    """Implements `ports.Memory`; losing the file costs two seconds at most, never a job."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self) -> list[str]:
        """Names of the jobs."""
        try:
            return [str(job) for job in json.loads(self._path.read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def keep(self, jobs: Iterable[str]) -> None:
        """Remember exactly these."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(list(jobs)))
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("memory_not_kept", error=str(error))
