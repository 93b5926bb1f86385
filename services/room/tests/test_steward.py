"""What room does of its own accord, on a clock that the test turns."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from odeon_room.adapters.store import PAGE, SqlNodes, SqlStore
from odeon_room.domain import jobs
from odeon_room.domain.event_state import EventState
from odeon_room.domain.events import Event
from odeon_room.domain.facts import ParticipantWent
from odeon_room.domain.followups import Followup, FollowupKind
from odeon_room.domain.jobs import FLUSH, LEASE_S, REOFFER_S, SUSPECT_LEASE_S, Job, JobState
from odeon_room.domain.placement import FRESH_S, Node
from odeon_room.ports import Token, TokenOrder, Transaction
from odeon_room.usecases.jobs import Holder, Jobs
from odeon_room.usecases.nodes import NodeBoard, Nodes
from odeon_room.usecases.steward import Steward
from odeon_room.usecases.watch import Changes
from odeon_runtime.errors import Unavailable
from odeon_runtime.ids import EventId, RoomId
from odeon_runtime.principal import Principal
from odeon_runtime.sql import Database
from odeon_testkit.callers import eventually

TRANSCODER = Principal(tenant=None, subject="svc:transcoder", role="service", service="transcoder")


class Clock:
    """Wall and monotonic time, turned by hand; the wall may jump by itself."""

    def __init__(self) -> None:
        self.mono = 1000.0
        self.wall = datetime(2026, 5, 1, tzinfo=UTC)

    def turn(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.mono


@dataclass
class World:
    """Everything that room tells; fakes of its ports."""

    offered: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    away: bool = False

    def offer(self, job: Job) -> None:
        self.offered.append(job.id)

    async def issue(self, orders: list[TokenOrder]) -> list[Token]:
        return [Token("token", "s", datetime(2026, 5, 2, tzinfo=UTC)) for _ in orders]

    async def close(self, node: str, tenant: str, event: str) -> None:
        await self._tell(f"close {tenant}/{event} at {node}")

    async def end(self, tenant: str, event: str) -> None:
        await self._tell(f"end {tenant}/{event}")

    async def _tell(self, what: str) -> None:
        if self.away:
            raise Unavailable("away")
        self.told.append(what)


class Stand:
    """A steward over a real database."""

    def __init__(self, database: Database, *, page: int = PAGE) -> None:
        self.clock, self.world, changes = Clock(), World(), Changes()
        self.changes, self.told = changes, asyncio.Event()
        self.store = SqlStore(database, self.clock.now, told=self.told, page=page)
        self.board = NodeBoard(SqlNodes(database), self.clock.now, self.clock.monotonic)
        nodes = Nodes(self.store, self.board)
        self.jobs = Jobs(
            self.store,
            nodes,
            self.world,  # type: ignore[arg-type]
            changes,
            self.clock.now,
            monotonic=self.clock.monotonic,
        )
        self.steward = Steward(
            store=self.store,
            board=self.board,
            nodes=nodes,
            jobs_in_use=self.jobs,
            offers=self.world,
            stage=self.world,  # type: ignore[arg-type]
            timelines=self.world,
            changes=changes,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
        )

    async def beat(self, name: str, **fields: object) -> None:
        node = Node(id=name, grpc_address=f"{name}:1", heartbeat_time=self.clock.now())
        await self.board.report(replace(node, **fields), [])  # type: ignore[arg-type]

    async def live_event(
        self, tenant: str = "acme", event_id: str = "launch", job_id: str = "job-1", node: str = ""
    ) -> None:
        now = self.clock.now()
        event = Event(
            id=EventId(event_id),
            room=RoomId("hall"),
            title="",
            state=EventState.LIVE,
            create_time=now,
            start_time=now,
            node=node,
        )
        job = Job(
            tenant=tenant,
            id=job_id,
            event=event_id,
            state=JobState.OFFERED,
            profile="default",
            create_time=now,
            offer_time=now,
        )

        async def work(tx: Transaction) -> None:
            await tx.put_event(event)
            await tx.put_job(job)

        await self.store.atomically(tenant, work)

    async def job(self) -> Job:
        async with self.store.reading("acme") as tx:
            found = await tx.job("job-1")
        assert found is not None
        return found

    async def node_of_event(self) -> str:
        async with self.store.reading("acme") as tx:
            event = await tx.event("launch")
        assert event is not None
        return event.node

    async def claim(self, worker: str = "w1") -> Holder:
        taken = await self.jobs.claim(TRANSCODER, "jobs/job-1", worker)
        return Holder("jobs/job-1", worker, taken.job.claim)

    async def pass_time(
        self, seconds: float, look: Callable[[], Awaitable[None]], step: float = 0.25
    ) -> None:
        """Let time pass in small steps, with a look after each."""
        for _ in range(round(seconds / step)):
            self.clock.turn(step)
            await look()


@pytest.fixture
async def stand(database: Database) -> Stand:
    stand = Stand(database)
    await stand.live_event()
    await stand.beat("n1")
    return stand


async def test_an_offer_is_repeated_until_somebody_takes_it(stand: Stand) -> None:
    await stand.steward.look_at_jobs()
    await stand.pass_time(2 * REOFFER_S, stand.steward.look_at_jobs)
    assert stand.world.offered == ["job-1"] * 3

    await stand.claim()
    stand.world.offered.clear()
    await stand.steward.look_at_jobs()
    assert stand.world.offered == []


async def test_a_claim_lapses_after_its_lease_and_is_offered_at_once(stand: Stand) -> None:
    await stand.claim()
    await stand.steward.look_at_jobs()

    await stand.pass_time(LEASE_S - 0.25, stand.steward.look_at_jobs)
    assert (await stand.job()).state is JobState.CLAIMED
    await stand.pass_time(0.25, stand.steward.look_at_jobs)

    assert (await stand.job()).state is JobState.OFFERED
    assert stand.world.offered == ["job-1"]


async def test_a_claim_that_is_renewed_never_lapses(stand: Stand) -> None:
    holder = await stand.claim()

    for _ in range(20):
        await stand.jobs.renew(TRANSCODER, holder, "")
        await stand.pass_time(0.5, stand.steward.look_at_jobs)

    assert (await stand.job()).state is JobState.CLAIMED


async def test_a_lease_counts_from_the_renewal_and_not_from_the_next_look_at_it(
    stand: Stand,
) -> None:
    holder = await stand.claim()
    await stand.steward.look_at_jobs()
    stand.clock.turn(1)
    await stand.jobs.renew(TRANSCODER, holder, "")

    stand.clock.turn(LEASE_S - 0.01)
    await stand.steward.look_at_jobs()
    assert (await stand.job()).state is JobState.CLAIMED
    stand.clock.turn(0.01)
    await stand.steward.look_at_jobs()

    assert (await stand.job()).state is JobState.OFFERED


async def test_a_claim_that_is_renewed_through_another_room_never_lapses_here(
    stand: Stand, database: Database
) -> None:
    other = Stand(database)
    other.clock = stand.clock
    holder = await stand.claim()

    for _ in range(20):
        await other.jobs.renew(TRANSCODER, holder, "")
        await stand.pass_time(0.5, stand.steward.look_at_jobs)

    assert (await stand.job()).state is JobState.CLAIMED


async def test_the_steward_acts_when_it_is_told_although_no_time_passes(stand: Stand) -> None:
    tasks = [
        asyncio.create_task(work)
        for work in (stand.steward.watch_jobs(), stand.steward.follow_up())
    ]
    try:
        await eventually(lambda: _is(stand.world.offered == ["job-1"]))
        holder = await stand.claim()
        now = stand.clock.now()

        async def end(tx: Transaction) -> None:
            kind = FollowupKind.CLOSE_STAGE
            await tx.follow_up(
                Followup(
                    tenant="acme", event="gala", kind=kind, create_time=now, due_time=now,
                    detail="n1",
                )
            )  # fmt: skip

        await stand.store.atomically("acme", end)
        stand.world.offered.clear()
        # The clock stands still, so that nothing falls due and no net catches anything.
        await stand.jobs.finish(TRANSCODER, holder, jobs.Outcome.RELEASED)

        await eventually(lambda: _is(stand.world.told == ["close acme/gala at n1:1"]))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _is(state: bool) -> bool:
    return state


async def test_who_carries_facts_is_woken_by_a_commit_that_told_one_and_by_no_other(
    stand: Stand,
) -> None:
    fact = ParticipantWent(EventId("launch"), "alice", "LEFT")

    async def quiet(tx: Transaction) -> None:
        await tx.job("job-1")

    async def failing(tx: Transaction) -> None:
        await tx.tell(fact)
        raise Unavailable("away")

    async def telling(tx: Transaction) -> None:
        await tx.tell(fact)
        assert not stand.told.is_set(), "not before it is committed"

    await stand.store.atomically("acme", quiet)
    with pytest.raises(Unavailable):
        await stand.store.atomically("acme", failing)
    assert not stand.told.is_set()

    await stand.store.atomically("acme", telling)
    assert stand.told.is_set()


async def test_a_clock_that_jumps_costs_nobody_a_claim(stand: Stand) -> None:
    await stand.claim()
    await stand.steward.look_at_jobs()

    for jump in (timedelta(minutes=5), timedelta(minutes=-10)):
        stand.clock.wall += jump
        await stand.steward.look_at_jobs()

    assert (await stand.job()).state is JobState.CLAIMED


async def test_a_room_that_was_away_gives_every_worker_a_whole_lease(
    stand: Stand, database: Database
) -> None:
    await stand.claim()
    stand.clock.turn(3600)
    again = Stand(database)
    again.clock.mono, again.clock.wall = stand.clock.mono, stand.clock.wall

    await again.steward.look_at_jobs()
    await again.pass_time(LEASE_S - 0.25, again.steward.look_at_jobs)

    assert (await again.job()).state is JobState.CLAIMED


async def test_a_worker_whose_stream_broke_loses_its_claim_sooner(stand: Stand) -> None:
    holder = await stand.claim()
    watch = stand.jobs.watch(TRANSCODER, holder)
    await anext(watch)
    await stand.steward.look_at_jobs()

    await watch.aclose()  # type: ignore[attr-defined]
    await stand.pass_time(SUSPECT_LEASE_S, stand.steward.look_at_jobs)

    assert (await stand.job()).state is JobState.OFFERED


async def test_a_worker_that_comes_back_before_another_took_over_keeps_its_claim(
    stand: Stand,
) -> None:
    holder = await stand.claim()
    await stand.steward.look_at_jobs()
    await stand.pass_time(LEASE_S, stand.steward.look_at_jobs)

    await stand.jobs.renew(TRANSCODER, holder, "")

    job = await stand.job()
    assert (job.state, job.worker, job.claim) == (JobState.CLAIMED, "w1", holder.claim)


async def test_a_job_that_failed_rests_before_it_is_offered(stand: Stand) -> None:
    holder = await stand.claim()
    await stand.jobs.finish(TRANSCODER, holder, jobs.Outcome.FAILED)

    await stand.steward.look_at_jobs()
    assert stand.world.offered == []
    await stand.pass_time(1.0, stand.steward.look_at_jobs)
    assert stand.world.offered == ["job-1"]


async def test_a_job_that_keeps_failing_is_offered_again_while_its_event_lives(
    stand: Stand,
) -> None:
    for rest in (1, 2, 4, 8, 16, 30, 30):
        await stand.beat("n1")
        stand.world.offered.clear()
        holder = await stand.claim()
        await stand.jobs.finish(TRANSCODER, holder, jobs.Outcome.FAILED)
        await stand.pass_time(rest - 0.25, stand.steward.look_at_jobs)
        assert stand.world.offered == []
        await stand.pass_time(0.25, stand.steward.look_at_jobs)
        assert stand.world.offered == ["job-1"]


async def test_a_worker_that_held_for_a_minute_starts_over_when_it_fails(stand: Stand) -> None:
    for rest in (1, 2, 4, 8):
        await stand.jobs.finish(TRANSCODER, await stand.claim(), jobs.Outcome.FAILED)
        stand.clock.turn(rest)
        await stand.beat("n1")

    holder = await stand.claim()
    for _ in range(jobs.HEALTHY_RENEWALS):
        await stand.jobs.renew(TRANSCODER, holder, "")
    await stand.jobs.finish(TRANSCODER, holder, jobs.Outcome.FAILED)

    job = await stand.job()
    assert (job.failures, job.offer_time - stand.clock.now()) == (1, timedelta(seconds=1))


async def test_an_event_leaves_a_node_that_fell_silent(stand: Stand) -> None:
    await stand.claim()
    assert await stand.node_of_event() == "n1"
    await stand.beat("n2")

    async def look() -> None:
        await stand.beat("n2")
        await stand.steward.look_at_nodes()

    await stand.pass_time(FRESH_S - 1, look, step=1)
    assert await stand.node_of_event() == "n1"
    await stand.pass_time(2, look, step=1)
    assert await stand.node_of_event() == "n2"


async def test_no_job_and_no_event_is_overlooked_however_many_there_are(
    database: Database,
) -> None:
    stand = Stand(database, page=3)
    await stand.beat("n1")
    for n in range(8):  # the same event ids with both tenants, so that pages break between them
        tenant = ("acme", "other")[n % 2]
        await stand.live_event(tenant, f"event-{n // 2}", f"job-{n}", node="gone")

    await stand.steward.look_at_jobs()
    await stand.steward.look_at_nodes()

    assert sorted(stand.world.offered) == [f"job-{n}" for n in range(8)]
    placed = [(p.tenant, p.event.id, p.event.node) for p in await stand.store.open_events()]
    assert placed == [(t, f"event-{n}", "n1") for t in ("acme", "other") for n in range(4)]


async def test_an_event_stays_where_it_is_when_no_other_node_is_there(stand: Stand) -> None:
    await stand.claim()

    await stand.pass_time(60, stand.steward.look_at_nodes, step=1)

    assert await stand.node_of_event() == "n1"


async def test_a_room_that_stood_still_moves_nobody(stand: Stand) -> None:
    await stand.claim()
    await stand.beat("n2")
    await stand.steward.look_at_nodes()

    stand.clock.turn(30)  # e.g. stopped by SIGSTOP; the nodes reported to nobody
    await stand.beat("n2")
    await stand.steward.look_at_nodes()

    assert await stand.node_of_event() == "n1"


async def test_two_rooms_on_one_database_know_each_others_nodes(
    stand: Stand, database: Database
) -> None:
    other = Stand(database)
    await other.board.refresh()

    for _ in range(5):
        stand.clock.turn(2)
        other.clock.turn(2)
        await stand.beat("n1")
        await other.board.refresh()

    (candidate,) = other.board.candidates()
    assert candidate.eligible and candidate.silent_s == 0


async def test_what_must_follow_an_end_is_tried_until_it_has_happened(stand: Stand) -> None:
    now = stand.clock.now()
    for kind in FollowupKind:
        followup = Followup(
            tenant="acme", event="gala", kind=kind, create_time=now, due_time=now, detail="n1"
        )

        async def work(tx: Transaction, followup: Followup = followup) -> None:
            await tx.follow_up(followup)

        await stand.store.atomically("acme", work)
    stand.world.away = True
    await stand.steward.do_followups()
    assert stand.world.told == []

    stand.world.away = False
    await stand.pass_time(2, stand.steward.do_followups)

    assert sorted(stand.world.told) == ["close acme/gala at n1:1", "end acme/gala"]
    await stand.pass_time(60, stand.steward.do_followups, step=10)
    assert len(stand.world.told) == 2


async def test_a_timeline_is_not_closed_under_a_worker_that_still_delivers(stand: Stand) -> None:
    await stand.claim()
    now = stand.clock.now()

    async def end(tx: Transaction) -> None:
        job = await tx.job("job-1")
        assert job is not None
        await tx.put_job(jobs.cancelled(job, now))
        kind = FollowupKind.END_TIMELINE
        await tx.follow_up(
            Followup(tenant="acme", event="launch", kind=kind, create_time=now, due_time=now)
        )

    await stand.store.atomically("acme", end)
    await stand.pass_time(FLUSH.total_seconds() - 0.25, stand.steward.do_followups)
    assert stand.world.told == []
    await stand.pass_time(0.25, stand.steward.do_followups)
    assert stand.world.told == ["end acme/launch"]
