"""Settings of the recorder: environment variables `ODEON_RECORDER_*`."""

from pathlib import Path

from odeon_runtime.settings import ServiceSettings
from pydantic_settings import SettingsConfigDict


class RecorderSettings(ServiceSettings):
    """What an operator may decide."""

    model_config = SettingsConfigDict(env_prefix="ODEON_RECORDER_")

    spool_dir: Path | None = None
    """Local disk for what is not archived yet; default `<data dir>/recorder/spool`."""
    archive_url: str = ""
    """Object storage, e.g. "s3://bucket/prefix" or "file:///srv/odeon"; S3 credentials come from
    the usual AWS_* variables. Default: the directory `<data dir>/recorder/archive`."""
    min_free_bytes: int = 512 * 1024 * 1024
    """Below this much free disk, new timelines are refused; running ones use the reserve."""
    spool_keep_s: float = 900.0
    """How long an archived segment stays on the local disk, in seconds; longer serves time-shift
    from disk, shorter saves room."""
    retention_days: float = 0.0
    """Ended timelines older than this are deleted; 0 keeps them for ever."""
    max_part_bytes: int = 16 * 1024 * 1024
    """Greatest part or init section taken in: 16 MiB is 380 Mb/s in a third of a second."""

    @property
    def spool(self) -> Path:
        """Where the spool is."""
        return self.spool_dir or self.data_dir / "recorder" / "spool"

    @property
    def archive(self) -> str:
        """Where the archive is, as a URL."""
        return self.archive_url or (self.data_dir / "recorder" / "archive").absolute().as_uri()
