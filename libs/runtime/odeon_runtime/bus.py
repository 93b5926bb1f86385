"""NATS: facts go out through a bounded local outbox, offers and load come in.

Nothing here blocks a caller on NATS: `publish` only queues. While NATS is away facts wait (the
oldest load reports are dropped first, facts never below the limit); what must survive a crash of
the process itself goes through a database outbox in the service instead.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import nats
import nats.errors
import nats.js.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from odeon.events.v1 import events_pb2

from odeon_runtime import subjects, telemetry
from odeon_runtime.logs import logger

OUTBOX_LIMIT = 100_000
_PUBLISH_TIMEOUT_S = 2.0
_RETRY_S = 0.25
_DEDUPE_WINDOW_S = 120.0
_MAX_DELIVERIES = 5
_log = logger(__name__)
_tracer = telemetry.tracer(__name__)

Handler = Callable[[str, events_pb2.Envelope], Awaitable[None]]


def envelope(tenant: str, **fact: object) -> events_pb2.Envelope:
    """A new fact with a fresh id and the present time; `fact` names one field of the oneof."""
    body = events_pb2.Envelope(id=secrets.token_hex(12), tenant_id=tenant, **fact)  # type: ignore[arg-type]
    body.occur_time.FromNanoseconds(time.time_ns())
    return body


@dataclass(slots=True)
class _Waiting:
    subject: str
    body: bytes
    headers: dict[str, str]
    durable: bool


class Offer:
    """A message of a work queue: acknowledge after the effect."""

    def __init__(self, message: Msg, fact: events_pb2.Envelope) -> None:
        self._message = message
        self.fact = fact
        self.subject = message.subject

    async def done(self) -> None:
        """The effect has happened; never deliver again."""
        with suppress(nats.errors.Error):
            await self._message.ack()

    async def again(self, delay_s: float = 0.0) -> None:
        """Not for us now; deliver again after `delay_s`."""
        with suppress(nats.errors.Error):
            await self._message.nak(delay=delay_s or None)


class Bus:
    """One connection to NATS that is never given up. An async context manager.

    Args:
        url: server, e.g. "nats://127.0.0.1:4222"; empty keeps facts in the outbox only.
        name: of the connection, for operators who look at the server.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._client = Client()
        self._outbox: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: list[tuple[str, Handler]] = []
        self.connected = asyncio.Event()
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Messages in the outbox."""
        return len(self._outbox)

    async def __aenter__(self) -> Self:
        """Start connecting; does not wait for NATS."""
        if self._url:
            self._tasks.append(asyncio.create_task(self._connect(), name="bus-connect"))
            self._tasks.append(asyncio.create_task(self._drain_outbox(), name="bus-outbox"))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the outbox a last second, then close."""
        if self.connected.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), 1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # AssertionError: a client that was never connected has nothing to close.
        with suppress(nats.errors.Error, TimeoutError, OSError, AssertionError):
            await asyncio.wait_for(self._client.close(), 1.0)

    def publish(self, subject: str, fact: events_pb2.Envelope, *, durable: bool = True) -> None:
        """Queue a fact; never blocks. Durable ones go to JetStream and are retried until stored."""
        if len(self._outbox) >= OUTBOX_LIMIT and not self._make_room():
            self.dropped += 1
            _log.error("outbox_full", subject=subject, dropped=self.dropped)
            return
        headers = {"Nats-Msg-Id": fact.id, **telemetry.inject()}
        self._outbox.append(_Waiting(subject, fact.SerializeToString(), headers, durable))
        self._empty.clear()
        self._wake.set()

    async def publish_now(self, subject: str, fact: events_pb2.Envelope) -> None:
        """Store a fact in JetStream and return when it is stored.

        Raises:
            nats.errors.Error: it is not known to be stored; repeat with the same fact.
        """
        headers = {"Nats-Msg-Id": fact.id, **telemetry.inject()}
        await self._store(_Waiting(subject, fact.SerializeToString(), headers, True))

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Hear every message of `subject` from now on (core NATS, at most once)."""
        self._subscriptions.append((subject, handler))
        if self.connected.is_set():
            await self._listen(subject, handler)

    async def pull(
        self, stream: str, durable: str, subject: str, *, wait_s: float = 5.0
    ) -> Offer | None:
        """The next message of a work queue, or None after `wait_s` without one."""
        offers = await self.pull_many(stream, durable, subject, limit=1, wait_s=wait_s)
        return offers[0] if offers else None

    async def pull_many(
        self, stream: str, durable: str, subject: str, *, limit: int, wait_s: float = 5.0
    ) -> list[Offer]:
        """Up to `limit` messages of a stream; empty after `wait_s` without any."""
        await self.connected.wait()
        try:
            jetstream = self._client.jetstream(timeout=_PUBLISH_TIMEOUT_S)
            config = ConsumerConfig(
                ack_policy=AckPolicy.EXPLICIT, ack_wait=10, max_deliver=-1, filter_subject=subject
            )
            sub = await jetstream.pull_subscribe(
                subject, durable=durable, stream=stream, config=config
            )
            try:
                messages = await sub.fetch(limit, timeout=wait_s)
            finally:
                with suppress(nats.errors.Error):
                    await sub.unsubscribe()
        except (nats.errors.TimeoutError, TimeoutError):
            return []
        except (nats.errors.Error, nats.js.errors.Error) as error:
            _log.warning("pull_failed", stream=stream, error=str(error))
            await asyncio.sleep(_RETRY_S)
            return []
        parsed = [await self._parsed(message) for message in messages]
        return [offer for offer in parsed if offer is not None]

    async def ensure_streams(self) -> None:
        """Create the two streams if they are missing; safe to repeat."""
        await self.connected.wait()
        jetstream = self._client.jetstream(timeout=_PUBLISH_TIMEOUT_S)
        for config in (
            StreamConfig(
                name=subjects.EVENT_STREAM,
                subjects=[subjects.ALL_FACTS],
                duplicate_window=_DEDUPE_WINDOW_S,
                max_age=7 * 24 * 3600,
                max_bytes=2 * 1024**3,
            ),
            StreamConfig(
                name=subjects.WORK_STREAM,
                subjects=[subjects.ALL_WORK],
                retention=RetentionPolicy.WORK_QUEUE,
                duplicate_window=1.0,
                # One offer of a piece of work waits at a time; a repetition replaces it.
                max_msgs_per_subject=1,
                max_age=3600,
                max_bytes=64 * 1024**2,
            ),
        ):
            try:
                await jetstream.add_stream(config)
            except nats.js.errors.BadRequestError:
                await jetstream.update_stream(config)

    async def _connect(self) -> None:
        while True:
            try:
                await self._client.connect(
                    self._url,
                    name=self._name,
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=1,
                    connect_timeout=2,
                    ping_interval=5,
                    max_outstanding_pings=2,
                    pending_size=1,
                    disconnected_cb=self._on_lost,
                    reconnected_cb=self._on_back,
                    error_cb=self._on_error,
                )
                break
            except (OSError, nats.errors.Error, TimeoutError) as error:
                _log.warning("nats_unreachable", error=type(error).__name__)
                await asyncio.sleep(_RETRY_S)
        for subject, handler in self._subscriptions:
            await self._listen(subject, handler)
        await self._on_back()

    async def _listen(self, subject: str, handler: Handler) -> None:
        async def deliver(message: Msg) -> None:
            offer = await self._parsed(message)
            if offer is None:
                return
            context = telemetry.extract(message.headers or {})
            with _tracer.start_as_current_span(f"heard {offer.fact.WhichOneof('fact')}", context):
                await handler(message.subject, offer.fact)

        await self._client.subscribe(subject, cb=deliver)

    async def _parsed(self, message: Msg) -> Offer | None:
        try:
            return Offer(message, events_pb2.Envelope.FromString(message.data))
        except DecodeError:
            _log.error("poisoned_message", subject=message.subject)
            with suppress(nats.errors.Error):
                await self._client.publish(
                    subjects.DEAD_LETTERS,
                    message.data,
                    headers={"Odeon-Reason": "UNREADABLE", "Odeon-Subject": message.subject},
                )
                if message.reply:
                    await message.term()
            return None

    async def _on_lost(self) -> None:
        self.connected.clear()

    async def _on_back(self) -> None:
        self.connected.set()
        self._wake.set()

    async def _on_error(self, error: Exception) -> None:
        _log.warning("nats_error", error=str(error) or type(error).__name__)

    def _make_room(self) -> bool:
        for index, waiting in enumerate(self._outbox):
            if not waiting.durable:
                del self._outbox[index]
                return True
        return False

    async def _drain_outbox(self) -> None:
        while True:
            await self.connected.wait()
            while self._outbox and self.connected.is_set():
                if await self._send_first():
                    continue
                await asyncio.sleep(_RETRY_S)
            self._wake.clear()
            if not self._outbox:
                self._empty.set()
                await self._wake.wait()

    async def _send_first(self) -> bool:
        waiting = self._outbox[0]
        try:
            if waiting.durable:
                await self._store(waiting)
            else:
                await self._client.publish(waiting.subject, waiting.body, headers=waiting.headers)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
            _log.warning("publish_failed", subject=waiting.subject, error=str(error))
            return False
        if self._outbox and self._outbox[0] is waiting:
            self._outbox.popleft()
        return True

    async def _store(self, waiting: _Waiting) -> None:
        jetstream = self._client.jetstream(timeout=_PUBLISH_TIMEOUT_S)
        await jetstream.publish(
            waiting.subject, waiting.body, headers=waiting.headers, timeout=_PUBLISH_TIMEOUT_S
        )
