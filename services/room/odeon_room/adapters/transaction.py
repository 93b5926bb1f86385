"""One transaction of one tenant on SQL. Every statement starts with the tenant."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from odeon_runtime.repeats import Repeated
from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    Table,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from odeon_room.adapters import facts, rows
from odeon_room.adapters.tables import (
    booking_changes,
    events,
    followups,
    jobs,
    outbox,
    participants,
    requests,
    rooms,
)
from odeon_room.domain.event_state import EventState
from odeon_room.domain.events import Event
from odeon_room.domain.facts import EventMoved, Fact, JobMoved
from odeon_room.domain.followups import Followup
from odeon_room.domain.jobs import Job, JobState
from odeon_room.domain.participants import Participant, ParticipantState
from odeon_room.domain.rooms import Room
from odeon_room.ports import After


class SqlTransaction:
    """Implements `ports.Transaction`."""

    def __init__(
        self, tx: AsyncConnection, tenant: str, now: Callable[[], datetime], *, writes: bool
    ) -> None:
        self._tx = tx
        self._now = now
        self._writes = writes
        self.tenant = tenant
        self.has_told = False
        self.has_booked = False

    # Rooms

    async def room(self, room_id: str) -> Room | None:
        """A room."""
        row = await self._row(rooms, room_id=room_id)
        return None if row is None else rows.room(row)

    async def rooms(self, *, limit: int, after: After) -> list[Room]:
        """Rooms, oldest first."""
        query = self._page(rooms, rooms.c.create_time, rooms.c.room_id, limit, after)
        return [rows.room(row) for row in await self._rows(query)]

    async def put_room(self, room: Room) -> None:
        """Store a new room."""
        await self._put(rooms, {"room_id": room.id}, rows.of_room(room))

    async def delete_room(self, room_id: str) -> None:
        """Delete a room."""
        await self._tx.execute(delete(rooms).where(*self._mine(rooms, room_id=room_id)))

    async def room_is_used(self, room_id: str) -> bool:
        """Whether an event of the room has not ended."""
        query = (
            select(events.c.event_id)
            .where(*self._mine(events, room_id=room_id))
            .where(events.c.state != EventState.ENDED.value)
            .limit(1)
        )
        return bool(await self._rows(query))

    # Events

    async def event(self, event_id: str) -> Event | None:
        """An event."""
        row = await self._row(events, event_id=event_id)
        return None if row is None else rows.event(row)

    async def events(
        self, *, limit: int, after: After, states: Collection[EventState]
    ) -> list[Event]:
        """Events, oldest first; only in `states` unless it is empty."""
        query = self._page(events, events.c.create_time, events.c.event_id, limit, after)
        if states:
            query = query.where(events.c.state.in_([s.value for s in states]))
        return [rows.event(row) for row in await self._rows(query)]

    async def put_event(self, event: Event) -> None:
        """Store a new or changed event."""
        await self._put(events, {"event_id": event.id}, rows.of_event(event))

    # Participants

    async def participant(self, event_id: str, identity: str) -> Participant | None:
        """A participant."""
        row = await self._row(participants, event_id=event_id, identity=identity)
        return None if row is None else rows.participant(row)

    async def participants(self, event_id: str, *, limit: int, after: After) -> list[Participant]:
        """Participants of an event, in order of joining."""
        table = participants.c
        query = self._page(participants, table.join_time, table.identity, limit, after)
        found = await self._rows(query.where(table.event_id == event_id))
        return [rows.participant(row) for row in found]

    async def put_participant(self, participant: Participant) -> None:
        """Store a new or changed participant."""
        key = {"event_id": participant.event, "identity": participant.identity}
        await self._put(participants, key, rows.of_participant(participant))

    async def count_on_stage(self, event_id: str, *, but: str) -> int:
        """Visible participants on stage, `but` not counted."""
        query = (
            select(func.count())
            .select_from(participants)
            .where(*self._mine(participants, event_id=event_id, state="ADMITTED", hidden=False))
            .where(participants.c.identity != but)
        )
        return int((await self._tx.execute(query)).scalar_one())

    async def empty_stage(self, event_id: str, *, node: str = "") -> list[Participant]:
        """Let everybody leave (only those of `node`, if given); returns who was there."""
        query = (
            select(participants)
            .where(*self._mine(participants, event_id=event_id))
            .where(participants.c.state.in_(["ADMITTED", "WAITING"]))
        )
        if node:
            query = query.where(participants.c.node_id == node)
        there = [rows.participant(row) for row in await self._rows(query)]
        for one in there:
            await self.put_participant(replace(one, state=ParticipantState.LEFT))
        return there

    # Jobs

    async def job(self, job_id: str) -> Job | None:
        """A job."""
        row = await self._row(jobs, job_id=job_id)
        return None if row is None else rows.job(row)

    async def jobs(self, *, limit: int, after: After, states: Collection[JobState]) -> list[Job]:
        """Jobs, oldest first."""
        query = self._page(jobs, jobs.c.create_time, jobs.c.job_id, limit, after)
        if states:
            query = query.where(jobs.c.state.in_([s.value for s in states]))
        return [rows.job(row) for row in await self._rows(query)]

    async def jobs_of(self, event_id: str) -> list[Job]:
        """Every job of an event."""
        query = select(jobs).where(*self._mine(jobs, event_id=event_id))
        return [rows.job(row) for row in await self._rows(query)]

    async def put_job(self, job: Job) -> None:
        """Store a new or changed job."""
        await self._put(jobs, {"job_id": job.id}, rows.of_job(job))

    # What is still to be told and done

    async def tell(self, fact: Fact) -> None:
        """Tell the others once this transaction has happened, and not otherwise."""
        self.has_told = True
        subject, body = facts.message(self.tenant, fact)
        await self._tx.execute(
            insert(outbox).values(
                tenant_id=self.tenant, subject=subject, body=body.SerializeToString()
            )
        )

        if isinstance(fact, EventMoved | JobMoved):
            await self.rebook(fact.event)

    async def rebook(self, event_id: str) -> None:
        """Say that a booking may be another one once this transaction has happened."""
        self.has_booked = True
        await self._tx.execute(
            insert(booking_changes).values(tenant_id=self.tenant, event_id=event_id)
        )

    async def follow_up(self, followup: Followup) -> None:
        """Note what must still happen elsewhere."""
        values = {
            "create_time": followup.create_time,
            "due_time": followup.due_time,
            "attempts": followup.attempts,
            "detail": followup.detail,
        }
        key = {"event_id": followup.event, "kind": followup.kind.value}
        await self._put(followups, key, values)

    async def repeated(self, method: str, request_id: str) -> Repeated | None:
        """What an earlier request with this id made."""
        row = await self._row(requests, method=method, request_id=request_id)
        return None if row is None else Repeated(row["digest"], row["resource"])

    async def remember(self, method: str, request_id: str, made: Repeated) -> None:
        """Note what a request made; a concurrent one with the same id conflicts here."""
        await self._tx.execute(
            insert(requests).values(
                tenant_id=self.tenant,
                method=method,
                request_id=request_id,
                digest=made.digest,
                resource=made.resource,
                create_time=self._now(),
            )
        )

    # Statements

    def _mine(self, table: Table, **key: Any) -> list[ColumnElement[bool]]:
        mine: list[ColumnElement[bool]] = [table.c.tenant_id == self.tenant]
        return mine + [table.c[name] == value for name, value in key.items()]

    async def _row(self, table: Table, **key: Any) -> RowMapping | None:
        query = select(table).where(*self._mine(table, **key))
        if self._writes:
            query = query.with_for_update()
        return (await self._tx.execute(query)).mappings().one_or_none()

    async def _rows(self, query: Select[Any]) -> list[RowMapping]:
        return list((await self._tx.execute(query)).mappings())

    def _page(
        self,
        table: Table,
        time: ColumnElement[Any],
        key: ColumnElement[Any],
        limit: int,
        after: After,
    ) -> Select[Any]:
        query = select(table).where(*self._mine(table)).order_by(time, key).limit(limit)
        return query.where(tuple_(time, key) > after) if after else query

    async def _put(self, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
        changed = await self._tx.execute(
            update(table).where(*self._mine(table, **key)).values(values)
        )
        if not changed.rowcount:
            await self._tx.execute(
                insert(table).values({"tenant_id": self.tenant, **key, **values})
            )
