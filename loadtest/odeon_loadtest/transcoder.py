"""What a running transcoder says of itself: its metrics page."""

import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from odeon_testkit.product import Product, running_product

from odeon_loadtest.cpu import cpu_seconds, tree
from odeon_loadtest.processes import free_port


@dataclass(frozen=True, slots=True)
class TranscoderMetrics:
    """The metrics page of a deployment's transcoder."""

    http: httpx.AsyncClient
    port: int

    async def value(self, name: str) -> float:
        """A metric by its name with labels, e.g. `odeon_transcoder_slots{state="used"}`."""
        page = (await self.http.get(f"http://127.0.0.1:{self.port}/metrics")).text
        found = re.search(rf"^{re.escape(name)} (\S+)", page, re.MULTILINE)
        return float(found[1]) if found else math.nan

    async def frames(self, state: str) -> float:
        """Video frames of all jobs: received, absent, encoded, repeated or dropped."""
        return await self.value(f'odeon_transcoder_frames_total{{state="{state}"}}')

    async def idle(self) -> bool:
        """Whether no job runs, so that counters are final."""
        return await self.value('odeon_transcoder_slots{state="used"}') == 0


@asynccontextmanager
async def product_and_metrics(*flags: str) -> AsyncIterator[tuple[Product, TranscoderMetrics]]:
    """A running deployment whose transcoder shows its metrics."""
    port = free_port()
    env = {"ODEON_TRANSCODER_METRICS_PORT": str(port)}
    async with running_product(*flags, env=env) as product, httpx.AsyncClient() as http:
        yield product, TranscoderMetrics(http, port)


def encoder_pid(product: Product) -> int:
    """The process of the job that is running: the busiest pipeline process, not the spare.

    Raises:
        LookupError: there is none.
    """
    found = [
        pid
        for pid in tree(product.process.pid)
        if b"odeon_transcoder.pipeline" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    if not found:
        raise LookupError("no encoder process below odeon up")
    return max(found, key=cpu_seconds)
