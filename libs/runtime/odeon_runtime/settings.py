"""Settings that every service has. Environment variables only; unknown ones are ignored."""

from pathlib import Path
from typing import Self

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Base of each service's settings class, which sets `env_prefix="ODEON_<SERVICE>_"`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    grpc_host: str = "127.0.0.1"
    """Address the gRPC server binds to; loopback unless a cluster says otherwise."""
    grpc_port: int = 0
    """0 takes any free port and reports it in the ready line."""
    http_host: str = "127.0.0.1"
    http_port: int = 0

    nats_url: str = Field(default="", validation_alias=AliasChoices("ODEON_NATS_URL"))
    """Empty runs without NATS: facts wait in the outbox."""
    nats_replicas: int = Field(
        default=1, ge=1, le=5, validation_alias=AliasChoices("ODEON_NATS_REPLICAS")
    )
    """Servers that keep each stream; at most as many as there are. A bucket that is there already
    stays as it is."""
    service_secret: str = Field(default="", validation_alias=AliasChoices("ODEON_SERVICE_SECRET"))
    """Shared by the deployment's services; traded at auth for short service tokens."""
    auth_address: str = Field(default="", validation_alias=AliasChoices("ODEON_AUTH_ADDRESS"))
    room_address: str = Field(default="", validation_alias=AliasChoices("ODEON_ROOM_ADDRESS"))
    recorder_address: str = Field(
        default="", validation_alias=AliasChoices("ODEON_RECORDER_ADDRESS")
    )
    recorder_http: str = Field(default="", validation_alias=AliasChoices("ODEON_RECORDER_HTTP"))
    """Base URL of the recorder's private HTTP port, for ingest and for the edges."""
    analytics_address: str = Field(
        default="", validation_alias=AliasChoices("ODEON_ANALYTICS_ADDRESS")
    )
    public_url: str = Field(
        default="http://127.0.0.1:8080", validation_alias=AliasChoices("ODEON_PUBLIC_URL")
    )
    """Base URL of the gateway as browsers see it."""
    edge_url: str = Field(
        default="http://127.0.0.1:8480", validation_alias=AliasChoices("ODEON_EDGE_URL")
    )
    """Base URL of the edges as players see it."""
    data_dir: Path = Field(default=Path(".odeon"), validation_alias=AliasChoices("ODEON_DATA_DIR"))
    otlp_endpoint: str = Field(default="", validation_alias=AliasChoices("ODEON_OTLP_ENDPOINT"))
    """gRPC OTLP receiver, e.g. "http://127.0.0.1:4317"; empty exports no traces."""
    log_level: str = Field(default="info", validation_alias=AliasChoices("ODEON_LOG_LEVEL"))
    log_format: str = Field(default="json", validation_alias=AliasChoices("ODEON_LOG_FORMAT"))
    """Either "json" for machines or "console" for people."""
    metrics_port: int = -1
    """Prometheus port; -1 for none, 0 for any."""
    metrics_host: str = Field(
        default="127.0.0.1", validation_alias=AliasChoices("ODEON_METRICS_HOST")
    )
    """Address that Prometheus port binds to; loopback unless a cluster says otherwise."""

    pool: str = Field(default="", validation_alias=AliasChoices("ODEON_POOL"))
    """Pool that an operator drains and scales; empty for a process that belongs to none."""
    pod_name: str = Field(default="", validation_alias=AliasChoices("ODEON_POD_NAME"))
    pod_uid: str = Field(default="", validation_alias=AliasChoices("ODEON_POD_UID"))
    """Of this pod's Kubernetes object, through the downward API; a pool's pods need both."""

    @model_validator(mode="after")
    def _a_pools_pod_knows_itself(self) -> Self:
        if self.pool and not (self.pod_name and self.pod_uid and self.nats_url):
            # It would take work and never hear that it should not.
            raise ValueError("ODEON_POOL wants ODEON_POD_NAME, ODEON_POD_UID and ODEON_NATS_URL")
        return self
