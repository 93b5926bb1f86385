"""Settings of room."""

from odeon_runtime.settings import ServiceSettings
from pydantic_settings import SettingsConfigDict


class RoomSettings(ServiceSettings):
    """Environment variables ODEON_ROOM_*."""

    model_config = SettingsConfigDict(
        env_prefix="ODEON_ROOM_", frozen=True, extra="ignore", populate_by_name=True
    )

    database_url: str = ""
    """"postgresql://…"; empty keeps a SQLite file in the data directory."""

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir}/room.db"
