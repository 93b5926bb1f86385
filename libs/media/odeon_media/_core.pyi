"""Types of the compiled core: the SFU node and the WebRTC client. Packets never touch Python.

Refusals are raised as the classes of `odeon_media.errors`.
"""

from collections.abc import Sequence
from typing import Literal, Self, final

from odeon_media.kinds import Codec, MediaKind, SessionKind

__all__ = [
    "Client",
    "ClientEvent",
    "ClientMedia",
    "ClientStats",
    "Frame",
    "LayerStats",
    "NodeEvent",
    "NodeStats",
    "SessionStats",
    "SfuNode",
    "SlotStats",
    "Subscription",
    "TrackStats",
    "__version__",
    "is_keyframe",
]

__version__: str

@final
class NodeEvent:
    """Something happened in the node. Fields that do not belong to `kind` are None or empty.

    kind                 fields
    session_connected    created_ns, ice_ns, dtls_ns: ICE and DTLS are up
    first_rtp            first packet received (publish) or sent (subscribe, whep)
    session_closed       reason: CLIENT_CLOSED, ICE_FAILED, DTLS_FAILED, CONSENT_EXPIRED,
                         PROTOCOL_ERROR or what was given to close()
    track_published      track, media_kind, codec, layers, mid: first RTP of a track was seen
    track_layers         track, layers: the set of live simulcast layers changed
    track_unpublished    track, reason
    track_stalled        track: no RTP for 2 s; track_resumed when it flows again
    track_resumed        track
    negotiation_needed   a subscribe session wants make_offer()
    layer_changed        track, layer: what this session now receives
    slot_changed         mid, track: a WHEP slot shows this track from now on (after its keyframe)
    active_speakers      event, speakers: (participant, level in dBov -127..0), loudest first
    keyframe_requested   track, layer: a PLI went to the publisher
    events_dropped       count: the queue overflowed
    """

    kind: str
    at_ns: int
    """When, on the scale of time.monotonic_ns()."""
    session: str
    event: str
    participant: str
    session_kind: SessionKind | None
    track: str | None
    mid: str | None
    media_kind: MediaKind | None
    codec: Codec | None
    layers: list[str]
    layer: str | None
    reason: str | None
    speakers: list[tuple[str, int]]
    count: int
    created_ns: int | None
    ice_ns: int | None
    dtls_ns: int | None

@final
class Subscription:
    """Where a subscribed track will appear in the subscriber's peer connection."""

    mid: str | None
    """None until make_offer() has offered it; then slots() knows."""
    needs_offer: bool

@final
class LayerStats:
    """One received encoding of a track."""

    layer: str
    packets: int
    bytes: int
    lost: int
    jitter_ms: float
    bitrate_bps: int

@final
class TrackStats:
    """One published track."""

    track: str
    event: str
    participant: str
    session: str
    mid: str
    media_kind: MediaKind
    codec: Codec | None
    muted: bool
    layers: list[LayerStats]
    subscribers: int
    plis_sent: int

@final
class SlotStats:
    """One outgoing stream of a subscriber."""

    mid: str
    media_kind: MediaKind
    track: str | None
    layer: str | None
    packets: int
    bytes: int
    nacks: int
    plis: int
    dropped: int

@final
class SessionStats:
    """One peer connection."""

    session: str
    event: str
    participant: str
    kind: SessionKind
    connected: bool
    hidden: bool
    pinned: bool
    packets_in: int
    bytes_in: int
    packets_out: int
    bytes_out: int
    rtt_ms: float | None
    loss_fraction: float | None
    estimate_bps: int | None
    slots: list[SlotStats]

@final
class NodeStats:
    """A snapshot of the node, with counters since its start."""

    sessions: list[SessionStats]
    tracks: list[TrackStats]
    packets_in: int
    packets_dropped: int
    """Datagrams of unknown or unvalidated senders, and garbage."""
    egress_calls: int
    egress_packets: int
    egress_bytes: int
    egress_errors: int
    forwarded_packets: int
    busy_ns: int
    """Time that the shard spent working (not waiting)."""

@final
class SfuNode:
    """A selective forwarding unit on one UDP port and one thread of its own.

    Every method may be called from any thread, blocks for well under a millisecond as a rule, and
    releases the GIL. Session ids are chosen by the caller, unique within the node,
    `[A-Za-z0-9_-]{1,64}`. Track ids are made by the node: `<session>.<mid>`.
    """

    def __new__(
        cls,
        bind_host: str = "127.0.0.1",
        port: int = 0,
        advertise: Sequence[str] = ...,
        *,
        max_sessions: int = 2000,
        max_tracks_per_session: int = 16,
        max_subscriptions_per_session: int = 64,
        max_events_queued: int = 10000,
        connect_timeout_ms: int = 15000,
        consent_timeout_ms: int = 30000,
        initial_estimate_bps: int = 4_000_000,
        slot_us: int = 1000,
        forced_loss: float = 0.0,
    ) -> Self:
        """Bind `bind_host:port` (0: any free port) and start.

        `advertise` lists the addresses put into candidates, `host` or `host:port` (the public
        address of a NAT); empty means the bound address. Packets for one subscriber are gathered
        for `slot_us`. `forced_loss` drops that share of outgoing media, for tests.
        Raises TransportError.
        """

    @property
    def port(self) -> int: ...
    def answer_publish(
        self,
        session: str,
        event: str,
        participant: str,
        offer_sdp: str,
    ) -> str:
        """Answer a client's offer (WHIP, a stage publish connection).

        Again with the same session renegotiates.

        Raises InvalidSdpError, InvalidArgumentError, LimitError, StateError.
        """

    def open_subscriber(
        self,
        session: str,
        event: str,
        participant: str,
        *,
        hidden: bool = False,
        pinned: bool = False,
    ) -> None:
        """Open a peer connection towards a subscriber; subscribe and offer to give it media.

        `pinned`: the receiver names its layers and is exempt from bandwidth estimation.
        `hidden`: does not count as a participant (active speakers, load).
        """

    def subscribe(
        self, session: str, track: str, *, layer: str | None = None, priority: int = 0
    ) -> Subscription:
        """Add a track to a subscribe session. Then make_offer(), send it, apply_answer().

        `layer` caps the simulcast layer (pinned sessions: is the layer); None: the best that fits.
        A higher `priority` gets bandwidth first. Repeating the call changes layer and priority.
        """

    def unsubscribe(self, session: str, track: str) -> bool:
        """Stop forwarding a track; True when a new offer is needed."""

    def make_offer(self, session: str) -> str | None:
        """The next offer of a subscribe session, replacing a pending one; None: nothing changed."""

    def apply_answer(self, session: str, sdp: str) -> None:
        """Apply the client's answer to the pending offer. Raises InvalidSdpError, StateError."""

    def answer_whep(self, session: str, event: str, participant: str, offer_sdp: str) -> str:
        """Answer a recvonly offer. Its m-lines become slots; fill them with set_slot()."""

    def set_slot(
        self,
        session: str,
        kind: MediaKind,
        track: str | None,
        *,
        index: int = 0,
        layer: str | None = None,
    ) -> None:
        """Put a track into the index-th slot of a kind of a WHEP session; None empties it.

        A video slot keeps showing the old track until the new one's keyframe arrived.
        """

    def slots(self, session: str) -> list[tuple[str | None, MediaKind, str | None]]:
        """(mid, kind, track) in SDP order; mid is None until offered."""

    def mute(self, track: str, muted: bool) -> None:
        """Forward a track no more, or again (video: from the next keyframe)."""

    def add_candidate(self, session: str, candidate: str) -> None:
        """Take a trickled candidate (`candidate:...`, with or without `a=`); mDNS is ignored."""

    def remote_ice(self, session: str) -> tuple[str, str] | None:
        """(ufrag, pwd) that the client sent last."""

    def local_ice(self, session: str) -> tuple[str, str]:
        """(ufrag, pwd) of this side, for an ETag or a trickle answer."""

    def ice_restart(self, session: str, sdpfrag: str | None = None) -> str:
        """Restart ICE.

        publish, whep: `sdpfrag` is the client's `application/trickle-ice-sdpfrag` with its new
        credentials; returns this side's fragment. subscribe: returns a new offer.
        """

    def close(self, session: str, reason: str = "CLOSED") -> bool:
        """End a session (leave, kick, revoke). False when there is none."""

    def stats(self) -> NodeStats: ...
    def tracks(self, event: str | None = None) -> list[TrackStats]: ...
    def poll_events(self, timeout_ms: int, max: int = 256) -> list[NodeEvent]:
        """Wait for events; empty after the timeout or after shutdown(). One reader thread."""

    def shutdown(self) -> None:
        """Tell all peers goodbye (DTLS close), stop the thread, close the socket. Idempotent."""

@final
class Frame:
    """One received frame: a whole encoded picture (H.264 as Annex B) or one Opus packet."""

    mid: str
    track: str | None
    """Track id from the offer's msid, when there was one."""
    rid: str | None
    kind: MediaKind
    codec: Codec
    rtp_time: int
    """Extended RTP time in clock_rate units; it does not wrap."""
    clock_rate: int
    keyframe: bool
    contiguous: bool
    """False: packets were lost before this frame."""
    data: bytes
    capture_time_us: int | None
    """When it was captured: unix µs by the last sender report (None: the sender sends none).

    The first frames wait for the first SR, for 100 ms at most.
    """
    sr_ntp_us: int | None
    """Unix µs of the last SR, and the RTP time beside it."""
    sr_rtp_time: int | None
    received_ns: int
    """Arrival of the first packet, time.monotonic_ns() scale."""
    audio_level: int | None
    """dBov -127..0 (RFC 6464)."""
    seq_first: int
    seq_last: int
    dropped_before: int
    """Frames of this mid that the bounded queue dropped before this one."""

@final
class ClientEvent:
    """Something happened to a client.

    kind              fields
    connected         created_ns, ice_ns, dtls_ns
    keyframe_request  mid, rid
    media_added       mid, media_kind, direction, track
    media_changed     mid, direction
    bitrate           bps: what the peer can take
    closed            reason: CLOSED, CLOSED_BY_PEER, ICE_FAILED, ICE_DISCONNECTED, DTLS_FAILED,
                      PROTOCOL_ERROR
    """

    kind: str
    at_ns: int
    mid: str | None
    rid: str | None
    media_kind: MediaKind | None
    direction: str | None
    track: str | None
    bps: int | None
    reason: str | None
    created_ns: int | None
    ice_ns: int | None
    dtls_ns: int | None

@final
class ClientMedia:
    """One m-line of the client's peer connection."""

    mid: str
    kind: MediaKind
    direction: str
    track: str | None
    codecs: list[Codec]

@final
class ClientStats:
    connected: bool
    frames_in: int
    frames_dropped: int
    packets_in: int
    bytes_in: int
    packets_out: int
    bytes_out: int
    frames_out: int
    keyframe_requests_in: int
    keyframe_requests_out: int
    rtt_ms: float | None
    estimate_bps: int | None

@final
class Client:
    """A WebRTC client for encoded media with its own UDP socket and thread; thread-safe."""

    def __new__(
        cls,
        bind_host: str = "127.0.0.1",
        *,
        max_queued_frames: int = 512,
        max_queued_bytes: int = 64 * 1024 * 1024,
        connect_timeout_ms: int = 15000,
        forced_loss: float = 0.0,
    ) -> Self:
        """Open a socket. A queue that overflows drops up to the next keyframe and asks for one."""

    def create_offer(
        self,
        *,
        video_codec: Codec | None = ...,
        audio: bool = True,
        direction: Literal["sendonly", "recvonly"] = "sendonly",
        simulcast: Sequence[str] | None = None,
        h264_profile_level_id: str | None = None,
    ) -> str:
        """Offer one audio and one video line (H.264 by default).

        With `video_codec=None`, sendonly offers no video and recvonly offers all codecs.

        `simulcast`: RIDs, lowest layer first; then send() needs `rid`.
        """

    def set_answer(self, sdp: str) -> None: ...
    def accept_offer(self, sdp: str) -> str:
        """Answer the node's (re)offer; every media is accepted as receive-only."""

    def add_candidate(self, candidate: str) -> None: ...
    def medias(self) -> list[ClientMedia]: ...
    def recv(self, timeout_ms: int, max: int = 64) -> list[Frame]:
        """Wait for frames, in order per mid. Empty after the timeout or once closed."""

    def poll_events(self, timeout_ms: int, max: int = 64) -> list[ClientEvent]: ...
    def request_keyframe(self, mid: str, rid: str | None = None) -> None: ...
    def send(
        self,
        mid: str,
        payload: bytes,
        *,
        rtp_time: int,
        capture_time_us: int | None = None,
        rid: str | None = None,
        audio_level: int | None = None,
    ) -> bool:
        """Send one encoded frame (H.264 Annex B, VP8, VP9, AV1 temporal unit, one Opus packet).

        `rtp_time` counts 1/90000 s for video and 1/48000 s for audio. `capture_time_us` (unix µs,
        default now) is what sender reports map RTP time to. False: not yet connected, dropped.
        """

    def stats(self) -> ClientStats: ...
    @property
    def connected(self) -> bool: ...
    def close(self) -> None: ...

def is_keyframe(codec: Codec, payload: bytes) -> bool:
    """True when an RTP payload of this codec starts a keyframe. For tests and tools."""
