"""Which jobs were running, in a small file."""

import json
from collections.abc import Mapping
from pathlib import Path

from odeon_runtime.logs import logger

from odeon_transcoder import messages

_log = logger(__name__)


class FileMemory:
    """Implements `ports.Memory`; losing the file costs two seconds at most, never a job."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self) -> dict[str, messages.Acquire | None]:
        """Jobs by name, with the ladder that each wrote last."""
        try:
            jobs = json.loads(self._path.read_text())
            return {str(job): _ladder(line) for job, line in jobs.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def keep(self, jobs: Mapping[str, messages.Acquire | None]) -> None:
        """Remember exactly these."""
        body = {
            job: messages.encode(ladder).decode() if ladder is not None else ""
            for job, ladder in jobs.items()
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(body))
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("memory_not_kept", error=str(error))


def _ladder(line: str) -> messages.Acquire | None:
    message = messages.decode(line.encode()) if line else None
    return message if isinstance(message, messages.Acquire) else None
