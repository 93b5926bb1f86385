"""NATS: facts go out through a bounded local outbox, offers and load come in.

Nothing here blocks a caller on NATS: `publish` only queues. While NATS is away facts wait (the
oldest load reports are dropped first, facts never below the limit); what must survive a crash of
the process itself goes through a database outbox in the service instead.
"""

import asyncio
import json
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
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from odeon.events.v1 import events_pb2

from odeon_runtime import subjects, telemetry
from odeon_runtime.logs import logger

OUTBOX_LIMIT = 100_000
_PUBLISH_TIMEOUT_S = 2.0
_RETRY_S = 0.25
_DEDUPE_WINDOW_S = 120.0
_NS = 1_000_000_000
_ACK_WAIT_S = 10.0
_HEARTBEAT_S = 5.0
_SILENT_HEARTBEATS = 2.5
_LEAST_SILENCE_S = 2.0
"""A busy machine delays a heartbeat by this much; a wait of a moment wants them more often."""
_ENDS_OF_A_WAIT = ("404", "408")
"""Statuses of ADR-13 that end a pull request in peace: no messages, and time is up."""
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
        self.client = Client()
        self._outbox: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: list[tuple[str, Handler]] = []
        self._pullers: list[Puller] = []
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
            await asyncio.wait_for(self.client.close(), 1.0)

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

    def puller(self, stream: str, durable: str, subject: str) -> "Puller":
        """This process's share in the work of a durable consumer; make one and keep it."""
        puller = Puller(self, stream, durable, subject)
        self._pullers.append(puller)
        return puller

    async def ensure_streams(self) -> None:
        """Create the two streams if they are missing; safe to repeat."""
        await self.connected.wait()
        jetstream = self.client.jetstream(timeout=_PUBLISH_TIMEOUT_S)
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
                await self.client.connect(
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
            offer = await self.parsed(message)
            if offer is None:
                return
            context = telemetry.extract(message.headers or {})
            with _tracer.start_as_current_span(f"heard {offer.fact.WhichOneof('fact')}", context):
                await handler(message.subject, offer.fact)

        await self.client.subscribe(subject, cb=deliver)

    async def parsed(self, message: Msg) -> Offer | None:
        """A message as a fact; None for an unreadable one, which goes to the dead letters."""
        try:
            return Offer(message, events_pb2.Envelope.FromString(message.data))
        except DecodeError:
            _log.error("poisoned_message", subject=message.subject)
            with suppress(nats.errors.Error):
                await self.client.publish(
                    subjects.DEAD_LETTERS,
                    message.data,
                    headers={"Odeon-Reason": "UNREADABLE", "Odeon-Subject": message.subject},
                )
                if message.reply:
                    await message.term()
            return None

    async def _on_lost(self) -> None:
        self.connected.clear()
        for puller in self._pullers:
            puller.interrupt()

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
                await self.client.publish(waiting.subject, waiting.body, headers=waiting.headers)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
            _log.warning("publish_failed", subject=waiting.subject, error=str(error))
            return False
        if self._outbox and self._outbox[0] is waiting:
            self._outbox.popleft()
        return True

    async def _store(self, waiting: _Waiting) -> None:
        jetstream = self.client.jetstream(timeout=_PUBLISH_TIMEOUT_S)
        await jetstream.publish(
            waiting.subject, waiting.body, headers=waiting.headers, timeout=_PUBLISH_TIMEOUT_S
        )


class Puller:
    """Waits for the messages of a durable consumer. One task at a time uses it.

    The subscription is kept over all waits: making one anew for each would cost three requests
    every time, and what NATS hands over just then would be lost until its redelivery. It is made
    again when the connection broke, the consumer or stream went away, or heartbeats stay out (the
    consumer moved to another server). The protocol is that of NATS ADR-13.
    """

    def __init__(self, bus: Bus, stream: str, durable: str, subject: str) -> None:
        self._bus = bus
        self._stream = stream
        self._durable = durable
        self._subject = subject
        self._inbox: Subscription | None = None
        self._heard: asyncio.Queue[Msg] = asyncio.Queue()
        self._due = 0
        """Messages that the present request may still bring; 0 when there is none."""
        self._silence: asyncio.Timeout | None = None
        self._trouble = ""

    async def next(self, *, wait_s: float) -> Offer | None:
        """The next message, or None after about `wait_s` without one."""
        offers = await self.batch(1, wait_s=wait_s)
        return offers[0] if offers else None

    async def batch(self, limit: int, *, wait_s: float) -> list[Offer]:
        """Up to `limit` messages that are there, or the first one; empty after about `wait_s`.

        Without NATS it waits for as long as that takes.
        """
        await self._bus.connected.wait()
        try:
            messages = await self._messages(limit, wait_s)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            await self._fail(error)
            return []
        self._trouble = ""
        parsed = [await self._bus.parsed(message) for message in messages]
        return [offer for offer in parsed if offer is not None]

    def interrupt(self) -> None:
        """The connection broke: nothing will come of the present request."""
        self._due = 0
        if self._silence is not None:
            self._silence.reschedule(0)

    async def _messages(self, limit: int, wait_s: float) -> list[Msg]:
        inbox = self._inbox or await self._open()
        heartbeat_s = min(_HEARTBEAT_S, wait_s / 3)
        messages: list[Msg] = []
        while not messages or (len(messages) < limit and not self._heard.empty()):
            if not self._due:
                await self._ask(inbox, limit, wait_s, heartbeat_s)
            message = await self._hear(max(heartbeat_s * _SILENT_HEARTBEATS, _LEAST_SILENCE_S))
            if (status := _status(message)) is None:
                self._due -= 1
                messages.append(message)
            elif status in _ENDS_OF_A_WAIT:
                self._due = 0
                break
            elif status != "100":
                raise nats.errors.Error(f"{status} {(message.headers or {}).get('Description')}")
        return messages

    async def _hear(self, patience_s: float) -> Msg:
        """The next message or status; raises TimeoutError when nothing comes any more."""
        try:
            async with asyncio.timeout(patience_s) as self._silence:
                return await self._heard.get()
        finally:
            self._silence = None

    async def _open(self) -> Subscription:
        """Make the consumer if it is missing, and an inbox of our own."""
        jetstream = self._bus.client.jetstream(timeout=_PUBLISH_TIMEOUT_S)
        try:
            await jetstream.consumer_info(self._stream, self._durable)
        except nats.js.errors.NotFoundError:
            config = ConsumerConfig(
                durable_name=self._durable,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=_ACK_WAIT_S,
                max_deliver=-1,
                filter_subject=self._subject,
            )
            await jetstream.add_consumer(self._stream, config)
        self._heard, self._due = asyncio.Queue(), 0
        client = self._bus.client
        self._inbox = await client.subscribe(client.new_inbox(), cb=self._heard.put)
        return self._inbox

    async def _ask(
        self, inbox: Subscription, limit: int, wait_s: float, heartbeat_s: float
    ) -> None:
        request = {
            "batch": limit,
            "expires": int(wait_s * _NS),
            "idle_heartbeat": int(heartbeat_s * _NS),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}"
        await self._bus.client.publish(subject, json.dumps(request).encode(), reply=inbox.subject)
        self._due = limit

    async def _fail(self, error: Exception) -> None:
        """Forget the subscription; a trouble that lasts is told once."""
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            with suppress(nats.errors.Error):
                await inbox.unsubscribe()
        if not self._bus.connected.is_set():
            return
        trouble = str(error) or type(error).__name__
        if trouble != self._trouble:
            self._trouble = trouble
            if isinstance(error, nats.js.errors.NotFoundError):
                _log.info("stream_awaited", stream=self._stream)
            else:
                _log.warning("pull_failed", stream=self._stream, error=trouble)
        await asyncio.sleep(_RETRY_S)


def _status(message: Msg) -> str | None:
    """The status that NATS itself sends into an inbox; None for a message of the stream."""
    return None if message.data else (message.headers or {}).get("Status")
