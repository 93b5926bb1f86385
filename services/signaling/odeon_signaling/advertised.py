"""What a node puts into ICE candidates: what it was told, and what is still to be found out."""

import asyncio
import time
from pathlib import Path

from odeon_runtime.logs import logger

from odeon_signaling.settings import SignalingSettings, parts

_LOOK_S = 0.5
_TELL_S = 30.0
_log = logger(__name__)


async def addresses(settings: SignalingSettings) -> tuple[str, ...]:
    """The addresses, most public first; waits for those of `advertise_file`, as long as it takes.

    Without them a node would be placed, and nobody outside of its cluster would reach it.
    """
    if settings.advertise_file is None:
        return settings.advertised
    return *await _found(settings.advertise_file), *settings.advertised


async def _found(file: Path) -> tuple[str, ...]:
    told_at: float | None = None
    while not (found := parts(_text(file))):
        if told_at is None or time.monotonic() - told_at > _TELL_S:
            told_at = time.monotonic()
            _log.warning("address_awaited", file=str(file), advice="has its Service an address?")
        # A volume of the downward API changes without telling anybody.
        await asyncio.sleep(_LOOK_S)
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""
