"""NATS: facts go out through a bounded local outbox, offers and load come in.

Nothing here blocks a caller on NATS: `publish` only queues (`outbox.py`). What must survive a crash
of the process itself goes through a database outbox in the service instead. What can never be
delivered or worked on is put aside as a dead letter, with the reason, in a stream of its own.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

import nats
import nats.errors
import nats.js.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RetentionPolicy, StreamConfig
from odeon.events.v1 import events_pb2

from odeon_runtime import bus_meters as meters
from odeon_runtime import subjects, telemetry
from odeon_runtime.logs import logger
from odeon_runtime.outbox import Message, Outbox
from odeon_runtime.puller import RETRY_S, TIMEOUT_S, Puller
from odeon_runtime.settings import ServiceSettings
from odeon_runtime.tasks import end

MAX_TRIES = 5
"""Deliveries of a message whose effect fails for its own sake; then it is a dead letter."""
_REFUSED_FOR_GOOD = (
    nats.errors.MaxPayloadError,
    nats.errors.BadSubjectError,
    nats.errors.BadHeaderError,
    nats.js.errors.BadRequestError,
)
"""The same message will be refused again, e.g. as too large; all else may be better in a moment."""
_FAILURES = (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError)
_DEDUPE_WINDOW_S = 120.0
_KEPT_HEADERS = ("Nats-Msg-Id", "traceparent", "tracestate", "Odeon-Deliveries")
_LETTER_HEADERS_BYTES = 4096
_log = logger(__name__)
_tracer = telemetry.tracer(__name__)

Handler = Callable[[str, events_pb2.Envelope], Awaitable[None]]


def envelope(tenant: str, **fact: object) -> events_pb2.Envelope:
    """A new fact with a fresh id and the present time; `fact` names one field of the oneof."""
    body = events_pb2.Envelope(id=secrets.token_hex(12), tenant_id=tenant, **fact)  # type: ignore[arg-type]
    body.occur_time.FromNanoseconds(time.time_ns())
    return body


class Offer:
    """A message of a work queue: acknowledge after the effect."""

    def __init__(self, bus: "Bus", message: Msg, fact: events_pb2.Envelope) -> None:
        self._bus = bus
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

    async def working(self) -> None:
        """Still at it; to be said more often than every ten seconds, or it is delivered again."""
        with suppress(nats.errors.Error):
            await self._message.in_progress()

    async def failed(self, error: Exception, *, delay_s: float = 1.0) -> None:
        """The effect fails because of the message itself: try some times, then put it aside."""
        if self._message.metadata.num_delivered < MAX_TRIES:
            await self.again(delay_s)
        else:
            await self._bus.bury(self._message, "FAILED", error)


def _login(url: str) -> tuple[str | None, str | None]:
    """User and password of the first server that names them.

    Servers that are heard of later have none in their addresses, and want them all the same.
    """
    for server in map(urlsplit, url.split(",")):
        if server.username and server.password:
            return server.username, server.password
    return None, None


class Bus:
    """One connection to NATS that is never given up. An async context manager.

    Args:
        url: server, e.g. "nats://127.0.0.1:4222", or several separated by commas; user and password
            of one are shown to all. Empty keeps facts in the outbox only.
        name: of the connection, for operators who look at the server.
        replicas: servers that keep each stream, where there are several.
    """

    def __init__(self, url: str, *, name: str, replicas: int = 1) -> None:
        self._url = url
        self._name = name
        self.replicas = replicas
        self.client = Client()
        self._outbox = Outbox()
        self._wake = {"facts": asyncio.Event(), "reports": asyncio.Event()}
        self._empty = asyncio.Event()
        self._empty.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: list[tuple[str, Handler]] = []
        self.when_lost: set[Callable[[], None]] = set()
        """Called when the connection breaks: nothing comes of what was asked for through it."""
        self.connected = asyncio.Event()
        self.dropped = 0

    @classmethod
    def of(cls, settings: ServiceSettings, *, name: str) -> Self:
        """The connection of a service that was told where NATS is."""
        return cls(settings.nats_url, name=name, replicas=settings.nats_replicas)

    @property
    def waiting(self) -> int:
        """Messages in the outbox."""
        return len(self._outbox)

    async def __aenter__(self) -> Self:
        """Start connecting; does not wait for NATS."""
        if self._url:
            self._tasks.append(asyncio.create_task(self._connect(), name="bus-connect"))
            self._tasks.append(asyncio.create_task(self._send_facts(), name="bus-facts"))
            self._tasks.append(asyncio.create_task(self._send_reports(), name="bus-reports"))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the outbox a last second, then close."""
        if self.connected.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), 1.0)
        await end(self._tasks)
        # AssertionError: a client that was never connected has nothing to close.
        with suppress(nats.errors.Error, TimeoutError, OSError, AssertionError):
            await asyncio.wait_for(self.client.close(), 1.0)

    def publish(self, subject: str, fact: events_pb2.Envelope, *, durable: bool = True) -> None:
        """Queue a message; never blocks.

        Durable ones, facts, go to JetStream in their order and are repeated until it has them; of
        the others, load reports, the newest of each subject is sent once.
        """
        headers = {"Nats-Msg-Id": fact.id, **telemetry.inject()}
        message = Message(subject, fact.SerializeToString(), headers)
        if not durable:
            self._outbox.add_report(message)
        elif not self._outbox.add_fact(message):
            self.dropped += 1
            meters.DROPPED.inc()
            _log.error("outbox_full", subject=subject, dropped=self.dropped)
            return
        self._empty.clear()
        self._wake["facts" if durable else "reports"].set()

    async def publish_now(self, subject: str, fact: events_pb2.Envelope) -> None:
        """Store a fact in JetStream and return when it is stored.

        Raises:
            nats.errors.Error: it is not known to be stored; repeat with the same fact.
        """
        headers = {"Nats-Msg-Id": fact.id, **telemetry.inject()}
        await self._store(Message(subject, fact.SerializeToString(), headers))

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Hear every message of `subject` from now on (core NATS, at most once)."""
        self._subscriptions.append((subject, handler))
        if self.connected.is_set():
            await self._listen(subject, handler)

    def puller(self, stream: str, durable: str, subject: str) -> Puller:
        """This process's share in the work of a durable consumer; make one and keep it."""
        puller = Puller(self, stream, durable, subject)
        self.when_lost.add(puller.interrupt)
        return puller

    async def ensure_streams(self) -> None:
        """Create the streams if they are missing; safe to repeat."""
        await self.connected.wait()
        jetstream = self.client.jetstream(timeout=TIMEOUT_S)
        for config in (
            StreamConfig(
                name=subjects.EVENT_STREAM,
                subjects=[subjects.ALL_FACTS],
                duplicate_window=_DEDUPE_WINDOW_S,
                max_age=7 * 24 * 3600,
                max_bytes=2 * 1024**3,
                num_replicas=self.replicas,
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
                num_replicas=self.replicas,
            ),
            StreamConfig(
                name=subjects.DEAD_LETTER_STREAM,
                subjects=[subjects.DEAD_LETTERS],
                duplicate_window=_DEDUPE_WINDOW_S,
                max_age=30 * 24 * 3600,
                max_bytes=256 * 1024**2,
                num_replicas=self.replicas,
            ),
        ):
            try:
                await jetstream.add_stream(config)
            except nats.js.errors.BadRequestError:
                await jetstream.update_stream(config)

    async def _connect(self) -> None:
        user, password = _login(self._url)
        while True:
            try:
                await self.client.connect(
                    self._url.split(","),
                    user=user,
                    password=password,
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
                await asyncio.sleep(RETRY_S)
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
            return Offer(self, message, events_pb2.Envelope.FromString(message.data))
        except DecodeError as error:
            await self.bury(message, "UNREADABLE", error)
            return None

    async def bury(self, message: Msg, reason: str, error: Exception) -> None:
        """Put a message that came among the dead letters and end its delivery.

        When that cannot be done just now, it is delivered again later.
        """
        headers = dict(message.headers or {})
        if message.reply:
            place = message.metadata.sequence
            # One letter for a message, however often its end is repeated.
            headers["Nats-Msg-Id"] = f"dead-{message.metadata.stream}-{place.stream}"
            headers["Odeon-Deliveries"] = str(message.metadata.num_delivered)
        letter = Message(message.subject, message.data, headers)
        try:
            await self._bury(letter, reason, error)
            if message.reply:
                await message.term()
        except _FAILURES as failure:
            _log.error("dead_letter_not_kept", subject=message.subject, error=str(failure))

    async def _bury(self, message: Message, reason: str, error: Exception) -> None:
        _log.error("dead_letter", subject=message.subject, reason=reason, error=repr(error))
        trouble = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        kept = {name: message.headers[name] for name in _KEPT_HEADERS if name in message.headers}
        headers = {
            **kept,
            "Odeon-Reason": reason,
            "Odeon-Error": trouble.encode("ascii", "replace").decode(),
            "Odeon-Subject": message.subject.encode("ascii", "replace").decode(),
            "Odeon-Size": str(len(message.body)),
        }
        # What is too large for NATS is named there, not kept.
        fits = len(message.body) + _LETTER_HEADERS_BYTES <= self.client.max_payload
        letter = Message(subjects.DEAD_LETTERS, message.body if fits else b"", headers)
        try:
            await self._store(letter)
        except nats.js.errors.NoStreamResponseError:
            await self.ensure_streams()
            await self._store(letter)
        meters.DEAD_LETTERS.labels(reason).inc()

    async def _on_lost(self) -> None:
        self.connected.clear()
        meters.CONNECTED.set(0)
        for call in tuple(self.when_lost):
            call()

    async def _on_back(self) -> None:
        self.connected.set()
        meters.CONNECTED.set(1)

    async def _on_error(self, error: Exception) -> None:
        _log.warning("nats_error", error=str(error) or type(error).__name__)

    async def _send_facts(self) -> None:
        while True:
            await self.connected.wait()
            message = self._outbox.first_fact
            if message is None:
                await self._rest("facts")
            elif await self._stored(message):
                self._outbox.fact_done()
            else:
                await asyncio.sleep(RETRY_S)

    async def _send_reports(self) -> None:
        while True:
            await self.connected.wait()
            message = self._outbox.first_report
            if message is None:
                await self._rest("reports")
                continue
            # Sent or not, it is over: the next one comes in a moment.
            self._outbox.report_done(message)
            try:
                await self.client.publish(message.subject, message.body, headers=message.headers)
            except _FAILURES as error:
                _log.warning("report_failed", subject=message.subject, error=str(error))

    async def _rest(self, queue: str) -> None:
        """Wait for something to send."""
        self._wake[queue].clear()
        if not self._outbox:
            self._empty.set()
        await self._wake[queue].wait()

    async def _stored(self, message: Message) -> bool:
        """Whether nothing is left to do for this fact."""
        try:
            try:
                await self._store(message)
            except _REFUSED_FOR_GOOD as error:
                await self._bury(message, "REFUSED", error)
        except _FAILURES as error:
            _log.warning("publish_failed", subject=message.subject, error=str(error))
            return False
        return True

    async def _store(self, message: Message) -> None:
        jetstream = self.client.jetstream(timeout=TIMEOUT_S)
        await jetstream.publish(
            message.subject, message.body, headers=message.headers, timeout=TIMEOUT_S
        )
