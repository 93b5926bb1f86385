from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from odeon_signaling.domain.programme import HOLD_S, Focus, programme
from odeon_signaling.domain.tracks import HostMutes, MediaKind, Source, Track


def track(
    owner: str,
    source: Source = Source.CAMERA,
    *,
    order: int = 1,
    muted: bool = False,
    flowing: bool = True,
    hidden: bool = False,
) -> Track:
    audio = source in (Source.MICROPHONE, Source.SCREEN_AUDIO)
    return Track(
        id=f"{owner}-{source.value}",
        owner=owner,
        kind=MediaKind.AUDIO if audio else MediaKind.VIDEO,
        source=source,
        codec="vp8",
        order=order,
        self_muted=muted,
        flowing=flowing,
        hidden=hidden,
    )


def main_tracks(*tracks: Track, speaker: str = "") -> tuple[str, str]:
    shown = programme(tracks, Focus(speaker, 0.0))
    return (
        shown.video[0].id if shown.video else "",
        shown.audio[0].id if shown.audio else "",
    )


def test_the_first_publisher_is_shown_while_nobody_speaks() -> None:
    assert main_tracks(track("bob", order=2), track("ann", order=1)) == ("ann-camera", "")


def test_the_active_speaker_is_shown_with_their_own_voice() -> None:
    shown = main_tracks(
        track("ann", order=1),
        track("ann", Source.MICROPHONE, order=2),
        track("bob", order=3),
        track("bob", Source.MICROPHONE, order=4),
        speaker="bob",
    )
    assert shown == ("bob-camera", "bob-microphone")


def test_the_newest_screen_share_wins_over_the_speaker() -> None:
    shown = main_tracks(
        track("ann", order=1),
        track("bob", Source.SCREEN, order=2),
        track("cid", Source.SCREEN, order=3),
        track("cid", Source.SCREEN_AUDIO, order=4),
        track("cid", Source.MICROPHONE, order=5),
        speaker="ann",
    )
    assert shown == ("cid-screen", "cid-microphone")


def test_muted_stalled_and_hidden_tracks_are_not_shown() -> None:
    shown = main_tracks(
        track("ann", order=1, muted=True),
        track("bob", order=2, flowing=False),
        track("spy", order=3, hidden=True),
        track("cid", order=4),
    )
    assert shown == ("cid-camera", "")


def test_a_picture_without_a_voice_is_given_the_speakers_voice() -> None:
    shown = main_tracks(
        track("cam", order=1),
        track("ann", Source.MICROPHONE, order=2),
        track("bob", Source.MICROPHONE, order=3),
        speaker="bob",
    )
    assert shown == ("cam-camera", "bob-microphone")


def test_a_speaker_keeps_the_picture_for_a_while() -> None:
    focus = Focus().moved(["ann"], 10.0)
    assert focus.moved(["bob", "ann"], 10.0 + HOLD_S / 2).identity == "ann"
    assert focus.moved(["bob", "ann"], 10.0 + HOLD_S).identity == "bob"


def test_silence_moves_nothing() -> None:
    focus = Focus().moved(["ann"], 10.0)
    assert focus.moved([], 1000.0) is focus


def test_a_hosts_mute_holds_for_the_kinds_it_names_only() -> None:
    mutes = HostMutes().changed(audio=True, video=None)
    assert mutes.apply(track("ann", Source.MICROPHONE)).muted
    assert not mutes.apply(track("ann")).muted
    assert not mutes.changed(audio=False, video=None).apply(track("ann", Source.MICROPHONE)).muted


def test_what_its_owner_muted_stays_muted_when_the_host_lifts_the_mute() -> None:
    mutes = HostMutes().changed(audio=False, video=False)
    assert mutes.apply(track("ann", Source.MICROPHONE, muted=True)).muted


tracks = st.lists(
    st.builds(
        track,
        st.sampled_from("abcd"),
        st.sampled_from(Source),
        order=st.integers(1, 50),
        muted=st.booleans(),
        flowing=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda t: (t.owner, t.source),
)


@given(tracks, st.sampled_from(["", *"abcd"]))
def test_everything_on_air_is_shown_once_and_nothing_else(shown: list[Track], who: str) -> None:
    result = programme(shown, Focus(who, 0.0))
    ids = [t.id for t in (*result.video, *result.audio)]
    assert sorted(ids) == sorted(t.id for t in shown if t.on_air)


numbered = tracks.map(lambda many: [replace(t, order=n) for n, t in enumerate(many)])


@given(
    numbered.flatmap(lambda many: st.tuples(st.just(many), st.permutations(many))),
    st.sampled_from(["", *"abcd"]),
)
def test_the_order_in_memory_does_not_matter(
    both: tuple[list[Track], list[Track]], who: str
) -> None:
    one, other = both
    assert programme(one, Focus(who, 0.0)) == programme(other, Focus(who, 0.0))
