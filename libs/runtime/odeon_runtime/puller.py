"""Waiting for the messages of a durable consumer, by the protocol of NATS ADR-13."""

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig

from odeon_runtime.logs import logger

if TYPE_CHECKING:
    from odeon_runtime.bus import Bus, Offer

TIMEOUT_S = 2.0
"""Of one request to JetStream."""
RETRY_S = 0.25
"""After a failure, until the next try."""
_NS = 1_000_000_000
_ACK_WAIT_S = 10.0
_HEARTBEAT_S = 5.0
_SILENT_HEARTBEATS = 2.5
_LEAST_SILENCE_S = 2.0
"""A busy machine delays a heartbeat by this much; a wait of a moment wants them more often."""
_ENDS_OF_A_WAIT = ("404", "408")
"""Statuses that end a pull request in peace: no messages, and time is up."""
_log = logger(__name__)


class Puller:
    """Waits for the messages of a durable consumer. One task at a time uses it.

    The subscription is kept over all waits: making one anew for each would cost three requests
    every time, and what NATS hands over just then would be lost until its redelivery. It is made
    again when the connection broke, the consumer or stream went away, or heartbeats stay out (the
    consumer moved to another server).
    """

    def __init__(self, bus: "Bus", stream: str, durable: str, subject: str) -> None:
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

    async def next(self, *, wait_s: float) -> "Offer | None":
        """The next message, or None after about `wait_s` without one."""
        offers = await self.batch(1, wait_s=wait_s)
        return offers[0] if offers else None

    async def batch(self, limit: int, *, wait_s: float) -> "list[Offer]":
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

    async def put_back(self) -> None:
        """Ask for nothing any more; what came meanwhile goes to others at once.

        For one that was cancelled while it waited: its request would bring a message that nobody
        here takes, and that others would get only when its time to be acknowledged is over.
        """
        inbox, self._inbox, self._due = self._inbox, None, 0
        if inbox is None:
            return
        with suppress(nats.errors.Error, TimeoutError, OSError):
            await inbox.drain()  # type: ignore[no-untyped-call]
            while not self._heard.empty():
                if status_of(message := self._heard.get_nowait()) is None:
                    await message.nak()

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
            message = await self._hear(silence_s(heartbeat_s))
            if (status := status_of(message)) is None:
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
        jetstream = self._bus.client.jetstream(timeout=TIMEOUT_S)
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
        await asyncio.sleep(RETRY_S)


def silence_s(heartbeat_s: float) -> float:
    """How long NATS may say nothing, heartbeats included, before it counts as gone."""
    return max(heartbeat_s * _SILENT_HEARTBEATS, _LEAST_SILENCE_S)


def status_of(message: Msg) -> str | None:
    """The status that NATS itself sends into an inbox; None for a message of the stream."""
    return None if message.data else (message.headers or {}).get("Status")
