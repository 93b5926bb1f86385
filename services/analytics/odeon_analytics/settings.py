"""Settings of analytics, from ODEON_ANALYTICS_* variables."""

from odeon_runtime.settings import ServiceSettings
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict


class AnalyticsSettings(ServiceSettings):
    """What an operator may decide."""

    model_config = SettingsConfigDict(
        env_prefix="ODEON_ANALYTICS_", frozen=True, extra="ignore", populate_by_name=True
    )

    store: SecretStr = SecretStr("auto")
    """"sqlite" or "chdb" (both embedded, in the data directory), or a ClickHouse URL such as
    "clickhouse://user:secret@host:8123/odeon". "auto" takes chDB where it is installed
    (`make chdb`, 500 MB), else SQLite; data that is there already decides before that."""
    flush_s: float = Field(default=0.1, gt=0, le=5)
    """How long beacons are gathered before they are stored together, in seconds. Callers wait for
    it, so a refusal is never silent; longer means fewer, larger writes."""
    watch_interval_s: float = Field(default=1.0, ge=0.1)
    """How often live figures are worked out, in seconds."""
    edge_silence_s: float = Field(default=10.0, gt=0)
    """An edge that reported nothing for this long has no viewers any more, in seconds; reports
    come every second."""
