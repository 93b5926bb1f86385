"""Who is connected to an event here: participants with their way back, and WHEP viewers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from odeon.signaling.v1 import stage_pb2
from odeon_runtime.logs import logger

from odeon_signaling.domain.grants import Grant
from odeon_signaling.domain.offers import OfferFlow
from odeon_signaling.domain.tracks import HostMutes, Source
from odeon_signaling.spans import JoinTrace

OUTBOX_LIMIT = 1000
_log = logger(__name__)


class Outbox:
    """Messages on their way to one stage client; bounded, and closed by its last message."""

    def __init__(self, limit: int = OUTBOX_LIMIT) -> None:
        self._queue: asyncio.Queue[stage_pb2.StageServerMessage | None] = asyncio.Queue(limit + 2)
        self._limit = limit
        self.closed = False

    def send(self, **message: object) -> None:
        """Queue one message (a field of StageServerMessage); a reader too slow is closed."""
        if self.closed:
            return
        if self._queue.qsize() >= self._limit:
            _log.warning("stage_client_too_slow")
            self.close("SESSION_LOST")
            return
        self._queue.put_nowait(stage_pb2.StageServerMessage(**message))  # type: ignore[arg-type]

    def close(self, reason: str) -> None:
        """Say why and end; nothing is sent afterwards."""
        if self.closed:
            return
        self.closed = True
        goodbye = stage_pb2.StageClosed(reason=reason)
        self._queue.put_nowait(stage_pb2.StageServerMessage(closed=goodbye))
        self._queue.put_nowait(None)

    def end(self) -> None:
        """End without a reason: the client has left by itself."""
        if not self.closed:
            self.closed = True
            self._queue.put_nowait(None)

    async def messages(self) -> AsyncIterator[stage_pb2.StageServerMessage]:
        """What to send, until the end."""
        while (message := await self._queue.get()) is not None:
            yield message


@dataclass(slots=True, eq=False, kw_only=True)
class Member:
    """A participant: on the stage by messages, or by WHIP (then without an outbox).

    Attributes:
        stay: names this stay, so that a client whose stage connection broke can go on with it.
        detached_s: since when the stage connection is broken, monotonic seconds.
        publish: media session of the publish connection.
        subscribe: media session of the subscribe connection.
        subscribed: mid by track id.
        sources: what the client said about media lines of its publish connection.
    """

    grant: Grant
    admitted: bool
    stay: str = ""
    whip: bool = False
    outbox: Outbox | None = None
    detached_s: float | None = None
    auto_subscribe: bool = False
    pinned: bool = False
    trace: JoinTrace | None = None
    publish: str = ""
    subscribe: str = ""
    offers: OfferFlow = field(default_factory=OfferFlow)
    subscribed: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    host_mutes: HostMutes = field(default_factory=HostMutes)
    gone: bool = False

    @property
    def identity(self) -> str:
        """Who it is within the event."""
        return self.grant.identity

    @property
    def sessions(self) -> list[str]:
        """Its media sessions."""
        return [session for session in (self.publish, self.subscribe) if session]

    def send(self, **message: object) -> None:
        """Tell the client something, if it listens."""
        if self.outbox is not None:
            self.outbox.send(**message)


@dataclass(slots=True, eq=False, kw_only=True)
class Viewer:
    """One WHEP session; the same token may hold several."""

    grant: Grant
    session: str
    trace: JoinTrace | None = None
    shown: dict[tuple[str, int], str | None] = field(default_factory=dict)
