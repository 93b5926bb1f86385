"""One claimed job: its process, its seat on the stage, its claim and its timeline.

Losing room, recorder, node or NATS never stops the process; only losing the claim or the timeline,
the end of the event, or a drain does.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from odeon_runtime.logs import logger

from odeon_transcoder import messages
from odeon_transcoder.ports import (
    Assignment,
    JobNotOurs,
    JobProcess,
    Outcome,
    Rooms,
    StageClosed,
    StageConnection,
    Stages,
    TimelineHeld,
    TimelineRefused,
    Timelines,
    TimelineUnwritten,
    Tokens,
    Unreachable,
)
from odeon_transcoder.usecases.spares import Spares

_log = logger(__name__)

RENEW_S = 0.5
HEARTBEAT_S = 0.3
_LIVE_S = 1.0
"""Heartbeats follow signs of life: none is sent for a process that is older than this silent."""
_FIRST_RETRY_S = 0.1
_MAX_RETRY_S = 2.0
_SECOND_LOOK_S = 0.2
_MAX_CRASHES = 6
_CRASH_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class JobConfig:
    """What the transcoder's settings say about every job."""

    worker: str
    ingest_url: str
    media_host: str
    encoder: str = "libx264"
    preset: str = "veryfast"
    decode_device: str = ""
    max_frame_rate: int = 0
    patience_s: float = 0.4
    slate_after_s: float = 10.0
    watchdog_s: float = 2.0
    flush_s: float = 6.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The peers of a job."""

    rooms: Rooms
    timelines: Timelines
    stages: Stages
    tokens: Tokens
    spares: Spares
    count: Callable[[messages.Status, messages.Status], None] = lambda before, now: None
    """Told every status of a process beside the one before it, the last one included."""


@dataclass(slots=True)
class _Stop:
    """Why and how the job must end; the first reason counts."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: Outcome | None = None
    flush: bool = True
    detail: str = ""

    def ask(self, outcome: Outcome | None, *, flush: bool, detail: str) -> None:
        if not self.asked.is_set():
            self.outcome, self.flush, self.detail = outcome, flush, detail
            self.asked.set()


class JobRun:
    """Runs one job to its end; `run` returns when nothing is left of it."""

    def __init__(
        self,
        assignment: Assignment,
        config: JobConfig,
        around: Surroundings,
    ) -> None:
        self.assignment = assignment
        self.started_unix_s = time.time()
        self.status = messages.Status()
        self.restarts = 0
        self._config = config
        self._around = around
        self._owner = f"{config.worker}-{assignment.job_id}"[:63]
        self._process: JobProcess | None = None
        self._has_process = asyncio.Event()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._seen_s = time.monotonic()
        self._epoch = 0
        self._connection: StageConnection | None = None
        self._rejoin = asyncio.Event()
        self._stop = _Stop()
        self._crashes: deque[float] = deque(maxlen=_MAX_CRASHES)

    @property
    def pid(self) -> int:
        """Process id of the present process; 0 between two."""
        return self._process.pid if self._process is not None else 0

    @property
    def ending(self) -> bool:
        """Whether it only delivers what it has and lets go of the job."""
        return self._stop.asked.is_set()

    def release(self) -> None:
        """Deliver what is encoded and give the job back for another worker."""
        self._stop.ask(Outcome.RELEASED, flush=True, detail="drained")

    async def run(self) -> None:
        """Run until the event ends, the job is lost or released."""
        async with asyncio.TaskGroup() as group:
            side = [
                group.create_task(work, name=f"{name}-{self.assignment.job_id}")
                for name, work in self._side_tasks().items()
            ]
            await self._drive()
            for task in side:
                task.cancel()
        await self._give_back()

    def _side_tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "renew": self._keep_claim(),
            "watch": self._follow_room(),
            "stage": self._keep_seat(),
            "heartbeat": self._keep_epoch(),
        }

    # The process

    async def _drive(self) -> None:
        """One process after the other until the job ends."""
        while not self._stop.asked.is_set():
            process = await self._take_process()
            if process is None:
                return
            try:
                reason = await self._supervise(process)
            finally:
                self._process, self._epoch = None, 0
                self._has_process.clear()
                self._rejoin.set()
                await process.kill()
            _log.info("process_ended", job=self.assignment.job, reason=reason, pid=process.pid)
            if reason in ("STOPPED", "ENDED"):
                self._stop.ask(Outcome.DONE, flush=False, detail=reason)
            else:
                await self._after_crash(reason)

    async def _take_process(self) -> JobProcess | None:
        """The next warm process; None when the job has to stop before there is one."""
        taking = asyncio.create_task(self._around.spares.take(), name="take-process")
        asked = asyncio.create_task(self._stop.asked.wait(), name="stop-asked")
        await asyncio.wait({taking, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if taking.done():
            return taking.result()
        taking.cancel()
        return None

    async def _after_crash(self, reason: str) -> None:
        """Go on at once the first time, later with pauses, and give up when it keeps dying."""
        now = time.monotonic()
        recent = [at for at in self._crashes if now - at < _CRASH_WINDOW_S]
        self._crashes.append(now)
        self.restarts += 1
        if len(recent) >= _MAX_CRASHES - 1:
            self._stop.ask(Outcome.FAILED, flush=False, detail=f"keeps ending: {reason}")
        elif reason in ("FENCED", "REFUSED"):
            # Somebody else owns the timeline. If the claim is lost too, renewing will say so.
            await self._pause(1.0)
        elif recent:
            await self._pause(min(_FIRST_RETRY_S * 2 ** len(recent), _MAX_RETRY_S))

    async def _supervise(self, process: JobProcess) -> str:
        """Start the job in a process and follow it; why it ended, CRASHED if it did not say."""
        process.send(await self._start_command())
        process.send(self.assignment.layout)
        self._seen_s, self._process = time.monotonic(), process
        self._has_process.set()
        reader = asyncio.create_task(self._read(process), name="reports")
        watchdog = asyncio.create_task(self._watch(process), name="watchdog")
        stopper = asyncio.create_task(self._stop_process(process), name="stop-process")
        try:
            return await reader
        finally:
            for task in (watchdog, stopper, reader):
                task.cancel()
            await asyncio.gather(watchdog, stopper, reader, return_exceptions=True)

    async def _start_command(self) -> messages.Start:
        config, assignment = self._config, self.assignment
        return messages.Start(
            job=assignment.job,
            tenant=assignment.tenant,
            event=assignment.event,
            profile=assignment.profile,
            ingest_url=config.ingest_url,
            token=await self._token(),
            media_host=config.media_host,
            max_frame_rate=config.max_frame_rate,
            encoder=config.encoder,
            preset=config.preset,
            decode_device=config.decode_device,
            patience_s=config.patience_s,
            slate_after_s=config.slate_after_s,
        )

    async def _token(self) -> str:
        try:
            return await self._around.tokens.get()
        except Unreachable:
            # The process asks again when the recorder wants a better one.
            return ""

    async def _read(self, process: JobProcess) -> str:
        """Follow a process to its end; what was being done for it ends with it."""
        async with asyncio.TaskGroup() as group:
            try:
                return await self._hear(process, group)
            finally:
                # Asking on while the recorder is away would hold up the successor, and then get
                # an epoch that nobody writes.
                for task in self._busy.values():
                    task.cancel()

    async def _hear(self, process: JobProcess, group: asyncio.TaskGroup) -> str:
        before = messages.Status()
        async for report in process.reports():
            self._seen_s = time.monotonic()
            match report:
                case messages.Status():
                    self._around.count(before, report)
                    before = self.status = report
                case messages.Acquire():
                    self._once(group, "acquire", self._acquire(process, report))
                case messages.WantToken():
                    self._once(group, "token", self._renew_token(process))
                case messages.Ended():
                    return report.reason
                case _:
                    self._to_stage(report)
        return "CRASHED"

    def _once(self, group: asyncio.TaskGroup, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do something for the process unless it is being done: what it says is not trusted."""
        if name in self._busy:
            work.close()
            return
        self._busy[name] = group.create_task(work, name=name)
        self._busy[name].add_done_callback(lambda _: self._busy.pop(name))

    def _to_stage(self, report: messages.Report) -> None:
        match report:
            case messages.Answer() if self._connection is not None:
                self._connection.answer(report)
            case messages.WantLayer() if self._connection is not None:
                self._connection.want_layer(report)
            case messages.MediaLost():
                _log.warning("media_lost", job=self.assignment.job, reason=report.reason)
                self._rejoin.set()

    async def _watch(self, process: JobProcess) -> None:
        """Kill a process that gives no sign of life: an encoder or a driver may hang."""
        limit_s = self._config.watchdog_s
        while True:
            left = self._seen_s + limit_s - time.monotonic()
            if left <= 0:
                # Perhaps it was this process that stood still: let the reader look first.
                await asyncio.sleep(_SECOND_LOOK_S)
                if self._seen_s + limit_s < time.monotonic():
                    break
            await asyncio.sleep(max(left, limit_s / 8))
        _log.error("process_hangs", job=self.assignment.job, pid=process.pid)
        await process.kill()

    async def _stop_process(self, process: JobProcess) -> None:
        await self._stop.asked.wait()
        process.send(messages.Finish(flush=self._stop.flush))
        await asyncio.sleep(self._config.flush_s if self._stop.flush else 1.0)
        await process.kill()

    async def _renew_token(self, process: JobProcess) -> None:
        if token := await self._token():
            process.send(messages.Token(token))

    # The timeline

    async def _acquire(self, process: JobProcess, ask: messages.Acquire) -> None:
        while not self._stop.asked.is_set():
            try:
                granted = await self._around.timelines.acquire(
                    self.assignment, self._owner, ask.renditions
                )
            except TimelineHeld as held:
                await self._pause(min(max(held.retry_after_s, 0.05), 1.0))
            except Unreachable:
                await self._pause(0.2)
            except TimelineUnwritten:
                process.send(messages.NothingWritten())
                return
            except TimelineRefused as refused:
                process.send(messages.Refused(refused.reason))
                if refused.reason == "TIMELINE_ENDED":
                    self._stop.ask(Outcome.DONE, flush=False, detail=refused.reason)
                return
            else:
                self._epoch = granted.epoch
                process.send(granted)
                return

    async def _keep_epoch(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            epoch, process = self._epoch, self._process
            if not epoch or process is None or time.monotonic() - self._seen_s > _LIVE_S:
                continue
            try:
                await self._around.timelines.heartbeat(self.assignment, self._owner, epoch)
            except Unreachable:
                continue
            except TimelineRefused as refused:
                if epoch == self._epoch and process is self._process:
                    _log.warning("fenced", job=self.assignment.job, reason=refused.reason)
                    self._epoch = 0
                    process.send(messages.Finish(flush=False))

    # The claim

    async def _keep_claim(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                fresh = await self._around.rooms.renew(
                    self.assignment, self._config.worker, self._summary()
                )
            except Unreachable:
                continue
            except JobNotOurs as error:
                self._stop.ask(None, flush=False, detail=f"lost: {error}")
                return
            self._apply(fresh)

    async def _follow_room(self) -> None:
        while True:
            try:
                async for fresh in self._around.rooms.watch(self.assignment, self._config.worker):
                    self._apply(fresh)
            except Unreachable:
                pass
            except JobNotOurs as error:
                self._stop.ask(None, flush=False, detail=f"lost: {error}")
                return
            await asyncio.sleep(RENEW_S)

    def _apply(self, fresh: Assignment) -> None:
        """Follow what room says: layout, node, end. Its answers carry no join token."""
        if fresh.cancelled:
            self._stop.ask(Outcome.DONE, flush=True, detail="the event ended")
            return
        before, token = self.assignment, fresh.join_token or self.assignment.join_token
        self.assignment = replace(fresh, join_token=token)
        if fresh.layout != before.layout and self._process is not None:
            self._process.send(fresh.layout)
        if fresh.node_address and fresh.node_address != before.node_address:
            _log.info("node_changed", job=fresh.job, node=fresh.node_address)
            self._rejoin.set()

    async def _give_back(self) -> None:
        stop = self._stop
        if stop.outcome is None:
            _log.warning("job_lost", job=self.assignment.job, detail=stop.detail)
            return
        for _ in range(10):
            try:
                await self._around.rooms.finish(
                    self.assignment, self._config.worker, stop.outcome, stop.detail
                )
            except Unreachable:
                await asyncio.sleep(0.3)
            except JobNotOurs:
                return
            else:
                return

    def _summary(self) -> str:
        rungs = " ".join(
            r.track if r.running else f"({r.track}:{r.reason})" for r in self.status.rungs
        )
        return f"{self._config.encoder} {rungs} {'slate' if self.status.slate else ''}".strip()

    # The seat

    async def _keep_seat(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            await self._has_process.wait()
            process = self._process
            if process is None or not self.assignment.node_address:
                await asyncio.sleep(_FIRST_RETRY_S)
                await self._fresh_seat()
                continue
            self._rejoin.clear()
            begun = time.monotonic()
            try:
                await self._sit(process)
            except (StageClosed, Unreachable) as error:
                _log.info("seat_lost", job=self.assignment.job, reason=str(error))
            if self._process is not process:
                # Its successor sits down at once, with the token that it has.
                retry_s = _FIRST_RETRY_S
                continue
            retry_s = _FIRST_RETRY_S if time.monotonic() - begun > 10 else retry_s
            if not self._rejoin.is_set():
                await self._wait_for(self._rejoin, retry_s)
            elif time.monotonic() - begun < 1:
                await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, _MAX_RETRY_S)
            await self._fresh_seat()

    async def _sit(self, process: JobProcess) -> None:
        """Hold one stage connection until it breaks or another one is wanted."""
        assignment = self.assignment
        async with self._around.stages.open(
            assignment.node_address, assignment.join_token
        ) as connection:
            process.send(messages.Join())
            self._connection = connection
            forward = asyncio.create_task(self._forward(connection, process), name="stage-read")
            rejoin = asyncio.create_task(self._rejoin.wait(), name="stage-rejoin")
            try:
                await asyncio.wait({forward, rejoin}, return_when=asyncio.FIRST_COMPLETED)
                if forward.done():
                    forward.result()
            finally:
                self._connection = None
                for task in (forward, rejoin):
                    task.cancel()
                await asyncio.gather(forward, rejoin, return_exceptions=True)

    async def _forward(self, connection: StageConnection, process: JobProcess) -> None:
        async for command in connection.commands():
            process.send(command)

    async def _fresh_seat(self) -> None:
        """A new join token and perhaps another node; what we have may still do."""
        try:
            fresh = await self._around.rooms.claim(self.assignment.job, self._config.worker)
        except (Unreachable, JobNotOurs):
            return
        self._apply(fresh)

    # Waiting

    async def _pause(self, seconds: float) -> None:
        await self._wait_for(self._stop.asked, seconds)

    @staticmethod
    async def _wait_for(event: asyncio.Event, seconds: float) -> None:
        # Not wait_for: before Python 3.12 it loses a cancellation that comes with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
