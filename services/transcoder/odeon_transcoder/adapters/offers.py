"""Offers of work from NATS JetStream."""

from odeon_runtime import subjects
from odeon_runtime.bus import Bus
from odeon_runtime.bus import Offer as BusOffer

_DURABLE = "transcoders"
_WAIT_S = 30.0


class JobOffer:
    """Implements `ports.Offer`."""

    def __init__(self, offer: BusOffer) -> None:
        self._offer = offer
        job = offer.fact.job_offered.job_id
        self.job = job if job.startswith("jobs/") else f"jobs/{job}"
        self.slots = offer.fact.job_offered.slots

    async def done(self) -> None:
        """Claimed, or nothing to do any more."""
        await self._offer.done()

    async def again(self, delay_s: float) -> None:
        """Not for us now."""
        await self._offer.again(delay_s)


class BusOffers:
    """Implements `ports.Offers`. All transcoders share one consumer, so each offer goes to one."""

    def __init__(self, bus: Bus) -> None:
        self._puller = bus.puller(subjects.WORK_STREAM, _DURABLE, subjects.JOB_OFFERS)

    async def next(self) -> JobOffer | None:
        """The next offer, None after a while without one or without NATS."""
        offer = await self._puller.next(wait_s=_WAIT_S)
        return JobOffer(offer) if offer is not None else None

    async def put_back(self) -> None:
        """Ask for nothing any more; what came meanwhile goes to others at once."""
        await self._puller.put_back()
