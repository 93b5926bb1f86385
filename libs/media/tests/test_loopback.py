"""Client → node → client on loopback with real encoded media."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import av
import pytest
from odeon_media import (
    Client,
    Frame,
    InvalidArgumentError,
    InvalidSdpError,
    LimitError,
    NotFoundError,
    SfuNode,
    StateError,
)
from odeon_testkit.rtc import HEIGHT, WIDTH, Events, Publisher, wait_for

NewClient = Callable[..., Client]


def publish(
    node: SfuNode, client: Client, session: str = "pub", participant: str = "alice", **offer: object
) -> None:
    answer = node.answer_publish(session, "ev", participant, client.create_offer(**offer))  # type: ignore[arg-type]
    client.set_answer(answer)
    wait_for(lambda: client.connected, "the publisher to connect")


def subscribe_all(node: SfuNode, client: Client, session: str = "sub", **options: bool) -> None:
    node.open_subscriber(session, "ev", "bob", **options)
    for track in node.tracks("ev"):
        node.subscribe(session, track.track)
    offer = node.make_offer(session)
    assert offer is not None
    node.apply_answer(session, client.accept_offer(offer))


def receive(client: Client, pictures: int) -> list[Frame]:
    """Receive until so many video frames came."""
    frames: list[Frame] = []

    def enough() -> bool:
        frames.extend(client.recv(50))
        return sum(frame.kind == "video" for frame in frames) >= pictures

    wait_for(enough, f"{pictures} pictures", 30)
    return frames


def receive_for(client: Client, seconds: float) -> list[Frame]:
    """Receive for a while, to see that something does not come."""
    frames: list[Frame] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        frames.extend(client.recv(50))
    return frames


DECODERS = {"h264": "h264", "vp8": "vp8", "vp9": "vp9", "av1": "libdav1d"}


@pytest.mark.parametrize("codec", DECODERS)
def test_encoded_media_reaches_a_pinned_subscriber_whole_decodable_and_with_its_capture_time(
    node: SfuNode, events: Events, new_client: NewClient, codec: str
) -> None:
    sender, receiver = new_client(), new_client()
    publish(node, sender, video_codec=codec)
    with Publisher(sender, codec) as publisher:
        events.until("track_published", media_kind="video")
        events.until("track_published", media_kind="audio")
        subscribe_all(node, receiver, hidden=True, pinned=True)
        wait_for(lambda: receiver.connected, "the subscriber to connect")
        frames = receive(receiver, 60)
        started_us = publisher.started_us

    video = [frame for frame in frames if frame.kind == "video"]
    audio = [frame for frame in frames if frame.kind == "audio"]
    assert len(audio) >= 60
    assert video[0].keyframe and {frame.codec for frame in video} == {codec}
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    packets = [*(av.Packet(frame.data) for frame in video), None]
    pictures = [picture for packet in packets for picture in decoder.decode(packet)]
    assert len(pictures) >= len(video) - 2
    assert (pictures[0].width, pictures[0].height) == (WIDTH, HEIGHT)
    for stream, rate in ((video, 90_000), (audio, 48_000)):
        assert all(frame.contiguous for frame in stream[1:])
        steps = {b.rtp_time - a.rtp_time for a, b in itertools.pairwise(stream)}
        assert steps == {3000 if rate == 90_000 else 960}
        for frame in stream:
            assert frame.capture_time_us is not None, "a report comes with the first packets"
            since_start = frame.capture_time_us - started_us
            step_us = 1_000_000 / 30 if rate == 90_000 else 20_000
            assert abs(since_start / step_us - round(since_start / step_us)) * step_us < 2_000


def test_a_new_subscriber_gets_a_keyframe_at_once_because_the_publisher_is_asked(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    sender, receiver = new_client(), new_client()
    publish(node, sender)
    with Publisher(sender) as publisher:
        events.until("track_published", media_kind="video")
        time.sleep(0.3)  # the encoder's next own keyframe is 100 s away
        started = time.monotonic()
        subscribe_all(node, receiver)
        first = next(f for f in receive(receiver, 1) if f.kind == "video")
        assert first.keyframe
        assert time.monotonic() - started < 2
        assert publisher.keyframe_requests >= 1


def test_events_carry_the_times_of_ice_and_dtls_and_the_first_packet(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    before = time.monotonic_ns()
    sender = new_client()
    publish(node, sender)
    with Publisher(sender):
        connected = events.until("session_connected", session="pub")
        first = events.until("first_rtp", session="pub")
    assert connected.created_ns and connected.ice_ns and connected.dtls_ns
    assert before < connected.created_ns <= connected.ice_ns <= connected.dtls_ns <= first.at_ns
    assert first.at_ns < time.monotonic_ns()


def test_whep_slots_show_and_switch_tracks_in_one_stream(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    alice, bob, viewer = new_client(), new_client(), new_client()
    publish(node, alice, "pa", "alice")
    publish(node, bob, "pb", "bob")
    offer = viewer.create_offer(video_codec=None, direction="recvonly")
    viewer.set_answer(node.answer_whep("viewer", "ev", "", offer))
    with Publisher(alice), Publisher(bob):
        tracks = {
            name: events.until("track_published", session=name, media_kind="video").track
            for name in ("pa", "pb")
        }
        node.set_slot("viewer", "video", tracks["pa"])
        events.until("slot_changed", session="viewer", track=tracks["pa"])
        before = receive(viewer, 20)
        node.set_slot("viewer", "video", tracks["pb"])
        events.until("slot_changed", session="viewer", track=tracks["pb"])
        after = receive(viewer, 20)
    frames = before + after
    lost = {f.seq_first: f.seq_first - e.seq_last - 1 for e, f in itertools.pairwise(frames)}
    switches = {f.seq_first for f in after if f.keyframe}
    assert all(n == 0 for at, n in lost.items() if at not in switches), "one unbroken sequence"
    # What had come of the first track's picture when the second one took over, nobody can see.
    whole = max(f.seq_last - f.seq_first + 1 for f in frames)
    assert all(0 <= lost.get(at, 0) < whole for at in switches)
    times = [f.rtp_time for f in frames]
    assert times == sorted(set(times))
    assert sum(f.keyframe for f in after) >= 1
    assert node.slots("viewer")[1][2] == tracks["pb"] or node.slots("viewer")[0][2] == tracks["pb"]


def test_lost_packets_are_recovered_by_retransmission(new_client: NewClient) -> None:
    node = SfuNode(forced_loss=0.05)
    try:
        events = Events(node)
        sender, receiver = new_client(forced_loss=0.05), new_client()
        publish(node, sender)
        with Publisher(sender):
            events.until("track_published", media_kind="video")
            subscribe_all(node, receiver, pinned=True)
            wait_for(lambda: receiver.connected, "the subscriber to connect")
            video = [frame for frame in receive(receiver, 90) if frame.kind == "video"]
        broken = sum(not frame.contiguous for frame in video[1:])
        assert broken <= 2, f"{broken} breaks in {len(video)} frames at 5 % loss on both ways"
    finally:
        node.shutdown()


def test_muting_stops_a_track_and_unmuting_restarts_it_with_a_keyframe(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    sender, receiver = new_client(), new_client()
    publish(node, sender)
    with Publisher(sender):
        track = events.until("track_published", media_kind="video").track
        assert track is not None
        subscribe_all(node, receiver)
        receive(receiver, 1)
        node.mute(track, True)
        receive_for(receiver, 0.3)
        assert not [f for f in receive_for(receiver, 0.4) if f.kind == "video"]
        node.mute(track, False)
        again = [f for f in receive(receiver, 1) if f.kind == "video"]
        assert again[0].keyframe and again[0].contiguous


def test_a_subscription_can_be_dropped_and_another_reuses_its_line(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    alice, bob, receiver = new_client(), new_client(), new_client()
    publish(node, alice, "pa", "alice")
    publish(node, bob, "pb", "bob")
    with Publisher(alice), Publisher(bob):
        one = events.until("track_published", session="pa", media_kind="video").track
        two = events.until("track_published", session="pb", media_kind="video").track
        assert one and two
        node.open_subscriber("sub", "ev", "carol")
        for track in (one, two):
            node.subscribe("sub", track)
            offer = node.make_offer("sub")
            assert offer is not None
            node.apply_answer("sub", receiver.accept_offer(offer))
            if track == one:
                assert any(f.track == one for f in receive(receiver, 1))
                assert node.unsubscribe("sub", one)
        wait_for(
            lambda: any(f.track == two and f.kind == "video" for f in receiver.recv(50)),
            "the second track",
        )
        assert len(node.slots("sub")) == 1
        assert node.make_offer("sub") is None, "nothing changed since"


def test_leaving_is_told_to_both_sides(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    sender = new_client()
    publish(node, sender)
    with Publisher(sender):
        events.until("track_published", media_kind="video")
    sender.close()
    assert events.until("session_closed", session="pub").reason == "CLIENT_CLOSED"
    events.until("track_unpublished", session="pub")

    other = new_client()
    publish(node, other, "second")
    assert node.close("second", "KICKED")
    assert events.until("session_closed", session="second").reason == "KICKED"
    wait_for(lambda: any(e.kind == "closed" for e in other.poll_events(50)), "the client to notice")
    assert not node.close("second")


def test_ice_restarts_of_both_kinds_keep_the_media_flowing(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    sender, receiver = new_client(), new_client()
    publish(node, sender)
    with Publisher(sender):
        events.until("track_published", media_kind="video")
        subscribe_all(node, receiver)
        receive(receiver, 1)
        before = node.local_ice("sub")
        node.apply_answer("sub", receiver.accept_offer(node.ice_restart("sub")))
        assert node.local_ice("sub") != before
        receive(receiver, 40)
    fragment = "a=ice-ufrag:abcdefgh\r\na=ice-pwd:0123456789012345678901234\r\n"
    answer = node.ice_restart("pub", fragment)
    assert "a=ice-ufrag:" in answer and "a=candidate:" in answer
    assert node.remote_ice("pub") == ("abcdefgh", "0123456789012345678901234")


def test_refusals_have_a_class_and_a_stable_reason(node: SfuNode, new_client: NewClient) -> None:
    client = new_client()
    offer = client.create_offer()

    def reason(kind: type[Exception], call: Callable[[], object]) -> str:
        with pytest.raises(kind) as refusal:
            call()
        return str(getattr(refusal.value, "reason"))  # noqa: B009

    assert (
        reason(InvalidSdpError, lambda: node.answer_publish("p", "e", "a", "x" * (1 << 20)))
        == "SDP_TOO_LARGE"
    )
    assert (
        reason(InvalidSdpError, lambda: node.answer_publish("p", "e", "a", "garbage"))
        == "SDP_NO_MEDIA"
    )
    assert reason(
        InvalidSdpError, lambda: node.answer_publish("p", "e", "a", "v=0\nm=audio 9 x 0\n")
    )
    assert (
        reason(InvalidArgumentError, lambda: node.answer_publish("a b", "e", "a", offer))
        == "INVALID_SESSION_ID"
    )
    node.answer_publish("pub", "ev", "alice", offer)
    assert (
        reason(StateError, lambda: node.answer_publish("pub", "other", "alice", offer))
        == "SESSION_EXISTS"
    )
    assert (
        reason(StateError, lambda: node.open_subscriber("pub", "ev", "alice")) == "SESSION_EXISTS"
    )
    assert reason(StateError, lambda: node.make_offer("pub")) == "WRONG_SESSION_KIND"
    assert reason(NotFoundError, lambda: node.make_offer("nobody")) == "SESSION_NOT_FOUND"
    node.open_subscriber("sub", "ev2", "bob")
    assert reason(NotFoundError, lambda: node.subscribe("sub", "pub.xyz")) == "TRACK_NOT_FOUND"
    track = node.tracks("ev")[0].track
    assert reason(StateError, lambda: node.subscribe("sub", track)) == "TRACK_OF_OTHER_EVENT"
    assert reason(StateError, lambda: node.apply_answer("sub", offer)) == "NO_PENDING_OFFER"
    assert (
        reason(InvalidArgumentError, lambda: node.add_candidate("pub", "candidate:garbage"))
        == "INVALID_CANDIDATE"
    )
    node.add_candidate("pub", "candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host")
    node.add_candidate("pub", "candidate:1 1 udp 2130706431 0a1b.local 5000 typ host")

    def flood() -> None:
        for _ in range(1000):
            node.add_candidate("pub", "candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host")

    assert reason(LimitError, flood) == "TOO_MANY_CANDIDATES"
    small = SfuNode(max_sessions=1)
    small.open_subscriber("one", "ev", "a")
    assert (
        reason(LimitError, lambda: small.open_subscriber("two", "ev", "b")) == "TOO_MANY_SESSIONS"
    )
    small.shutdown()
    assert reason(StateError, lambda: small.open_subscriber("three", "ev", "c")) == "CLOSED"


def test_one_frame_for_one_subscriber_leaves_in_few_sends(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    sender, receiver = new_client(), new_client()
    publish(node, sender)
    with Publisher(sender):
        events.until("track_published", media_kind="video")
        subscribe_all(node, receiver, pinned=True)
        receive(receiver, 1)
        receive(receiver, 30)
    stats = node.stats()
    assert stats.egress_errors == 0
    assert stats.egress_calls < stats.egress_packets
