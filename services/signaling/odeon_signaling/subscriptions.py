"""The subscribe connection of a participant: what it gets, and the offers that say so."""

from collections.abc import Mapping
from dataclasses import dataclass

from odeon.signaling.v1 import stage_pb2
from odeon_media import SfuNode
from odeon_runtime.errors import DomainError, Kind
from odeon_runtime.ids import new_id
from odeon_runtime.logs import logger

from odeon_signaling import convert
from odeon_signaling.domain.offers import OfferFlow
from odeon_signaling.domain.tracks import Track
from odeon_signaling.media import MediaRefused, refusals
from odeon_signaling.members import Member

_log = logger(__name__)


class NothingToRestart(DomainError):
    """There is no subscribe connection yet."""

    kind = Kind.PRECONDITION
    reason = "NO_SUBSCRIBE_CONNECTION"


@dataclass(frozen=True, slots=True)
class Wish:
    """How a track should come: `layer` at most (None: the best that fits), larger first."""

    layer: str | None = None
    priority: int = 0

    @classmethod
    def of(cls, request: stage_pb2.StageSubscribe) -> "Wish":
        """From the client's message; priority grows with the size on screen."""
        pixels = max(0, request.width_px) * max(0, request.height_px)
        return cls(request.max_layer or None, min(100, pixels // 20_000))


class Subscriptions:
    """Subscribes members of one event and negotiates with them."""

    def __init__(self, sfu: SfuNode, event_key: str) -> None:
        self._sfu = sfu
        self._event_key = event_key

    def add(self, member: Member, track: Track, wish: Wish = Wish()) -> None:
        """Let a member get a track; the next offer says so. Repeating changes the wish."""
        with refusals():
            if not member.subscribe:
                session = new_id("sub")
                self._sfu.open_subscriber(
                    session,
                    self._event_key,
                    member.identity,
                    hidden=member.grant.hidden,
                    pinned=member.pinned,
                )
                member.subscribe = session
            got = self._sfu.subscribe(
                member.subscribe, track.id, layer=wish.layer, priority=wish.priority
            )
        member.subscribed[track.id] = got.mid or ""
        if got.needs_offer:
            member.offers = member.offers.changed()

    def add_if_wanted(self, member: Member, track: Track) -> None:
        """Subscribe those who want everything; a full connection goes without."""
        if not member.auto_subscribe or track.owner == member.identity:
            return
        try:
            self.add(member, track)
        except MediaRefused as error:
            _log.warning("not_subscribed", reason=error.reason, identity=member.identity)

    def remove(self, member: Member, track_id: str) -> None:
        """Stop a track for one member."""
        if member.subscribed.pop(track_id, None) is None:
            return
        try:
            with refusals():
                needs_offer = self._sfu.unsubscribe(member.subscribe, track_id)
        except MediaRefused:
            return  # the core has already dropped it
        if needs_offer:
            member.offers = member.offers.changed()

    def answer(self, member: Member, answer: stage_pb2.SessionDescription) -> None:
        """Take the client's answer; one to an older offer is ignored."""
        if not member.offers.accepts(answer.revision):
            return
        with refusals():
            self._sfu.apply_answer(member.subscribe, answer.sdp)
        member.offers = member.offers.answered()

    def restart_ice(self, member: Member, now_s: float) -> None:
        """Offer fresh ICE credentials at once; replaces an unanswered offer."""
        if not member.subscribe:
            raise NothingToRestart("there is no subscribe connection")
        with refusals():
            self._send(member, self._sfu.ice_restart(member.subscribe), now_s)

    def offer_if_due(self, member: Member, tracks: Mapping[str, Track], now_s: float) -> None:
        """Send the next offer if one is due and none is outstanding, after the new mids."""
        if not member.subscribe or not member.offers.may_send(now_s):
            return
        with refusals():
            offer = self._sfu.make_offer(member.subscribe)
        if offer is None:
            member.offers = member.offers.settled()
            return
        with refusals():
            slots = self._sfu.slots(member.subscribe)
        for mid, _, track_id in slots:
            track = tracks.get(track_id or "")
            if mid and track is not None and member.subscribed.get(track.id) != mid:
                member.subscribed[track.id] = mid
                self.announce(member, track)
        self._send(member, offer, now_s)

    def lost(self, member: Member) -> None:
        """The connection is gone with everything in it."""
        member.subscribe = ""
        member.subscribed.clear()
        member.offers = OfferFlow(revision=member.offers.revision)

    def announce(self, member: Member, track: Track) -> None:
        """Tell a member about a track: a new one, or a changed one."""
        mid = member.subscribed.get(track.id, "")
        member.send(track_published=convert.track_to_proto(track, mid))

    def _send(self, member: Member, sdp: str, now_s: float) -> None:
        member.offers = member.offers.sent(now_s)
        revision = member.offers.revision
        member.send(subscribe_offer=stage_pb2.SessionDescription(sdp=sdp, revision=revision))
