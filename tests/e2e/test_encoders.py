"""Encoders that are not ours publish by WHIP: FFmpeg's muxer, in a process of its own."""

import asyncio
import sys

import pytest
from odeon_testkit.tenant import Api, until_playing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

# In a process of its own: the muxer blocks its whole process while it negotiates.
_PUBLISH = """
import fractions, sys, time
import av, numpy as np
url, token, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
out = av.open(url, "w", format="whip", options={"authorization": token})
video = out.add_stream("libx264", rate=15)
video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
video.options = {"preset": "ultrafast", "tune": "zerolatency", "bf": "0", "g": "15",
                 "profile": "baseline"}
audio = out.add_stream("libopus", rate=48000, layout="stereo")
start, frames, samples = time.monotonic(), 0, 0
while time.monotonic() - start < seconds:
    picture = np.full((360, 640, 3), (frames * 3) % 256, dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame.pts, frame.time_base = frames, fractions.Fraction(1, 15)
    out.mux(video.encode(frame))
    frames += 1
    while samples < frames * 3200:
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 1920), dtype=np.int16), format="s16", layout="stereo")
        sound.sample_rate, sound.pts = 48000, samples
        sound.time_base = fractions.Fraction(1, 48000)
        out.mux(audio.encode(sound))
        samples += 960
    time.sleep(max(0, start + frames / 15 - time.monotonic()))
"""


async def test_ffmpegs_whip_muxer_goes_live(api: Api) -> None:
    event, links = await api.live_event()
    encoder = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", _PUBLISH, links["whipUrl"], links["whipToken"], "90"]
    )
    try:
        await until_playing(links["playlistUrl"], segments=2, limit_s=80)
        assert encoder.returncode is None, "the encoder must still be sending"
    finally:
        encoder.terminate()
        await encoder.wait()
        await api.call("room.v1.RoomService/EndEvent", name=event)
