"""This node: its events, who may enter them, and the media core underneath."""

import asyncio
import itertools
from collections.abc import Callable
from functools import partial

from odeon.events.v1 import events_pb2
from odeon.room.v1 import room_pb2
from odeon.signaling.v1 import stage_pb2
from odeon_media import NodeEvent
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.errors import DomainError, InvalidArgument, Kind, NotFound, PermissionDenied
from odeon_runtime.ids import new_id
from odeon_runtime.logs import logger
from odeon_runtime.principal import Principal
from odeon_runtime.tokens import Audience as TokenAudience
from odeon_runtime.tokens import TokenRevoked, Verifier
from odeon_runtime.trust import TrustStore
from opentelemetry import trace

from odeon_signaling.audience import new_viewer_session
from odeon_signaling.domain.entry import Entry
from odeon_signaling.domain.grants import EventKey, Grant, NotAdmitted, event_grant, probe_grant
from odeon_signaling.domain.sdpfrag import SdpFragment
from odeon_signaling.domain.tracks import HostMutes, Track
from odeon_signaling.media import MediaNode, refusals
from odeon_signaling.members import Member, Outbox, Viewer
from odeon_signaling.reports import CpuMeter, ParticipantReports
from odeon_signaling.spans import JoinTrace, join_span
from odeon_signaling.stage import Stage

_TICK_S = 0.5
_MAX_SDP_BYTES = 256 * 1024
_log = logger(__name__)


class NodeDraining(DomainError):
    """This node takes nobody new; ask for another placement."""

    kind = Kind.UNAVAILABLE
    reason = "NODE_DRAINING"


class SessionNotFound(NotFound):
    """No such WHIP or WHEP session, or not the caller's."""

    reason = "SESSION_NOT_FOUND"


class EtagMismatch(DomainError):
    """The fragment is for an earlier ICE session (RFC 9725 section 4.3.1)."""

    kind = Kind.PRECONDITION
    reason = "ETAG_MISMATCH"


class Banned(PermissionDenied):
    """A host took this participant off the stage for good."""

    reason = "PARTICIPANT_REMOVED"


class Facts:
    """Tells NATS what happened; the prober's events leave no fact."""

    def __init__(self, bus: Bus, node: str) -> None:
        self._bus = bus
        self._node = node

    def joined(self, grant: Grant) -> None:
        """Somebody has entered."""
        fact = events_pb2.ParticipantJoined(
            event_id=grant.key.event, identity=grant.identity, role=grant.role, node=self._node
        )
        self._publish("signaling.participant.joined", grant, participant_joined=fact)

    def left(self, grant: Grant, reason: str) -> None:
        """Somebody is gone."""
        fact = events_pb2.ParticipantLeft(
            event_id=grant.key.event, identity=grant.identity, reason=reason
        )
        self._publish("signaling.participant.left", grant, participant_left=fact)

    def published(self, grant: Grant, track: Track) -> None:
        """A track has begun."""
        fact = events_pb2.TrackPublished(
            event_id=grant.key.event,
            identity=grant.identity,
            track_id=track.id,
            kind=track.kind.value,
            codec=track.codec,
        )
        self._publish("signaling.track.published", grant, track_published=fact)

    def _publish(self, path: str, grant: Grant, **fact: object) -> None:
        if grant.hidden or grant.key.is_probe:
            return
        tenant, event = grant.key.tenant, grant.key.event
        self._bus.publish(subjects.fact(path, tenant, event), envelope(tenant, **fact))


class Node:
    """All stages of this node. Runs on the event loop; only letting somebody in awaits."""

    def __init__(
        self,
        name: str,
        media: MediaNode,
        verifier: Verifier,
        trust: TrustStore,
        facts: Facts,
    ) -> None:
        self.name = name
        self.draining = False
        self.cordoned = False
        """It keeps its events, newcomers to them included, and should be given no others."""
        self.stages: dict[EventKey, Stage] = {}
        self.reports: ParticipantReports | None = None
        self._media = media
        self._verifier = verifier
        self._trust = trust
        self._facts = facts
        self._order = itertools.count(1)
        self._cpu = CpuMeter()
        self._idle = asyncio.Event()
        self._idle.set()
        trust.on_revoked(self._revoked)

    # ---- coming in

    async def join(self, join: stage_pb2.StageJoin) -> Member:
        """Let a stage client in; its messages then go to `handle`.

        Raises:
            TokenInvalid, TokenExpired, TokenRevoked, NodeDraining, PinnedNotAllowed, Banned.
        """
        span = join_span("stage", traceparent=join.traceparent)
        with trace.use_span(span, end_on_exit=True):
            self._require_open()
            principal = self._verifier.verify(join.token, TokenAudience.STAGE)
            grant = event_grant(principal, "")
            grant.require_pinned(join.pinned)
            entry = await self._entry(grant)
            self._require_still_valid(grant)
            stage = self._stage(grant.key)
            mutes = self._mutes(grant, entry)
            resumed = stage.resume(
                grant, join.resume, admitted=entry.admitted, mutes=mutes, node=self.name
            )
            member = resumed or Member(
                grant=grant,
                admitted=entry.admitted,
                host_mutes=mutes,
                stay=new_id("stay"),
                outbox=Outbox(),
                auto_subscribe=join.auto_subscribe,
                pinned=join.pinned,
                trace=JoinTrace.of(span, "stage"),
            )
            if resumed is None:
                stage.enter(member, self.name)
                self._facts.joined(grant)
            stage.flush()
            return member

    async def publish(self, token: str, event: str, offer: str) -> tuple[str, str, str]:
        """WHIP: (session, answer, etag).

        Raises:
            NotAdmitted: a host must let them in first. WHIP has no way to wait, so the encoder
                tries again; room keeps them waiting meanwhile, where a host sees them.
        """
        span = join_span("whip")
        with trace.use_span(span, end_on_exit=True):
            self._require_open()
            grant = self._grant(token, event, TokenAudience.PUBLISH, "prober-publisher")
            _require_sdp(offer)
            entry = await self._entry(grant)
            if not entry.admitted:
                raise NotAdmitted("wait until a host lets you in", identity=grant.identity)
            self._require_still_valid(grant)
            member = Member(
                grant=grant,
                admitted=True,
                host_mutes=self._mutes(grant, entry),
                whip=True,
                trace=JoinTrace.of(span, "whip"),
            )
            answer = self._stage(grant.key).publish_whip(member, offer, self.name)
            self._facts.joined(grant)
            return member.publish, answer, self._media.etag(member.publish)

    def play(self, token: str, event: str, offer: str) -> tuple[str, str, str]:
        """WHEP: (session, answer, etag)."""
        span = join_span("whep")
        with trace.use_span(span, end_on_exit=True):
            self._require_open()
            grant = self._grant(token, event, TokenAudience.PLAYBACK, "prober-viewer")
            _require_sdp(offer)
            session = new_viewer_session()
            viewer = Viewer(grant=grant, session=session, trace=JoinTrace.of(span, "whep"))
            answer = self._stage(grant.key).play(viewer, offer)
            return session, answer, self._media.etag(session)

    # ---- WHIP and WHEP sessions

    def patch(self, token: str, session: str, fragment: str, if_match: str) -> tuple[str, str]:
        """Trickle or restart ICE: (answer fragment, etag); the fragment is empty for a trickle."""
        self._owned(token, session)
        parsed = SdpFragment.parse(fragment)
        etag = self._media.etag(session)
        wanted = if_match.strip().strip('"')
        with refusals():
            remote = self._media.sfu.remote_ice(session)
            if parsed.restarts(remote[0] if remote else ""):
                if wanted not in ("", "*", etag):
                    raise EtagMismatch("the ICE session is another one by now")
                return self._media.sfu.ice_restart(session, fragment), self._media.etag(session)
            if wanted != etag:
                raise EtagMismatch("the ICE session is another one by now")
            for candidate in parsed.candidates:
                self._media.sfu.add_candidate(session, candidate)
        return "", etag

    def close_session(self, token: str, session: str) -> None:
        """The client ends its WHIP or WHEP session."""
        stage, owner = self._owned(token, session)
        if isinstance(owner, Viewer):
            stage.close_viewer(session, "CLIENT_CLOSED")
        else:
            stage.leave(owner)
        self._forget_empty(stage)

    # ---- what room says

    def mute(self, key: EventKey, identity: str, audio: bool | None, video: bool | None) -> None:
        """A host mutes somebody."""
        self._existing(key).mute_member(identity, audio=audio, video=video)

    def kick(self, key: EventKey, identity: str, reason: str) -> None:
        """A host takes somebody off; an absent one is off already."""
        stage = self.stages.get(key)
        if stage is not None:
            stage.kick(identity, reason or "KICKED")
            self._forget_empty(stage)

    def update(self, key: EventKey, *, admitted: str, ended: bool) -> None:
        """An event moved on."""
        stage = self.stages.get(key)
        if stage is None:
            return
        if admitted:
            stage.admit(admitted)
            stage.flush()
        if ended:
            stage.close("EVENT_ENDED")
            self._forget_empty(stage)

    def verdict(self, key: EventKey, identity: str, entry: Entry) -> None:
        """Room answered late on somebody who has entered meanwhile."""
        stage = self.stages.get(key)
        if entry.removed:
            self.kick(key, identity, "KICKED")
        elif stage is not None and identity in stage.members:
            if entry.mutes is not None:  # first, so that nothing slips out between
                stage.set_host_mutes(identity, entry.mutes)
            if entry.admitted:
                self.update(key, admitted=identity, ended=False)

    # ---- a stage client's stream

    def handle(self, member: Member, message: stage_pb2.StageClientMessage) -> None:
        """One message of a client that is in."""
        stage = self.stages.get(member.grant.key)
        if stage is not None and not member.gone:
            stage.handle(member, message)
            self._forget_empty(stage)

    def detach(self, member: Member, outbox: Outbox | None) -> None:
        """The client's stream ended without a goodbye; repeatable."""
        stage = self.stages.get(member.grant.key)
        if stage is not None:
            stage.detach(member, outbox)

    # ---- what drives it

    async def follow_media(self) -> None:
        """Hand the media core's events to their stages, for ever."""
        async for batch in self._media.events():
            touched: dict[EventKey, Stage] = {}
            for event in batch:
                if event.kind == "events_dropped":
                    self._reconcile(event.count)
                    continue
                stage = self.stages.get(_key(event))
                if stage is not None:
                    touched[stage.key] = stage
                    _guarded(stage, partial(stage.on_media, event))
            for stage in touched.values():
                _guarded(stage, stage.flush)
                self._forget_empty(stage)

    async def tick(self) -> None:
        """Let time pass on every stage: held speakers, unanswered offers."""
        while True:
            await asyncio.sleep(_TICK_S)
            for stage in list(self.stages.values()):
                _guarded(stage, stage.flush)

    async def drain(self, within_s: float) -> None:
        """Take nobody new; end when all are gone, or hand the rest over after `within_s`."""
        self.draining = True
        if within_s > 0:
            try:
                async with asyncio.timeout(within_s):
                    await self._idle.wait()
            except TimeoutError:
                _log.warning("drain_incomplete", events=len(self.stages))
        for stage in list(self.stages.values()):
            stage.close("NODE_DRAINING")
            self._forget_empty(stage)

    def describe(self) -> tuple[room_pb2.Node, list[str]]:
        """This node for its heartbeat; addresses are filled in by the caller."""
        stats = self._media.sfu.stats()
        node = room_pb2.Node(
            name=f"nodes/{self.name}",
            media_addresses=self._media.addresses,
            sessions=sum(1 for s in stats.sessions if not s.hidden and not _is_probe(s.event)),
            cpu_load=self._cpu.load(stats.busy_ns),
            draining=self.draining,
            cordoned=self.cordoned,
        )
        return node, [str(key) for key in self.stages if not key.is_probe]

    @property
    def events(self) -> int:
        """Events that somebody is in; the prober's do not count."""
        return sum(not key.is_probe for key in self.stages)

    # ---- listener of the stages

    def left(self, grant: Grant, reason: str) -> None:
        """A participant is gone."""
        self._facts.left(grant, reason)
        if self.reports is not None and reason != "REPLACED":  # its successor is here
            self.reports.left(grant)

    def published(self, grant: Grant, track: Track) -> None:
        """A track has begun."""
        self._facts.published(grant, track)

    # ---- inside

    def _require_open(self) -> None:
        if self.draining:
            raise NodeDraining("this node takes nobody new", node=self.name)

    def _require_still_valid(self, grant: Grant) -> None:
        # Room was asked meanwhile: the session may have been ended, or the node told to go.
        if self._trust.is_revoked(grant.key.tenant, grant.session_id):
            raise TokenRevoked("the session was ended", session_id=grant.session_id)
        self._require_open()

    async def _entry(self, grant: Grant) -> Entry:
        assert self.reports is not None, "wired before the server starts"
        entry = await self.reports.may_enter(grant)
        if entry.removed:
            raise Banned("a host removed you", identity=grant.identity)
        return entry

    def _mutes(self, grant: Grant, entry: Entry) -> HostMutes:
        """What hosts have muted of a newcomer: room's word, else what holds on the stage."""
        if entry.mutes is not None:
            return entry.mutes
        stage = self.stages.get(grant.key)
        earlier = stage.members.get(grant.identity) if stage is not None else None
        return earlier.host_mutes if earlier is not None else HostMutes()

    def _grant(self, token: str, event: str, audience: TokenAudience, prober: str) -> Grant:
        principal = self._verifier.verify(token, audience, TokenAudience.SERVICE)
        name = event.removeprefix("events/")
        if principal.service:
            return probe_grant(principal, name, self.name, prober)
        return event_grant(principal, name)

    def _owned(self, token: str, session: str) -> tuple[Stage, Member | Viewer]:
        kinds = (TokenAudience.PUBLISH, TokenAudience.PLAYBACK, TokenAudience.SERVICE)
        principal = self._verifier.verify(token, *kinds)
        for stage in self.stages.values():
            owner = stage.audience.viewers.get(session) or next(
                (m for m in stage.members.values() if m.publish == session and m.whip), None
            )
            if owner is not None and _owns(principal, owner.grant):
                return stage, owner
        raise SessionNotFound("no such session", session=session[:64])

    def _stage(self, key: EventKey) -> Stage:
        stage = self.stages.get(key)
        if stage is None:
            stage = self.stages[key] = Stage(key, self._media.sfu, self, self._order)
            self._idle.clear()
        return stage

    def _existing(self, key: EventKey) -> Stage:
        stage = self.stages.get(key)
        if stage is None:
            raise NotFound("no such event on this node", event=str(key))
        return stage

    def _forget_empty(self, stage: Stage) -> None:
        if stage.empty and self.stages.get(stage.key) is stage:
            del self.stages[stage.key]
            if all(key.is_probe for key in self.stages):
                self._idle.set()

    def _revoked(self, tenant: str, session_id: str) -> None:
        for stage in [s for s in self.stages.values() if s.key.tenant == tenant]:
            stage.close_session(session_id, "REVOKED")
            stage.flush()
            self._forget_empty(stage)

    def _reconcile(self, count: int) -> None:
        _log.error("media_events_lost", count=count)
        for stage in self.stages.values():
            stage.reconcile(self._media.sfu.tracks(str(stage.key)))
            stage.flush()


def _guarded(stage: Stage, step: Callable[[], None]) -> None:
    """Take one step of one stage; a fault in it must not reach the other stages."""
    try:
        step()
    except Exception:
        _log.exception("stage_step_failed", event_key=str(stage.key))


def _key(event: NodeEvent) -> EventKey:
    tenant, _, name = event.event.partition("/")
    return EventKey(tenant, name)


def _is_probe(event_key: str) -> bool:
    return EventKey(*event_key.split("/", 1)).is_probe


def _owns(principal: Principal, grant: Grant) -> bool:
    if principal.service:
        return grant.key.is_probe
    same = (principal.tenant, principal.event, principal.subject, principal.session_id)
    return same == (grant.key.tenant, grant.key.event, grant.identity, grant.session_id)


def _require_sdp(offer: str) -> None:
    if not offer:
        raise InvalidArgument(field="sdp_offer", problem="empty")
    if len(offer) > _MAX_SDP_BYTES:
        raise InvalidArgument(field="sdp_offer", problem=f"over {_MAX_SDP_BYTES} bytes")
