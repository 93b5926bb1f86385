"""What a running service says of itself: its Prometheus page."""

import math
import re
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class MetricsPage:
    """The page at a port of this machine."""

    http: httpx.AsyncClient
    port: int

    async def value(self, name: str) -> float:
        """A metric by its name with labels, e.g. `odeon_transcoder_slots{state="used"}`, or NaN."""
        page = (await self.http.get(f"http://127.0.0.1:{self.port}/metrics")).text
        found = re.search(rf"^{re.escape(name)} (\S+)", page, re.MULTILINE)
        return float(found[1]) if found else math.nan
