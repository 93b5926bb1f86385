"""Settings of the gateway, from ODEON_GATEWAY_* variables."""

from pathlib import Path
from typing import Annotated

from odeon_runtime.settings import ServiceSettings
from pydantic import field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

Words = Annotated[tuple[str, ...], NoDecode]
"""Values separated by commas."""


class GatewaySettings(ServiceSettings):
    """The public face: an HTTP port and a gRPC port."""

    model_config = SettingsConfigDict(env_prefix="ODEON_GATEWAY_")

    tls_cert: str = ""
    """PEM certificate chain for the HTTP port; empty serves plain HTTP (behind a proxy)."""
    tls_key: str = ""
    web_root: Path = Path(__file__).resolve().parents[3] / "web/app/dist"
    """Built pages, by default those of the source tree; a missing folder serves none."""
    demo: Path | None = None
    """JSON file {"title", "watch_url", "studio_url"} about a demo event; read at every request for
    it, since it appears after the gateway has started."""
    api_key_required: bool = True
    """Whether pages ask for an API key before they list events."""

    cors_origins: Words = ("*",)
    """Origins whose pages may call; credentials are bearer tokens, no cookies, so "*" is safe."""
    stage_origins: Words = ("*",)
    """Origins whose pages may open the stage; the join token is the credential."""
    media_sources: Words = ()
    """Extra origins that pages may load media from (Content-Security-Policy); the edges' own by
    default."""
    ice_servers: Words = ()
    """TURN or STUN URLs told to WHIP and WHEP clients, e.g. "stun:stun.example.net"."""
    trusted_proxies: int = 0
    """How many proxies in front append to X-Forwarded-For; 0 believes the peer's address only."""

    limit_address: str = "600/second"
    """Calls per client address; a campus behind one address is many people."""
    limit_credential: str = "300/second"
    limit_tenant: str = "2000/second"
    limit_failures: str = "120/minute"
    """Refused credentials per client address, against guessing."""
    limit_stage_messages: str = "100/second"
    """Messages of one stage client."""
    max_stages: int = 5000
    """Stage connections at once."""

    max_connections: int = 10_000
    """HTTP connections at once, WebSockets included."""
    head_timeout_s: float = 10.0
    """Longest that a request's head may take to come."""
    stall_timeout_s: float = 30.0
    """Longest that a body may pause, or that a client may leave an answer unread."""
    unary_timeout_s: float = 30.0
    """Longest a unary call may take, whatever the client asks for."""
    max_body_bytes: int = 1024 * 1024
    """Largest body of a call."""
    max_sdp_bytes: int = 128 * 1024

    @field_validator(
        "cors_origins",
        "stage_origins",
        "media_sources",
        "ice_servers",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value
