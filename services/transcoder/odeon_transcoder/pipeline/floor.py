"""Who is on stage and what they send: routes received frames to their tracks."""

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from odeon_transcoder.domain.layout import Seat
from odeon_transcoder.domain.timeline_clock import ProgrammeClock
from odeon_transcoder.pipeline.audio_track import AudioTrack
from odeon_transcoder.pipeline.media import EncodedFrame, FrameSource, TrackInfo, TrackSource
from odeon_transcoder.pipeline.person import Person
from odeon_transcoder.pipeline.video_track import VideoTrack

_log = logging.getLogger(__name__)

_RECV_TIMEOUT_MS = 200
_GONE_S = 3.0
"""A camera that delivered nothing for this long has no picture any more; a screen may rest."""


@dataclass(slots=True)
class _Stage:
    infos: dict[str, TrackInfo] = field(default_factory=dict)
    mids: dict[str, str] = field(default_factory=dict)
    speaker: str | None = None


class Floor:
    """The tracks of a stage. Told by the control thread, fed by its own, read by the programme."""

    def __init__(self, programme: ProgrammeClock, *, hardware: str | None = None) -> None:
        self.changed = threading.Condition()
        self.loudest: str | None = None
        self._programme = programme
        self._hardware = hardware
        self._lock = threading.RLock()
        self._stage = _Stage()
        self._people: dict[str, Person] = {}
        self._video: dict[str, VideoTrack] = {}
        self._audio: dict[str, AudioTrack] = {}
        self._source: FrameSource | None = None
        self._closing = False
        self._thread: threading.Thread | None = None
        self._received_before = 0
        self._absent_before = 0
        self._dropped_before = 0

    # Control

    def connect(self, source: FrameSource) -> None:
        """Receive from `source` from now on; frames of an older one are not read any more."""
        with self._lock:
            self._source = source
            if self._thread is None:
                self._thread = threading.Thread(target=self._receive, name="receive", daemon=True)
                self._thread.start()

    def set_tracks(self, infos: Iterable[TrackInfo]) -> None:
        """Make these the tracks of the stage, in order of their appearance."""
        new = {info.track_id: info for info in infos}
        with self._lock:
            gone = self._stage.infos.keys() - new.keys()
            self._stage.infos = new
            self._stage.mids = {info.mid: info.track_id for info in new.values() if info.mid}
            ended = [self._take_out(track_id) for track_id in gone]
            present = {info.identity for info in new.values()}
            self._people = {who: p for who, p in self._people.items() if who in present}
        for track in ended:
            if track is not None:
                track.close()
        self._notify()

    def reconnected(self) -> None:
        """Media comes by a new connection, whose RTP times need not continue the old ones."""
        with self._lock:
            for person in self._people.values():
                person.restart()

    def restart(self) -> None:
        """A new epoch begins: place everything anew."""
        with self._lock:
            for person in self._people.values():
                person.restart()
            for video in self._video.values():
                video.restart()
            for audio in self._audio.values():
                audio.restart()

    def close(self) -> None:
        """Stop receiving and decoding."""
        self._closing = True
        self.set_tracks(())
        if self._thread is not None:
            self._thread.join(timeout=2)

    # The programme

    def seats(self, now_s: float) -> list[Seat]:
        """Who can be shown, in order of appearance; nobody at all means the slate.

        While anybody has a picture: every video track that ever had one, muted and silent ones as
        name tiles. While there are only voices: a name tile for everybody who is heard.
        """
        with self._lock:
            infos = self._stage.infos.values()
            seen = [info for info in infos if self._has_picture(info)]
            if any(self._alive(info, self._video[info.track_id], now_s) for info in seen):
                return [_seat(info) for info in seen]
            heard = {
                info.identity: _seat(info)
                for info in infos
                if (audio := self._audio.get(info.track_id)) and audio.age_s(now_s) <= _GONE_S
            }
            return list(heard.values())

    def shown_video(self, track_id: str, now_s: float) -> VideoTrack | None:
        """The track if its picture should be shown, not its name."""
        with self._lock:
            info, video = self._stage.infos.get(track_id), self._video.get(track_id)
            if info is None or video is None or not self._alive(info, video, now_s):
                return None
            return video

    def video_tracks(self) -> list[VideoTrack]:
        """All that ever delivered a frame and are still there."""
        with self._lock:
            return list(self._video.values())

    def arriving_layers(self) -> bool:
        """Whether a better simulcast layer of some track may still be on its way."""
        return bool(self.layered_tracks())

    def layered_tracks(self) -> list[TrackInfo]:
        """Video tracks that come in several simulcast layers."""
        with self._lock:
            infos = self._stage.infos.values()
            return [info for info in infos if info.kind == "video" and len(info.layers) > 1]

    def audio_tracks(self) -> list[AudioTrack]:
        """All unmuted audio tracks."""
        with self._lock:
            infos = self._stage.infos
            return [a for a in self._audio.values() if not infos[a.track_id].muted]

    def frames_received(self) -> int:
        """Video frames since the start."""
        with self._lock:
            now = sum(video.counters.received for video in self._video.values())
            return self._received_before + now

    def frames_absent(self) -> int:
        """Video frames that never came, since the start, by their sources' cadences."""
        with self._lock:
            now = sum(video.counters.absent for video in self._video.values())
            return self._absent_before + now

    def frames_dropped(self) -> int:
        """Video frames that were decoded and never shown, since the start."""
        with self._lock:
            now = sum(video.counters.dropped for video in self._video.values())
            return self._dropped_before + now

    def _has_picture(self, info: TrackInfo) -> bool:
        video = self._video.get(info.track_id)
        return video is not None and video.has_picture

    def _alive(self, info: TrackInfo, video: VideoTrack, now_s: float) -> bool:
        if info.muted or not video.has_picture:
            return False
        return info.source is TrackSource.SCREEN or video.age_s(now_s) <= _GONE_S

    # Receiving

    def _receive(self) -> None:
        while not self._closing:
            source = self._source
            assert source is not None
            frames = source.recv(_RECV_TIMEOUT_MS)
            heard = False
            for frame in frames:
                heard = self._route(source, frame) or heard
            if heard:
                self._notify()

    def _route(self, source: FrameSource, frame: EncodedFrame) -> bool:
        """Hand a frame to its track; whether samples arrived."""
        with self._lock:
            track_id = frame.track or self._stage.mids.get(frame.mid)
            info = self._stage.infos.get(track_id) if track_id is not None else None
            if info is None:
                return False
            if info.kind == "video":
                video = self._video.get(info.track_id) or self._add_video(info, source, frame.mid)
            else:
                audio = self._audio.get(info.track_id) or self._add_audio(info)
        if info.kind == "video":
            video.push(frame)
            return False
        audio.push(frame)
        return True

    def _add_video(self, info: TrackInfo, source: FrameSource, mid: str) -> VideoTrack:
        video = VideoTrack(
            info.track_id,
            self._person(info.identity),
            self._programme,
            changed=self._notify,
            request_keyframe=lambda: source.request_keyframe(mid),
            hardware=self._hardware,
        )
        self._video[info.track_id] = video
        _log.info("video_appeared track=%s", info.track_id)
        return video

    def _add_audio(self, info: TrackInfo) -> AudioTrack:
        audio = AudioTrack(info.track_id, self._person(info.identity), self._programme)
        self._audio[info.track_id] = audio
        return audio

    def _person(self, identity: str) -> Person:
        return self._people.setdefault(identity, Person(self._programme))

    def _take_out(self, track_id: str) -> VideoTrack | AudioTrack | None:
        video = self._video.pop(track_id, None)
        if video is not None:
            self._received_before += video.counters.received
            self._absent_before += video.counters.absent
            self._dropped_before += video.counters.dropped
            return video
        return self._audio.pop(track_id, None)

    def _notify(self) -> None:
        with self.changed:
            self.changed.notify_all()


def _seat(info: TrackInfo) -> Seat:
    screen = info.source is TrackSource.SCREEN
    return Seat(info.track_id, info.identity, info.name, screen)
