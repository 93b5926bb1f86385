"""A publisher with three simulcast layers: `python -m odeon_loadtest.simulcast URL TOKEN`.

The test card with a patch of noise, so that each layer really costs its bit rate. It answers
keyframe requests layer by layer, as browsers do, and publishes by WHIP until SIGTERM.
"""

import signal
import sys
import threading
import time

import httpx
import numpy as np
from numpy.typing import NDArray
from odeon_media import Client
from odeon_testkit.testcard import TestCard
from odeon_testkit.testcard.layout import LABEL
from odeon_testkit.testcard.stream import CardStream

FRAME_RATE = 30
LAYERS = {"q": (160, 90, 120_000), "h": (320, 180, 350_000), "f": (640, 360, 1_300_000)}
"""Width, height and bits per second by RID, lowest first."""
_PATCHES = 16
_PAUSE_S = 0.002


class NoisyCard(TestCard):
    """A card whose label area changes completely with every frame."""

    def __init__(self, width: int, height: int, frame_rate: int) -> None:
        super().__init__(width, height, frame_rate)
        self._left, self._top, right, bottom = LABEL.pixels(width, height)
        size = (_PATCHES, bottom - self._top, right - self._left)
        self._patches = np.random.default_rng(7).integers(40, 200, size, dtype=np.uint8)

    def frame(self, counter: int, unix_ms: int) -> NDArray[np.uint8]:
        """The card with a patch over its label."""
        luma = np.array(super().frame(counter, unix_ms))
        patch = self._patches[counter % _PATCHES]
        height, width = patch.shape
        luma[self._top : self._top + height, self._left : self._left + width] = patch
        return luma


def publish(url: str, token: str, stop: threading.Event) -> None:
    """Publish until `stop` is set."""
    client = Client()
    offer = client.create_offer(video_codec="h264", simulcast=list(LAYERS))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    answer = httpx.post(url, content=offer, headers=headers, timeout=15).raise_for_status()
    client.set_answer(answer.text)
    while not client.connected and not stop.wait(_PAUSE_S):
        pass
    try:
        _send(client, stop)
    finally:
        client.close()


def _send(client: Client, stop: threading.Event) -> None:
    begun = time.time()
    mids = {media.kind: media.mid for media in client.medias()}
    layers = {
        rid: CardStream(
            NoisyCard(width, height, FRAME_RATE),
            bit_rate=bit_rate,
            start_unix_s=begun,
            keyframe_every=sys.maxsize,
        )
        for rid, (width, height, bit_rate) in LAYERS.items()
    }
    clock = next(iter(layers.values()))
    while not stop.is_set():
        for event in client.poll_events(0):
            if event.kind == "keyframe_request" and event.rid in layers:
                layers[event.rid].force_keyframe()
        now_s = time.time() - begun
        if clock.next_video_s <= now_s:
            for rid, stream in layers.items():
                frame = stream.video()
                _one(client, mids["video"], frame.data, frame.rtp_time, frame.capture_time_us, rid)
        elif clock.next_audio_s <= now_s:
            frame = clock.audio()
            _one(client, mids["audio"], frame.data, frame.rtp_time, frame.capture_time_us, None)
        else:
            stop.wait(_PAUSE_S)


def _one(
    client: Client, mid: str, data: bytes, rtp_time: int, capture_us: int | None, rid: str | None
) -> None:
    client.send(mid, data, rtp_time=rtp_time, capture_time_us=capture_us, rid=rid)


def main() -> None:
    """Entry point."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    publish(sys.argv[1], sys.argv[2], stop)


if __name__ == "__main__":
    main()
