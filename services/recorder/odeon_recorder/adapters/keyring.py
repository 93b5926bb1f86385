"""The last known key set on the local disk: a restart needs no auth to go on taking parts."""

import asyncio
from contextlib import suppress
from pathlib import Path

from odeon_runtime.trust import TrustStore

from odeon_recorder.adapters.disk import Disk

_CHECK_S = 15.0


class Keyring:
    """Keeps a `TrustStore`'s keys in a file. Public keys only."""

    def __init__(self, trust: TrustStore, path: Path, disk: Disk) -> None:
        self._trust = trust
        self._path = path
        self._disk = disk
        self._saved = ""

    async def load(self, *, wait_s: float) -> None:
        """Believe the saved keys, or else give auth `wait_s` seconds to send them."""
        saved = await asyncio.to_thread(self._disk.read, self._path)
        if saved:
            self._saved = saved.decode()
            self._trust.set_keys(self._saved)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._trust.ready.wait()

    async def keep(self) -> None:
        """Save the keys whenever they have changed, for ever."""
        while True:
            await self._trust.ready.wait()
            if (current := self._trust.jwks_json) != self._saved:
                await asyncio.to_thread(self._disk.replace, self._path, current.encode())
                self._saved = current
            await asyncio.sleep(_CHECK_S)
