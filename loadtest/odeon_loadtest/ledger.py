"""What a tenant does while something is away, and whether it had its effect, once.

Jobs are asked of room; facts are read where analytics keeps them, at the end of their way.
"""

import asyncio
import json
import secrets
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from odeon_testkit.tenant import Api
from odeon_testkit.wait import until

SCHEDULED_EVENTS = 5
_CLAIM_S = 15.0
_ARRIVE_S = 30.0
_LIST = "SELECT event, kind, body FROM facts"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as room lists it."""

    name: str
    event: str
    state: str
    worker: str
    claim: int

    @property
    def running(self) -> bool:
        """Whether a worker holds it."""
        return self.state == "STATE_CLAIMED"


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """What a fact says, without when and under which id: it must be told once."""

    event: str
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many were lost, and how many came once too often; `names` of the lost for people."""

    lost: int
    doubled: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """Events that were made: ended ones that never ran, and one that is live."""

    ended: tuple[str, ...]
    live: str

    def facts(self) -> set[Fact]:
        """What must be told of them once the live one was claimed and ended."""
        states = chain(
            *([(event, "SCHEDULED"), (event, "ENDED")] for event in self.ended),
            [(self.live, "LIVE"), (self.live, "ENDED")],
        )
        moved = {Fact(event, "event_state_changed", state) for event, state in states}
        return moved | {Fact(self.live, "job_state_changed", "CLAIMED")}


async def jobs(api: Api) -> list[Job]:
    """All jobs that are neither done, failed nor cancelled."""
    states = ["STATE_OFFERED", "STATE_CLAIMED"]
    answer = await api.call("room.v1.RoomService/ListJobs", states=states, page_size=100)
    return [
        Job(
            name=job["name"],
            event=job["event"].removeprefix("events/"),
            state=job["state"],
            worker=job.get("worker", ""),
            claim=int(job.get("claim", 0)),
        )
        for job in answer.get("jobs", [])
    ]


async def make_events(api: Api) -> Made:
    """Some that are made and ended, and one that goes live and so needs a worker."""
    ended = []
    for _ in range(SCHEDULED_EVENTS):
        name = f"t-{secrets.token_hex(4)}"
        created = await api.call(
            "room.v1.RoomService/CreateEvent", event_id=name, event={"title": "Outage"}
        )
        await api.call("room.v1.RoomService/EndEvent", name=created["event"]["name"])
        ended.append(name)
    live, _ = await api.live_event()
    return Made(tuple(ended), live.removeprefix("events/"))


async def end_once_claimed(api: Api, event: str) -> Tally:
    """Wait until the event's job has a worker, then end the event; the jobs that went wrong."""
    found: list[Job] = []

    async def claimed() -> bool:
        nonlocal found
        found = [job for job in await jobs(api) if job.event == event]
        return any(job.running for job in found)

    with suppress(TimeoutError):
        await until(claimed, timeout_s=_CLAIM_S)
    await api.call("room.v1.RoomService/EndEvent", name=f"events/{event}")
    claims = sum(job.claim for job in found)
    return Tally(lost=int(claims == 0), doubled=max(0, claims - 1) + max(0, len(found) - 1))


def jobs_tally(before: Collection[Job], after: Collection[Job]) -> Tally:
    """Whether who worked still works, and no event has two."""
    held = {(job.name, job.worker, job.claim) for job in after if job.running}
    lost = sum((job.name, job.worker, job.claim) not in held for job in before if job.running)
    doubled = sum(count - 1 for count in Counter(job.event for job in after).values())
    return Tally(lost, doubled)


def facts_tally(expected: Collection[Fact], told: Counter[Fact]) -> Tally:
    """Of what was to be told."""
    lost = sorted(fact for fact in expected if not told[fact])
    doubled = sum(max(0, told[fact] - 1) for fact in expected)
    return Tally(len(lost), doubled, tuple(f"{f.event} {f.kind} {f.what}" for f in lost))


async def facts_of(data_dir: Path, expected: Collection[Fact]) -> Tally:
    """Once all have arrived, or have had time enough."""
    told: Counter[Fact] = Counter()

    async def arrived() -> bool:
        nonlocal told
        told = await asyncio.to_thread(_told, data_dir / "analytics" / "analytics.db")
        return facts_tally(expected, told).lost == 0

    with suppress(TimeoutError):
        await until(arrived, timeout_s=_ARRIVE_S)
    return facts_tally(expected, told)


def _told(database: Path) -> Counter[Fact]:
    """Every fact that analytics keeps in SQLite."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows: Iterable[tuple[str, str, str]] = connection.execute(_LIST).fetchall()
    return Counter(Fact(event, kind, _what(kind, json.loads(body))) for event, kind, body in rows)


def _what(kind: str, body: dict[str, Any]) -> str:
    if kind == "segment_closed":
        return segment(body["track"], int(body.get("msn", 0)))
    return str(body.get("state", ""))


def segment(track: str, msn: int) -> str:
    """What the fact of a closed segment says."""
    return f"{track} {msn}"
