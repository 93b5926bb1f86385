"""WHEP viewers of one event: their slots follow the programme."""

from collections.abc import Iterable

from odeon_media import SfuNode
from odeon_runtime.ids import new_id
from odeon_runtime.logs import logger

from odeon_signaling.domain.programme import Focus, Programme, programme
from odeon_signaling.domain.tracks import Track
from odeon_signaling.media import MediaRefused, refusals
from odeon_signaling.members import Viewer

_log = logger(__name__)


class Audience:
    """The viewers, and what they are shown."""

    def __init__(self, sfu: SfuNode, event_key: str) -> None:
        self._sfu = sfu
        self._event_key = event_key
        self._focus = Focus()
        self._speakers: tuple[str, ...] = ()
        self._programme = Programme()
        self.viewers: dict[str, Viewer] = {}

    def open(self, viewer: Viewer, offer: str) -> str:
        """Answer a viewer's offer; its slots are filled at once with what is on air."""
        with refusals():
            answer = self._sfu.answer_whep(
                viewer.session, self._event_key, viewer.grant.identity, offer
            )
        self.viewers[viewer.session] = viewer
        with refusals():
            for _, kind, _ in self._sfu.slots(viewer.session):
                index = sum(1 for known, _ in viewer.shown if known == kind)
                viewer.shown[(kind, index)] = None
        self._fill(viewer)
        return answer

    def heard(self, speakers: Iterable[str]) -> None:
        """Who speaks now, loudest first; shown from the next `refresh` on."""
        self._speakers = tuple(speakers)

    def refresh(self, tracks: Iterable[Track], now_s: float) -> None:
        """Follow the programme; cheap when nothing changed."""
        self._focus = self._focus.moved(self._speakers, now_s)
        present = programme(tracks, self._focus)
        if _ids(present) == _ids(self._programme):
            return
        self._programme = present
        for viewer in self.viewers.values():
            self._fill(viewer)

    def forget(self, session: str) -> Viewer | None:
        """A session is over."""
        return self.viewers.pop(session, None)

    def _fill(self, viewer: Viewer) -> None:
        wanted = {"video": self._programme.video, "audio": self._programme.audio}
        for (kind, index), shown in viewer.shown.items():
            tracks = wanted[kind]
            track = tracks[index].id if index < len(tracks) else None
            if track == shown:
                continue
            try:
                with refusals():
                    slot = "video" if kind == "video" else "audio"
                    self._sfu.set_slot(viewer.session, slot, track, index=index)  # type: ignore[arg-type]
            except MediaRefused as error:
                _log.info("slot_not_set", reason=error.reason, session=viewer.session)
                continue
            viewer.shown[(kind, index)] = track


def _ids(present: Programme) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(t.id for t in present.video), tuple(t.id for t in present.audio)


def new_viewer_session() -> str:
    """A fresh id of a WHEP session."""
    return new_id("play")
