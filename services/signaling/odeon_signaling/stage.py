"""One event on this node: who is there, what they publish, who gets what.

Everything here runs on the event loop without awaiting, so each message and each batch of media
events is one step. What must reach the outside goes through `Listener`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from odeon.signaling.v1 import stage_pb2
from odeon_media import NodeEvent, SfuNode, TrackStats
from odeon_runtime.errors import DomainError, NotFound, PermissionDenied
from odeon_runtime.ids import new_id
from odeon_runtime.logs import logger

from odeon_signaling import convert
from odeon_signaling.audience import Audience
from odeon_signaling.domain.grants import EventKey, Grant, NotAdmitted
from odeon_signaling.domain.tracks import HostMutes, MediaKind, Source, Track
from odeon_signaling.media import refusals
from odeon_signaling.members import Member, Outbox, Viewer
from odeon_signaling.subscriptions import Subscriptions, Wish

RESUME_WITHIN_S = 20.0
"""How long media outlives its stage connection: a gateway restarts in less."""
_MODERATES = frozenset({"host", "assistant", "moderator"})
_log = logger(__name__)


class TrackNotFound(NotFound):
    """No such track of this event, or not the caller's."""

    reason = "TRACK_NOT_FOUND"


class MutedByHost(PermissionDenied):
    """A host muted it; only a host lifts that."""

    reason = "MUTED_BY_HOST"


class Listener(Protocol):
    """Hears what room, facts and operators should know."""

    def left(self, grant: Grant, reason: str) -> None:
        """A participant is gone."""
        ...

    def published(self, grant: Grant, track: Track) -> None:
        """A track has begun."""
        ...


class Stage:
    """The stage and the WHEP audience of one event."""

    def __init__(
        self,
        key: EventKey,
        sfu: SfuNode,
        listener: Listener,
        order: Iterator[int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = key
        self.members: dict[str, Member] = {}
        self.tracks: dict[str, Track] = {}
        self.audience = Audience(sfu, str(key))
        self._sfu = sfu
        self._listener = listener
        self._order = order
        self._clock = clock
        self._subscriptions = Subscriptions(sfu, str(key))

    @property
    def empty(self) -> bool:
        """Whether nobody is connected to it here."""
        return not self.members and not self.audience.viewers

    # ---- coming and going

    def enter(self, member: Member, node: str) -> None:
        """Take a participant in; one with the same identity is replaced."""
        self.remove(member.identity, "REPLACED")
        self.members[member.identity] = member
        self._note("participant_joined", member, role=member.grant.role, admitted=member.admitted)
        if member.outbox is not None:
            if member.admitted:
                self._subscribe_to_all(member)
            member.send(joined=self._welcome(member, node))
        self._tell_about(member)

    def resume(
        self, grant: Grant, stay: str, *, admitted: bool, mutes: HostMutes, node: str
    ) -> Member | None:
        """Go on with a stay whose stage connection broke; None when it is not here."""
        member = self.members.get(grant.identity)
        if member is None or not stay or member.stay != stay or member.whip:
            return None
        if member.outbox is not None:
            member.outbox.end()
        member.grant, member.outbox, member.detached_s = grant, Outbox(), None
        member.admitted = member.admitted or admitted
        member.offers = member.offers.resumed()
        if member.admitted:
            self._subscribe_to_all(member)
        member.send(joined=self._welcome(member, node))
        self.set_host_mutes(member.identity, mutes)
        return member

    def detach(self, member: Member, outbox: Outbox | None) -> None:
        """A stage connection broke off: its media goes on for a while, waiting for the client."""
        if not member.gone and member.outbox is outbox:
            self._note("stage_connection_broke", member)
            member.outbox = None
            member.detached_s = self._clock()

    def admit(self, identity: str) -> None:
        """Let a waiting participant in."""
        member = self.members.get(identity)
        if member is None or member.admitted:
            return
        member.admitted = True
        member.send(participant_updated=convert.participant_to_proto(member))
        for other in self._visible():
            if other is not member:
                member.send(participant_updated=convert.participant_to_proto(other))
        self._subscribe_to_all(member)
        for track in self.tracks.values():
            self._subscriptions.announce(member, track)
        self._tell_about(member)

    def remove(self, identity: str, reason: str) -> None:
        """End a participant, telling it why."""
        member = self.members.get(identity)
        if member is not None:
            self.leave(member, reason)

    def leave(self, member: Member, reason: str = "") -> None:
        """A participant is gone: by itself (no reason) or for the given reason. Repeatable."""
        if member.gone:
            return
        member.gone = True
        self._note("participant_left", member, reason=reason or "LEFT")
        if self.members.get(member.identity) is member:
            del self.members[member.identity]
        for session in member.sessions:
            self._sfu.close(session, reason or "CLIENT_CLOSED")
        for track in [t for t in self.tracks.values() if t.owner == member.identity]:
            self._drop_track(track)
        if member.outbox is not None:
            if reason:
                member.outbox.close(reason)
            else:
                member.outbox.end()
        if not member.grant.hidden:
            left = stage_pb2.StageParticipantLeft(identity=member.identity, reason=reason)
            for other in self._listeners():
                other.send(participant_left=left)
        self._listener.left(member.grant, reason or "LEFT")

    def close(self, reason: str) -> None:
        """End everybody: the event is over, or the node goes."""
        for identity in list(self.members):
            self.remove(identity, reason)
        for session in list(self.audience.viewers):
            self.close_viewer(session, reason)

    def close_session(self, tenant_session: str, reason: str) -> None:
        """End everybody who came with tokens of one session id (a revocation)."""
        for member in list(self.members.values()):
            if member.grant.session_id == tenant_session:
                self.leave(member, reason)
        for session, viewer in list(self.audience.viewers.items()):
            if viewer.grant.session_id == tenant_session:
                self.close_viewer(session, reason)

    def kick(self, identity: str, reason: str) -> None:
        """End a participant and its WHEP sessions."""
        self.remove(identity, reason)
        for session, viewer in list(self.audience.viewers.items()):
            if viewer.grant.identity == identity:
                self.close_viewer(session, reason)

    # ---- WHIP and WHEP

    def publish_whip(self, member: Member, offer: str, node: str) -> str:
        """Answer a WHIP offer; only one that works replaces the identity's earlier session."""
        session = new_id("whip")
        with refusals():
            answer = self._sfu.answer_publish(session, str(self.key), member.identity, offer)
        member.publish = session
        self.enter(member, node)
        return answer

    def play(self, viewer: Viewer, offer: str) -> str:
        """Answer a WHEP offer."""
        self.audience.refresh(self.tracks.values(), self._clock())
        return self.audience.open(viewer, offer)

    def close_viewer(self, session: str, reason: str) -> None:
        """End a WHEP session."""
        if self.audience.forget(session) is not None:
            self._sfu.close(session, reason)

    # ---- what a stage client says

    def handle(self, member: Member, message: stage_pb2.StageClientMessage) -> None:
        """Take one message; a refusal is told and changes nothing else."""
        try:
            self._dispatch(member, message)
            self.flush()
        except DomainError as error:
            told = stage_pb2.StageError(
                reason=error.reason, message=error.message, metadata=error.metadata
            )
            member.send(error=told)

    def _dispatch(self, member: Member, message: stage_pb2.StageClientMessage) -> None:
        match message.WhichOneof("message"):
            case "publish_offer":
                self._publish(member, message.publish_offer)
            case "subscribe_answer":
                self._subscriptions.answer(member, message.subscribe_answer)
            case "mute":
                self._mute(member, message.mute.track_id, message.mute.muted)
            case "subscribe":
                self._subscribe(member, message.subscribe)
            case "unsubscribe":
                self._subscriptions.remove(member, message.unsubscribe.track_id)
            case "leave":
                self.leave(member)
            case "ping":
                member.send(pong=stage_pb2.StagePong(id=message.ping.id))
            case "restart_ice":
                self._subscriptions.restart_ice(member, self._clock())
            case "track_label":
                self._label(member, message.track_label)
            case other:
                _log.info("stage_message_ignored", message=other)

    def _publish(self, member: Member, offer: stage_pb2.SessionDescription) -> None:
        if not member.admitted:
            raise NotAdmitted("wait until a host lets you in")
        if not member.grant.may_publish:
            raise PermissionDenied("this role does not publish", role=member.grant.role)
        session = member.publish or new_id("pub")
        with refusals():
            answer = self._sfu.answer_publish(session, str(self.key), member.identity, offer.sdp)
        member.publish = session
        member.send(
            publish_answer=stage_pb2.SessionDescription(sdp=answer, revision=offer.revision)
        )

    def _subscribe(self, member: Member, wish: stage_pb2.StageSubscribe) -> None:
        if not member.admitted:
            raise NotAdmitted("wait until a host lets you in")
        track = self._track(wish.track_id)
        self._subscriptions.add(member, track, Wish.of(wish))
        self._subscriptions.announce(member, track)

    def _mute(self, member: Member, track_id: str, muted: bool) -> None:
        track = self._track(track_id)
        if track.owner != member.identity:
            raise TrackNotFound("not a track of yours", track_id=track_id)
        self._change(replace(track, self_muted=muted))
        if track.host_muted and not muted:
            raise MutedByHost("a host muted you", track_id=track_id)

    def _label(self, member: Member, label: stage_pb2.StageTrackLabel) -> None:
        source = convert.source_from_proto(label.source)
        if source is None or len(member.sources) >= 64:
            return
        member.sources[label.mid] = source
        track = self.tracks.get(f"{member.publish}.{label.mid}")
        if track is not None:
            self._change(replace(track, source=source))

    # ---- what hosts say

    def mute_member(self, identity: str, *, audio: bool | None, video: bool | None) -> None:
        """Mute or unmute somebody's kinds of tracks for everybody, now and later."""
        member = self.members.get(identity)
        if member is None:
            raise NotFound("no such participant", identity=identity)
        self.set_host_mutes(identity, member.host_mutes.changed(audio=audio, video=video))
        self.flush()

    def set_host_mutes(self, identity: str, mutes: HostMutes) -> None:
        """What hosts have muted of a member, for tracks here and to come."""
        self.members[identity].host_mutes = mutes
        for track in [t for t in self.tracks.values() if t.owner == identity]:
            self._change(mutes.apply(track))

    # ---- what the media core says

    def on_media(self, event: NodeEvent) -> None:
        """Take one event of the media core; `flush` follows after the batch."""
        match event.kind:
            case "session_connected" | "first_rtp":
                self._trace(event)
            case "track_published" if event.track and event.media_kind:
                self._published(event.session, event.participant, _description(event))
            case "track_layers" if event.track in self.tracks:
                self._change(replace(self.tracks[event.track], layers=tuple(event.layers)))
            case "track_stalled" | "track_resumed" if event.track in self.tracks:
                flowing = event.kind == "track_resumed"
                self.tracks[event.track] = replace(self.tracks[event.track], flowing=flowing)
            case "track_unpublished" if event.track in self.tracks:
                self._drop_track(self.tracks[event.track])
            case "negotiation_needed" | "layer_changed" | "session_closed":
                self._on_session(event)
            case "active_speakers":
                self._spoke(event.speakers)

    def flush(self) -> None:
        """Send the offers that are due and let the audience follow the programme."""
        now_s = self._clock()
        for member in list(self.members.values()):
            if member.detached_s is not None:
                if now_s - member.detached_s > RESUME_WITHIN_S:
                    self.leave(member, "SESSION_LOST")
                continue
            try:
                self._subscriptions.offer_if_due(member, self.tracks, now_s)
            except DomainError as error:
                _log.warning("no_offer", reason=error.reason, identity=member.identity)
        self.audience.refresh(self.tracks.values(), now_s)

    def reconcile(self, published: list[TrackStats]) -> None:
        """Catch up with the media core after events were lost."""
        living = {stats.track for stats in published}
        for track in [t for t in self.tracks.values() if t.id not in living]:
            self._drop_track(track)
        for stats in published:
            layers = tuple(layer.layer for layer in stats.layers if layer.layer)
            described = (stats.track, stats.mid, stats.media_kind, stats.codec, layers)
            self._published(stats.session, stats.participant, described)

    def _trace(self, event: NodeEvent) -> None:
        owner = self._owner(event) or self.audience.viewers.get(event.session)
        if owner is None or owner.trace is None:
            return
        if event.kind == "first_rtp":
            owner.trace.first_rtp(event)
        else:
            owner.trace.connected(event)

    def _published(self, session: str, identity: str, described: "_Description") -> None:
        track_id, mid, kind_name, codec, layers = described
        member = self.members.get(identity)
        if member is None or member.publish != session or track_id in self.tracks:
            return
        kind = MediaKind(kind_name)
        track = member.host_mutes.apply(
            Track(
                id=track_id,
                owner=identity,
                kind=kind,
                source=member.sources.get(mid or "", Source.usual(kind)),
                codec=convert.CODECS.get(codec or "", codec or ""),
                order=next(self._order),
                layers=layers,
                hidden=member.grant.hidden and not self.key.is_probe,
            )
        )
        self.tracks[track_id] = track
        if track.muted:
            self._sfu.mute(track_id, True)
        for other in self._listeners():
            self._subscriptions.add_if_wanted(other, track)
            self._subscriptions.announce(other, track)
        self._listener.published(member.grant, track)

    def _drop_track(self, track: Track) -> None:
        del self.tracks[track.id]
        removed = stage_pb2.StageTrackRemoved(track_id=track.id)
        for member in self.members.values():
            self._subscriptions.remove(member, track.id)
            if member.admitted:
                member.send(track_removed=removed)

    def _change(self, track: Track) -> None:
        before = self.tracks[track.id]
        if before == track:
            return
        self.tracks[track.id] = track
        if before.muted != track.muted:
            with refusals():
                self._sfu.mute(track.id, track.muted)
        for member in self._listeners():
            self._subscriptions.announce(member, track)

    def _on_session(self, event: NodeEvent) -> None:
        if event.kind == "session_closed" and self.audience.forget(event.session):
            return
        member = self._owner(event)
        if member is None:
            return
        if event.kind == "negotiation_needed":
            member.offers = member.offers.changed()
        elif event.kind == "layer_changed" and event.track:
            layer = stage_pb2.StageLayer(
                track_id=event.track, layer=event.layer or "", paused=event.layer is None
            )
            member.send(layer_changed=layer)
        elif event.kind == "session_closed":
            self._lost(member, event.session, event.reason or "")

    def _lost(self, member: Member, session: str, reason: str) -> None:
        self._note("connection_lost", member, session=session, reason=reason)
        if session == member.subscribe:
            self._subscriptions.lost(member)
        else:
            member.publish = ""
        if member.whip or member.detached_s is not None:
            self.leave(member, reason or "SESSION_LOST")
        elif reason != "CLIENT_CLOSED":
            # Half a stage is no stage: the client joins again with fresh connections.
            self.leave(member, "SESSION_LOST")

    def _spoke(self, speakers: list[tuple[str, int]]) -> None:
        visible = {member.identity for member in self._visible()}
        heard = [(identity, level) for identity, level in speakers if identity in visible]
        self.audience.heard(identity for identity, _ in heard)
        message = stage_pb2.StageSpeakers(
            speakers=[
                stage_pb2.StageSpeakers.Speaker(
                    identity=identity, level=max(0, min(127, 127 + dbov))
                )
                for identity, dbov in heard
            ]
        )
        for member in self._listeners():
            member.send(speakers=message)

    def _note(self, what: str, member: Member, **facts: object) -> None:
        if not self.key.is_probe:  # every few seconds, and told by the prober itself
            _log.info(what, event_key=str(self.key), identity=member.identity, **facts)

    # ---- who hears what

    def _listeners(self) -> Iterator[Member]:
        return (m for m in self.members.values() if m.admitted and m.outbox is not None)

    def _visible(self) -> Iterator[Member]:
        return (m for m in self.members.values() if m.admitted and not m.grant.hidden)

    def _owner(self, event: NodeEvent) -> Member | None:
        member = self.members.get(event.participant)
        return member if member is not None and event.session in member.sessions else None

    def _track(self, track_id: str) -> Track:
        track = self.tracks.get(track_id)
        if track is None:
            raise TrackNotFound("no such track", track_id=track_id[:80])
        return track

    def _subscribe_to_all(self, member: Member) -> None:
        for track in self.tracks.values():
            self._subscriptions.add_if_wanted(member, track)

    def _tell_about(self, member: Member) -> None:
        if member.grant.hidden:
            return
        update = convert.participant_to_proto(member)
        for other in self._listeners():
            if other is not member and (member.admitted or other.grant.role in _MODERATES):
                other.send(participant_updated=update)

    def _welcome(self, member: Member, node: str) -> stage_pb2.StageJoined:
        joined = stage_pb2.StageJoined(
            identity=member.identity,
            session_id=member.stay,
            role=member.grant.role,
            admitted=member.admitted,
            node=node,
        )
        if member.admitted:
            moderates = member.grant.role in _MODERATES
            joined.participants.extend(
                convert.participant_to_proto(other)
                for other in self.members.values()
                if not other.grant.hidden and (other.admitted or moderates)
            )
            joined.tracks.extend(
                convert.track_to_proto(track, member.subscribed.get(track.id, ""))
                for track in self.tracks.values()
            )
        return joined


_Description = tuple[str, str | None, str, str | None, tuple[str, ...]]


def _description(event: NodeEvent) -> _Description:
    kind = event.media_kind or "video"
    return (event.track or "", event.mid, kind, event.codec, tuple(event.layers))
