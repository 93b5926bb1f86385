"""Buckets of NATS KV over the bus's connection.

A bucket here never lets "not known" pass for "not there": reading raises `BucketUnknown`, and a
watch says `Mark.UNKNOWN`, whenever NATS, JetStream or the bucket itself is away.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    StorageType,
    StreamConfig,
)

from odeon_runtime.bus import Bus
from odeon_runtime.logs import logger
from odeon_runtime.puller import silence_s, status_of

_TIMEOUT_S = 2.0
_RETRY_S = 0.25
_DEDUPE_WINDOW_S = 120.0
_WAITING = 4096
"""Entries that wait for whoever watches; the connection holds more."""
_MAX_VALUE_BYTES = 8192
_MAX_BYTES = 64 * 1024**2
"""Of a bucket; a hundred thousand pods take less."""
_NO_STREAM, _NO_MESSAGE, _OTHER_CONFIG, _NO_MESSAGE_TTL = 10059, 10037, 10058, 10166
_WRONG_LAST = 10071
"""NATS's error codes: stream not found, no message found, stream exists with another config,
per-message TTL is disabled, the last revision of the key is another one."""
_EPOCH = datetime.fromtimestamp(0, UTC)
_OPERATION, _PURGE = "KV-Operation", "PURGE"
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_GONE = ("DEL", _PURGE)
_FAILURES = (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError)
_log = logger(__name__)


class BucketUnknown(Exception):
    """What a bucket holds is not known now, or whether it has taken what was written."""


class Superseded(Exception):
    """Somebody wrote the key since the revision that a write was to follow."""


class Mark(Enum):
    """What a watch says besides entries."""

    CURRENT = "current"
    """All that was there has been told: a key that was not is not there."""
    UNKNOWN = "unknown"
    """Nothing is known from now on; entries and CURRENT follow anew."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The newest that was written under a key.

    Attributes:
        value: None after a removal.
        revision: grows with every write to the bucket, until the bucket is made anew.
        stored: when NATS took it, by its clock.
    """

    key: str
    value: bytes | None
    revision: int
    stored: datetime


class Bucket:
    """One bucket; made where it is missing, by whoever comes first.

    Args:
        bus: its connection carries everything.
        name: of the bucket.
        ttl_s: entries vanish after this long; None keeps them.
        durable: on disk, else in memory.
        marker_ttl_s: how long a removal can be told from an absence.
        heartbeat_s: how often NATS says to a watch that nothing came.
    """

    def __init__(
        self,
        bus: Bus,
        name: str,
        *,
        ttl_s: float | None = None,
        durable: bool = True,
        marker_ttl_s: float = 24 * 3600.0,
        heartbeat_s: float = 5.0,
    ) -> None:
        self._bus = bus
        self.name = name
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."
        self._marker_ttl_s = marker_ttl_s
        self._heartbeat_s = heartbeat_s
        self._config = StreamConfig(
            name=self._stream,
            subjects=[f"{self._prefix}>"],
            max_msgs_per_subject=1,
            max_msg_size=_MAX_VALUE_BYTES,
            max_bytes=_MAX_BYTES,
            num_replicas=bus.replicas,
            max_age=ttl_s,
            discard=DiscardPolicy.NEW,
            storage=StorageType.FILE if durable else StorageType.MEMORY,
            duplicate_window=min(_DEDUPE_WINDOW_S, ttl_s or _DEDUPE_WINDOW_S),
            allow_rollup_hdrs=True,
            allow_msg_ttl=True,
            deny_delete=True,
            # A follower may answer direct reads, with what it has heard so far. "No record" from
            # one that lags would let a drained pod work.
            allow_direct=False,
        )

    async def ensure(self) -> None:
        """Make the bucket if it is missing; one that is there stays as somebody configured it.

        Raises:
            BucketUnknown: it cannot be said whether there is one.
        """
        jetstream = self._jetstream()
        try:
            await jetstream.add_stream(self._config)
        except nats.js.errors.APIError as error:
            if error.err_code != _OTHER_CONFIG:
                raise BucketUnknown(_told(error)) from error
        except _FAILURES as error:
            raise BucketUnknown(_told(error)) from error

    async def get(self, key: str) -> Entry | None:
        """The newest of a key, as the stream's leader knows it; None for a key without a trace.

        Raises:
            BucketUnknown: NATS does not say.
        """
        jetstream = self._jetstream()
        try:
            found = await jetstream.get_msg(self._stream, subject=self._prefix + key)
        except nats.js.errors.NotFoundError as error:
            if error.err_code == _NO_MESSAGE:
                return None
            if error.err_code != _NO_STREAM:
                raise BucketUnknown(_told(error)) from error
            await self.ensure()
            return None
        except _FAILURES as error:
            raise BucketUnknown(_told(error)) from error
        gone = (found.headers or {}).get(_OPERATION) in _GONE
        value = None if gone else found.data or b""
        return Entry(key, value, found.seq or 0, found.time or _EPOCH)

    async def put(self, key: str, value: bytes, *, after: int | None = None) -> int:
        """Write, and return the revision when it is stored.

        Args:
            key: where.
            value: what.
            after: the revision that this is to follow, 0 for a key without any; None: whichever.

        Raises:
            BucketUnknown: it is not known to be stored; it may be, or may still come to be.
            Superseded: another revision stands by now.
        """
        if after is None:
            return await self._publish(key, value, {})
        try:
            return await self._publish(key, value, {_EXPECTED: str(after)})
        except BucketUnknown as error:
            if getattr(error.__cause__, "err_code", None) != _WRONG_LAST:
                raise
            raise Superseded(str(error)) from error

    async def remove(self, key: str) -> int:
        """Leave a marker that says that the key is gone; of a key that was never there, too.

        Raises:
            BucketUnknown: as `put`.
        """
        headers = {_OPERATION: _PURGE, "Nats-Rollup": "sub"}
        ends = {"Nats-TTL": f"{int(self._marker_ttl_s)}s"}
        try:
            return await self._publish(key, b"", headers | ends)
        except BucketUnknown as error:
            if getattr(error.__cause__, "err_code", None) != _NO_MESSAGE_TTL:
                raise
        # Somebody made the bucket without times for single messages: the marker stays for good.
        return await self._publish(key, b"", headers)

    async def watch(self, key: str = ">") -> AsyncGenerator[Entry | Mark, None]:
        """The newest of each key, then CURRENT, then every change; UNKNOWN when the thread breaks.

        It never ends by itself. Entries whose time is up vanish without a word. Close it (with
        `contextlib.aclosing`) when leaving it early.
        """
        trouble = ""
        while True:
            await self._bus.connected.wait()
            try:
                async with aclosing(self._told(key)) as telling:
                    async for told in telling:
                        trouble = ""
                        yield told
            except (BucketUnknown, *_FAILURES) as error:
                if _told(error) != trouble and self._bus.connected.is_set():
                    trouble = _told(error)
                    _log.warning("watch_broke", bucket=self.name, error=trouble)
            yield Mark.UNKNOWN
            await asyncio.sleep(_RETRY_S)

    async def _told(self, key: str) -> AsyncGenerator[Entry | Mark, None]:
        """One watch, until it breaks."""
        heard: asyncio.Queue[Msg | None] = asyncio.Queue(_WAITING)
        client = self._bus.client

        def lost() -> None:
            # One that is full has enough to tell; the silence after it will do.
            with suppress(asyncio.QueueFull):
                heard.put_nowait(None)

        self._bus.when_lost.add(lost)
        inbox = await client.subscribe(client.new_inbox(), cb=heard.put)
        try:
            consumer = await self._consume(key, inbox.subject)
            async with aclosing(self._in_order(heard, consumer)) as telling:
                async for told in telling:
                    yield told
        finally:
            self._bus.when_lost.discard(lost)
            with suppress(*_FAILURES):
                await inbox.unsubscribe()

    async def _consume(self, key: str, inbox: str) -> ConsumerInfo:
        """Have the newest of each key and every change sent to an inbox."""
        await self.ensure()
        config = ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            filter_subject=self._prefix + key,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            idle_heartbeat=self._heartbeat_s,
            mem_storage=True,
            num_replicas=1,
        )
        return await self._jetstream().add_consumer(self._stream, config)

    async def _in_order(
        self, heard: "asyncio.Queue[Msg | None]", consumer: ConsumerInfo
    ) -> AsyncGenerator[Entry | Mark, None]:
        """Entries as long as none is missing and heartbeats come."""
        patience_s = silence_s(self._heartbeat_s)
        last, current = 0, False
        if not consumer.num_pending and not (
            consumer.delivered and consumer.delivered.consumer_seq
        ):
            current = True
            yield Mark.CURRENT
        while True:
            async with asyncio.timeout(patience_s):
                message = await heard.get()
            if message is None:
                raise BucketUnknown("the connection broke")
            idle = _is_heartbeat(message, last)
            if not idle:
                last += 1
                yield self._entry(message, last)
            if not current and (idle or not message.metadata.num_pending):
                current = True
                yield Mark.CURRENT

    def _entry(self, message: Msg, number: int) -> Entry:
        place = message.metadata
        if place.sequence.consumer != number:
            raise BucketUnknown("entries are missing")
        headers = message.headers or {}
        gone = headers.get(_OPERATION) in _GONE or "Nats-Marker-Reason" in headers
        return Entry(
            message.subject.removeprefix(self._prefix),
            None if gone else message.data,
            place.sequence.stream,
            place.timestamp or _EPOCH,
        )

    async def _publish(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        jetstream = self._jetstream()
        subject = self._prefix + key
        try:
            try:
                stored = await jetstream.publish(subject, value, headers=headers)
            except nats.js.errors.NoStreamResponseError:
                await self.ensure()
                stored = await jetstream.publish(subject, value, headers=headers)
        except _FAILURES as error:
            raise BucketUnknown(_told(error)) from error
        return int(stored.seq)

    def _jetstream(self) -> "nats.js.JetStreamContext":
        if not self._bus.connected.is_set():
            raise BucketUnknown("NATS is away")
        return self._bus.client.jetstream(timeout=_TIMEOUT_S)


def _is_heartbeat(message: Msg, last: int) -> bool:
    """Whether NATS says that nothing came after the last entry; raises BucketUnknown if it did."""
    status, headers = status_of(message), message.headers or {}
    if status is None:
        return False
    if status != "100":
        raise BucketUnknown(f"{status} {headers.get('Description')}")
    if int(headers.get("Nats-Last-Consumer", last)) != last:
        raise BucketUnknown("entries are missing")
    return True


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
