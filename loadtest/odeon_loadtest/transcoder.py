"""What a running transcoder says of itself: its metrics page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from odeon_testkit.process_tree import family
from odeon_testkit.product import Product, running_product

from odeon_loadtest.cpu import cpu_seconds
from odeon_loadtest.metrics import MetricsPage
from odeon_loadtest.processes import free_port


class TranscoderMetrics(MetricsPage):
    """The metrics page of a deployment's transcoder."""

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


def pipelines(product: Product) -> list[int]:
    """Processes that run a job, and those that wait for one."""
    return [p.pid for p in family(product.process.pid) if "odeon_transcoder.pipeline" in p.command]


def encoder_pid(product: Product) -> int:
    """The process of the job that is running: the busiest pipeline process, not the spare.

    Raises:
        LookupError: there is none.
    """
    found = pipelines(product)
    if not found:
        raise LookupError("no encoder process below odeon up")
    return max(found, key=cpu_seconds)
