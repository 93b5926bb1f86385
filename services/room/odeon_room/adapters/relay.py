"""NATS: facts from the transactional outbox, offers of jobs."""

import asyncio

import nats.errors
import nats.js.errors
from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.errors import DomainError
from odeon_runtime.logs import logger
from odeon_runtime.sql import EVERY_TENANT, Database
from odeon_runtime.tasks import wait_for
from sqlalchemy import delete, select

from odeon_room.adapters.tables import outbox
from odeon_room.domain.jobs import Job

_BATCH = 100
_LOOK_S = 2.0
"""For the facts of another instance that went away; this one's own are told of at once."""
_RETRY_S = 1.0
_log = logger(__name__)


class NatsOffers:
    """Implements `ports.Offers`.

    An offer only wakes: while NATS is away none is kept, because the steward repeats it until
    the job is taken.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def offer(self, job: Job) -> None:
        """Wake the workers; never blocks."""
        if not self._bus.connected.is_set():
            return
        offered = events_pb2.JobOffered(job_id=job.id, event_id=job.event, slots=job.slots)
        self._bus.publish(
            subjects.work("transcoder.job.offer", job.tenant, job.id),
            envelope(job.tenant, job_offered=offered),
        )


class OutboxRelay:
    """Carries facts from the database to JetStream, in order, each until it is stored there.

    A row is deleted only after NATS has acknowledged it. A crash in between sends it again with
    the same Nats-Msg-Id, which JetStream (and after its window each consumer) knows already.

    Args:
        database: room's.
        bus: NATS.
        told: is set when there is something to carry.
    """

    def __init__(self, database: Database, bus: Bus, told: asyncio.Event) -> None:
        self._told = told
        self._database = database
        self._bus = bus

    async def run(self) -> None:
        """Carry for ever."""
        ready = False
        while True:
            try:
                await self._bus.connected.wait()
                if not ready:
                    await self._bus.ensure_streams()
                    ready = True
                self._told.clear()
                if await self.carry() < _BATCH:
                    await wait_for(self._told, _LOOK_S)
            except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
                _log.warning("outbox_waits", error=type(error).__name__)
                ready = False  # a server that lost its disk lost its streams, too
                await asyncio.sleep(_RETRY_S)
            except DomainError as error:
                _log.warning("outbox_waits", reason=error.reason)
                await asyncio.sleep(_RETRY_S)

    async def carry(self) -> int:
        """Carry one batch; returns how many facts it was."""
        query = select(outbox).order_by(outbox.c.sequence).limit(_BATCH)
        async with self._database.read(EVERY_TENANT) as tx:
            waiting = list((await tx.execute(query)).mappings())
        carried = []
        try:
            for row in waiting:
                fact = events_pb2.Envelope.FromString(row["body"])
                await self._bus.publish_now(row["subject"], fact)
                carried.append(row["sequence"])
        finally:
            if carried:
                async with self._database.write(EVERY_TENANT) as tx:
                    await tx.execute(delete(outbox).where(outbox.c.sequence.in_(carried)))
        return len(carried)
