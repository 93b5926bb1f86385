"""Room's database on SQL: transactions by tenant, housekeeping across tenants, nodes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from odeon_runtime.sql import EVERY_TENANT, Database
from sqlalchemy import (
    Column,
    ColumnElement,
    RowMapping,
    Select,
    delete,
    func,
    insert,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from odeon_room.adapters import rows
from odeon_room.adapters.tables import (
    booking_changes,
    events,
    followups,
    jobs,
    nodes,
    requests,
)
from odeon_room.adapters.transaction import SqlTransaction
from odeon_room.domain.event_state import OPEN, EventState
from odeon_room.domain.followups import Followup
from odeon_room.domain.jobs import Job, JobState
from odeon_room.domain.placement import Node
from odeon_room.ports import BookingChange, Placed, Transaction

T = TypeVar("T")
PAGE = 1000
"""Rows of one query of housekeeping: some hundred kilobytes."""


class SqlStore:
    """Implements `ports.Store`.

    Args:
        database: room's.
        now: the wall clock.
        page: rows that one query of housekeeping brings at most.
        told: set after every transaction that told a fact; wakes who carries them.
        booked: set after every transaction that may have changed a booking.
    """

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        *,
        page: int = PAGE,
        told: asyncio.Event | None = None,
        booked: asyncio.Event | None = None,
    ) -> None:
        self._told = told or asyncio.Event()
        self._booked = booked or asyncio.Event()
        self._database = database
        self._now = now
        self._page = page

    @asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[Transaction]:
        """A transaction that only reads."""
        async with self._database.read(tenant) as tx:
            yield SqlTransaction(tx, tenant, self._now, writes=False)

    async def atomically(self, tenant: str, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """A transaction that writes; `work` runs again when a concurrent one was faster."""
        has_told = has_booked = False

        async def run(tx: AsyncConnection) -> T:
            nonlocal has_told, has_booked
            transaction = SqlTransaction(tx, tenant, self._now, writes=True)
            result = await work(transaction)
            has_told, has_booked = transaction.has_told, transaction.has_booked
            return result

        result = await self._database.atomically(tenant, run)
        if has_told:
            self._told.set()
        if has_booked:
            self._booked.set()
        return result

    async def tenant_of_job(self, job_id: str) -> str | None:
        """Whose job it is."""
        async with self._database.read(EVERY_TENANT) as tx:
            query = select(jobs.c.tenant_id).where(jobs.c.job_id == job_id)
            return (await tx.execute(query)).scalar_one_or_none()

    async def unfinished_jobs(self) -> list[Job]:
        """Jobs that are offered or claimed."""
        waiting = [JobState.OFFERED.value, JobState.CLAIMED.value]
        query = select(jobs).where(jobs.c.state.in_(waiting))
        return [rows.job(row) for row in await self._all(query, jobs.c.job_id)]

    async def open_events(self) -> list[Placed]:
        """Events in WARMUP or LIVE that have a node."""
        states = [state.value for state in OPEN]
        query = select(events).where(events.c.state.in_(states), events.c.node_id != "")
        found = await self._all(query, events.c.tenant_id, events.c.event_id)
        return [Placed(row["tenant_id"], rows.event(row)) for row in found]

    async def planned_events(self, *, ended_after: datetime) -> list[Placed]:
        """Events that have a planned time and did not end before a moment."""
        running = events.c.state != EventState.ENDED.value
        lately = events.c.end_time > ended_after
        query = select(events).where(events.c.schedule_time.is_not(None), running | lately)
        found = await self._all(query, events.c.tenant_id, events.c.event_id)
        return [Placed(row["tenant_id"], rows.event(row)) for row in found]

    async def changed_bookings(self, limit: int) -> list[BookingChange]:
        """Bookings that may be other ones than was told, the oldest change first."""
        query = select(booking_changes).order_by(booking_changes.c.sequence).limit(limit)
        async with self._database.read(EVERY_TENANT) as tx:
            found = (await tx.execute(query)).mappings()
            return [
                BookingChange(row["sequence"], row["tenant_id"], row["event_id"]) for row in found
            ]

    async def forget_changes(self, changes: Sequence[BookingChange]) -> None:
        """They were told of."""
        told = booking_changes.c.sequence.in_([change.sequence for change in changes])
        async with self._database.write(EVERY_TENANT) as tx:
            await tx.execute(delete(booking_changes).where(told))

    async def due_followups(self, now: datetime) -> list[Followup]:
        """What is to be tried now; of very many the oldest, the others at the next look."""
        due = select(followups).where(followups.c.due_time <= now)
        query = due.order_by(followups.c.due_time).limit(self._page)
        async with self._database.read(EVERY_TENANT) as tx:
            return [rows.followup(row) for row in (await tx.execute(query)).mappings()]

    async def next_followup(self, now: datetime) -> datetime | None:
        """When the first one is due that is not yet; None when there is none."""
        later = select(func.min(followups.c.due_time)).where(followups.c.due_time > now)
        async with self._database.read(EVERY_TENANT) as tx:
            due: datetime | None = (await tx.execute(later)).scalar_one()
            return due

    async def postpone(self, followup: Followup, until: datetime) -> None:
        """Try again later."""
        change = update(followups).where(*_is(followup))
        async with self._database.write(followup.tenant) as tx:
            await tx.execute(change.values(due_time=until, attempts=followup.attempts + 1))

    async def drop_followup(self, followup: Followup) -> None:
        """It is done, or given up."""
        async with self._database.write(followup.tenant) as tx:
            await tx.execute(delete(followups).where(*_is(followup)))

    async def forget_requests(self, before: datetime) -> None:
        """Delete request ids that were used `before`."""
        async with self._database.write(EVERY_TENANT) as tx:
            await tx.execute(delete(requests).where(requests.c.create_time < before))

    async def _all(self, query: Select[Any], *key: Column[Any]) -> list[RowMapping]:
        """Every row, in pages by a unique key: what lies behind the first is no less important."""
        found: list[RowMapping] = []
        after: ColumnElement[bool] = true()
        async with self._database.read(EVERY_TENANT) as tx:
            while True:
                paged = query.where(after).order_by(*key).limit(self._page)
                page = (await tx.execute(paged)).mappings().all()
                found.extend(page)
                if len(page) < self._page:
                    return found
                after = tuple_(*key) > tuple(page[-1][column.name] for column in key)


class SqlNodes:
    """Implements `ports.NodeStore`; nodes belong to the deployment, not to a tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def nodes(self) -> list[tuple[Node, int]]:
        """Every node and the number of its heartbeats."""
        async with self._database.read(EVERY_TENANT) as tx:
            found = (await tx.execute(select(nodes))).mappings()
            return [(rows.node(row), row["beats"]) for row in found]

    async def heartbeat(self, node: Node) -> None:
        """Store a node's report and count it."""

        async def work(tx: Any) -> None:
            report = rows.of_report(node)
            known = await tx.execute(
                update(nodes)
                .where(nodes.c.node_id == node.id)
                .values(beats=nodes.c.beats + 1, **report)
            )
            if not known.rowcount:
                probe = rows.of_probe(node)
                await tx.execute(insert(nodes).values(node_id=node.id, beats=1, **report, **probe))

        await self._database.atomically(EVERY_TENANT, work)

    async def probed(self, node: Node) -> None:
        """Store a probe's verdict."""
        change = update(nodes).where(nodes.c.node_id == node.id).values(rows.of_probe(node))
        async with self._database.write(EVERY_TENANT) as tx:
            await tx.execute(change)

    async def forget_nodes(self, before: datetime) -> None:
        """Delete nodes whose last heartbeat is older."""
        async with self._database.write(EVERY_TENANT) as tx:
            await tx.execute(delete(nodes).where(nodes.c.heartbeat_time < before))


def _is(followup: Followup) -> list[ColumnElement[bool]]:
    table = followups.c
    return [
        table.tenant_id == followup.tenant,
        table.event_id == followup.event,
        table.kind == followup.kind.value,
    ]
