"""Settings of the prober, from ODEON_PROBER_* variables."""

from odeon_runtime.settings import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class ProberSettings(ServiceSettings):
    """How often and how patiently nodes are probed."""

    model_config = SettingsConfigDict(env_prefix="ODEON_PROBER_")

    interval_s: float = Field(default=4.0, gt=0)
    """Between two rounds over all nodes. Room takes a node out after two bad probes, so this and
    twice `timeout_s` must stay well under 30 s."""
    timeout_s: float = Field(default=5.0, gt=0)
    """How long a node may take until media has gone through it."""
    parallel: int = Field(default=4, ge=1)
    """Nodes probed at once."""
    loopback: bool = True
    """Offer 127.0.0.1 as well, to reach nodes on this machine."""
