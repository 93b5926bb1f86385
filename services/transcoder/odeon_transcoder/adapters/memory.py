"""Which jobs were running, in a small file."""

import json
from pathlib import Path

from odeon_runtime.logs import logger

_log = logger(__name__)


class FileMemory:
    """Implements `ports.Memory`; losing the file costs two seconds at most, never a job."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self) -> list[str]:
        """Names of jobs."""
        try:
            jobs = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return []
        return [job for job in jobs if isinstance(job, str)] if isinstance(jobs, list) else []

    def keep(self, jobs: list[str]) -> None:
        """Remember exactly these."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(jobs))
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("memory_not_kept", error=str(error))
