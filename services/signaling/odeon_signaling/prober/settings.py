"""Settings of the prober, from ODEON_PROBER_* variables."""

from odeon_runtime.settings import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class ProberSettings(ServiceSettings):
    """How often and how patiently nodes are probed."""

    model_config = SettingsConfigDict(env_prefix="ODEON_PROBER_")

    interval_s: float = Field(default=4.0, gt=0)
    """From the start of one probe of a node to that of its next, unless the probe lasts longer."""
    timeout_s: float = Field(default=5.0, gt=0)
    """How long a node may take until media has gone through it. Room takes a node out after two
    bad probes, so twice this, with up to 4 s for goodbye to a node that stands still and what
    `parallel` makes it wait, must stay under 30 s: by default so for 40 silent nodes."""
    parallel: int = Field(default=8, ge=1)
    """Probes that work at once; one that waits for a silent node for over a fifth of `timeout_s`
    makes room for another."""
    loopback: bool = True
    """Offer 127.0.0.1 as well, to reach nodes on this machine."""
