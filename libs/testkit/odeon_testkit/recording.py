"""What is really in a playlist: fetched like a player, decoded, and the test card read back."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urljoin

import av
import httpx
import numpy as np
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from odeon_testkit.testcard import Reading, beep_onsets, lip_sync_errors, read_luma

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')
_RATE = 48_000


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded picture: presentation time on the event's clock in seconds, and its card."""

    time_s: float
    card: Reading | None


@dataclass(frozen=True, slots=True)
class Rendition:
    """A media playlist: runs of segments that share an init section, in order."""

    runs: tuple[tuple[str, tuple[str, ...]], ...]
    ended: bool
    discontinuities: int
    gaps: int


def parse_media(url: str, text: str) -> Rendition:
    """Take a media playlist apart; gap segments are counted and left out."""
    runs: list[tuple[str, list[str]]] = []
    gaps, is_gap = 0, False
    for line in text.splitlines():
        if line.startswith("#EXT-X-MAP:"):
            uri = dict(_ATTRIBUTE.findall(line))["URI"].strip('"')
            if not runs or runs[-1][0] != urljoin(url, uri):
                runs.append((urljoin(url, uri), []))
        elif line == "#EXT-X-GAP":
            is_gap = True
        elif line and not line.startswith("#"):
            if is_gap:
                gaps += 1
            else:
                runs[-1][1].append(urljoin(url, line))
            is_gap = False
    return Rendition(
        runs=tuple((init, tuple(segments)) for init, segments in runs),
        ended="#EXT-X-ENDLIST" in text,
        discontinuities=text.count("#EXT-X-DISCONTINUITY\n"),
        gaps=gaps,
    )


@retry(
    retry=retry_if_result(lambda answer: answer.status_code == httpx.codes.TOO_MANY_REQUESTS),
    wait=wait_fixed(0.5),
    stop=stop_after_delay(30),
)
async def _unhurried(http: httpx.AsyncClient, url: str) -> httpx.Response:
    return await http.get(url)


async def get(http: httpx.AsyncClient, url: str) -> httpx.Response:
    """A good answer; any other raises HTTPStatusError.

    A whole recording at once is more than a viewer may ask for, so a 429 is waited out.
    """
    return (await _unhurried(http, url)).raise_for_status()


async def renditions(http: httpx.AsyncClient, main_url: str) -> tuple[list[str], list[str]]:
    """Addresses of the video playlists, best first, and of the audio playlists."""
    text = (await get(http, main_url)).text
    lines = text.splitlines()
    video = [
        (int(dict(_ATTRIBUTE.findall(line))["BANDWIDTH"]), urljoin(main_url, lines[index + 1]))
        for index, line in enumerate(lines)
        if line.startswith("#EXT-X-STREAM-INF:")
    ]
    audio = [
        urljoin(main_url, dict(_ATTRIBUTE.findall(line))["URI"].strip('"'))
        for line in lines
        if line.startswith("#EXT-X-MEDIA:") and "TYPE=AUDIO" in line
    ]
    return [uri for _, uri in sorted(video, reverse=True)], audio


async def fetch(
    http: httpx.AsyncClient, url: str, *, last_segments: int | None = None
) -> tuple[Rendition, list[bytes]]:
    """A media playlist and its media, one decodable file for each run of segments."""
    text = (await get(http, url)).text
    rendition = parse_media(url, text)
    files: list[bytes] = []
    for init, segments in rendition.runs:
        wanted = segments if last_segments is None else segments[-last_segments:]
        pieces = [(await get(http, uri)).content for uri in (init, *wanted)]
        files.append(b"".join(pieces))
    return rendition, files


def frames(file: bytes) -> list[Frame]:
    """Every picture of a file, in order."""
    found = []
    with av.open(io.BytesIO(file), "r") as container:
        for frame in container.decode(video=0):
            luma = np.asarray(frame.reformat(format="gray").to_ndarray(), dtype=np.uint8)
            found.append(Frame(float(frame.time or 0.0), read_luma(luma)))
    return found


def beeps(file: bytes) -> list[float]:
    """Onsets of the beeps on the event's clock, in seconds."""
    start: float | None = None
    chunks = []
    with av.open(io.BytesIO(file), "r") as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
        for frame in container.decode(audio=0):
            start = float(frame.time or 0.0) if start is None else start
            chunks += [out.to_ndarray().reshape(-1) for out in resampler.resample(frame)]
    if start is None:
        return []
    return [start + onset for onset in beep_onsets(np.concatenate(chunks), _RATE)]


def flash_onsets(pictures: Sequence[Frame]) -> list[float]:
    """Times at which the flash is first seen in the pixels."""
    onsets: list[float] = []
    before = True  # a flash that is on from the first frame did not start there
    for picture in pictures:
        lit = picture.card.flash_seen if picture.card is not None else before
        if lit and not before:
            onsets.append(picture.time_s)
        before = lit
    return onsets


def lip_sync_ms(video: bytes, audio: bytes) -> list[float]:
    """Beep minus flash for every second that both files hold, in milliseconds."""
    return [error * 1000 for error in lip_sync_errors(flash_onsets(frames(video)), beeps(audio))]


def missing_and_repeated(pictures: Sequence[Frame]) -> tuple[int, int]:
    """Frames of the card that were left out, and that were shown twice, by its counter."""
    counters = [p.card.counter for p in pictures if p.card is not None]
    steps = [after - before for before, after in pairwise(counters)]
    return sum(step - 1 for step in steps if step > 1), sum(step == 0 for step in steps)
