"""Settings of a signaling node, from ODEON_SIGNALING_* variables."""

from pathlib import Path
from typing import Annotated

from odeon_runtime.settings import ServiceSettings
from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict


class SignalingSettings(ServiceSettings):
    """One node: one UDP port for media, one gRPC port."""

    model_config = SettingsConfigDict(env_prefix="ODEON_SIGNALING_")

    node: str = ""
    """Id of this node, a slug; made up at start when empty. A pod uses its name."""
    media_host: str = "127.0.0.1"
    """Address the media port binds to."""
    media_port: int = Field(default=0, ge=0, le=65535)
    """UDP port of all media; 0 takes any free one."""
    advertise: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses put into ICE candidates, "host" or "host:port", separated by commas: the public
    address of a NAT or load balancer. Empty means the bound address."""
    advertise_nodes: dict[str, str] = Field(default_factory=dict)
    """The same by node, for nodes that share one pod template, as JSON:
    {"sfu-0": "203.0.113.10:30780,10.1.2.3", …}. Says it for the nodes that it names."""
    advertise_file: Path | None = None
    """File whose text comes before `advertise`, e.g. an annotation of the pod that the operator
    writes once a load balancer has an address. The node does not start before there is one."""
    advertise_grpc: str = ""
    """host:port at which gateway and transcoders reach this node; the bound one when empty."""
    max_sessions: int = Field(default=2000, ge=1)
    """Peer connections at once; more are refused with TOO_MANY_SESSIONS."""
    connect_s: float = Field(default=15.0, gt=0)
    """How long a peer connection may take to come up before it is dropped."""
    heartbeat_s: float = Field(default=2.0, gt=0)
    """How often room hears from this node; room gives up on it after some missed ones."""
    drain_s: float = Field(default=0.0, ge=0)
    """How long a stop waits for the present sessions to end by themselves. 0 hands them over at
    once (clients join again elsewhere); a cluster sets an hour."""

    @field_validator("advertise", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return parts(value) if isinstance(value, str) else value

    @property
    def advertised(self) -> tuple[str, ...]:
        """What this node puts into ICE candidates."""
        named = self.advertise_nodes.get(self.node)
        return self.advertise if named is None else parts(named)


def parts(text: str) -> tuple[str, ...]:
    """What commas separate."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
