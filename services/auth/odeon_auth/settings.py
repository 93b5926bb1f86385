"""Settings of auth."""

from odeon_runtime.settings import ServiceSettings
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict


class AuthSettings(ServiceSettings):
    """Environment variables ODEON_AUTH_*."""

    model_config = SettingsConfigDict(
        env_prefix="ODEON_AUTH_", frozen=True, extra="ignore", populate_by_name=True
    )

    database_url: str = ""
    """"postgresql://…"; empty keeps a SQLite file in the data directory."""
    key_encryption_key: SecretStr = SecretStr("")
    """Seals the private halves of signing keys (32 characters or more); empty stores them plain."""
    bootstrap_key: SecretStr = SecretStr("")
    """"odk_<8-32 of a-z0-9>_<32 or more random characters>": makes the tenant "default" with this
    API key, role operator, when it is missing."""
    snapshot_interval_s: float = Field(default=2.0, gt=0, le=4)
    """How often trust streams repeat what they know; followers give up after five seconds."""

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir}/auth.db"
