"""Settings of the transcoder: environment variables `ODEON_TRANSCODER_*`."""

import os

from odeon_runtime.settings import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class TranscoderSettings(ServiceSettings):
    """What an operator may decide."""

    model_config = SettingsConfigDict(env_prefix="ODEON_TRANSCODER_")

    worker: str = Field(default_factory=lambda: f"{os.uname().nodename}-transcoder")
    """Name of this transcoder; stays the same over restarts, so that it resumes its own jobs."""
    slots: int = 4
    """Jobs that may run at once; a job of a larger profile may take several."""
    spares: int = 1
    """Warm processes that wait to take over; 0 saves 100 MB and costs half a second."""
    max_frame_rate: int = 0
    """Caps the frame rate of every profile (15, 30, 60); 0 leaves it to the profile."""
    preset: str = "veryfast"
    """x264 preset; "superfast" for a quarter less CPU."""
    media_host: str = "127.0.0.1"
    """Local address for media from signaling nodes."""
    patience_ms: int = 400
    """How long a slot of the programme waits for late pictures and samples. A steady source costs
    none of it; a screen that rests costs all of it."""
    slate_after_s: float = 10.0
    """An event without any picture begins with the slate after this long."""
    watchdog_s: float = 2.0
    """A job process that gave no sign of life for this long is killed and replaced."""
    flush_s: float = 6.0
    """How long a stopping job may take to deliver its last parts."""
    drain_s: float = 0.0
    """At stop, how long running jobs may go on before they are released to other transcoders."""
    probe: bool = True
    """Look for a GPU at start; without, the CPU does everything."""
