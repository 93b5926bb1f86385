#!/usr/bin/env python3
"""Publish a file by WHIP with FFmpeg 8's own muxer, through PyAV: what `ffmpeg -re … -f whip` does.

For encoders of one's own: anything that PyAV can open (a capture card, an RTSP camera, a screen)
goes the same way. WHIP needs H.264 without B-frames and Opus at 48 kHz in stereo.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame

X264 = {"preset": "veryfast", "tune": "zerolatency", "bf": "0", "g": "60"}
OPUS_RATE, OPUS_SAMPLES = 48_000, 960


class Encoder:
    """H.264 and Opus streams of a WHIP session."""

    def __init__(self, sink: OutputContainer, source: InputContainer) -> None:
        self._sink = sink
        picture = source.streams.video[0]
        self._video = sink.add_stream("libx264", rate=picture.average_rate or 30, options=X264)
        # 4:2:0 wants even sizes.
        self._video.width, self._video.height = picture.width & ~1, picture.height & ~1
        self._video.pix_fmt = "yuv420p"
        if picture.time_base is not None:
            self._video.codec_context.time_base = picture.time_base
        self._audio = None
        if source.streams.audio:
            self._audio = sink.add_stream("libopus", rate=OPUS_RATE, layout="stereo")
            self._resampler = av.AudioResampler("s16", "stereo", OPUS_RATE, OPUS_SAMPLES)

    def send(self, frame: VideoFrame | AudioFrame) -> None:
        """Encode a frame and send what comes of it."""
        if isinstance(frame, VideoFrame):
            picture = frame.reformat(self._video.width, self._video.height, "yuv420p")
            self._sink.mux(self._video.encode(picture))
        elif self._audio is not None:
            for piece in self._resampler.resample(frame):
                self._sink.mux(self._audio.encode(piece))


def in_real_time(source: InputContainer) -> Iterator[VideoFrame | AudioFrame]:
    """Frames of a file when their time comes, as `ffmpeg -re` reads."""
    began = time.monotonic()
    tracks = [source.streams.video[0], *source.streams.audio[:1]]
    for frame in source.decode(tracks):
        if isinstance(frame, VideoFrame | AudioFrame) and frame.time is not None:
            time.sleep(max(0.0, began + frame.time - time.monotonic()))
            yield frame


def publish(file: Path, url: str, token: str) -> int:
    """Send the file once; returns how many pictures were sent.

    Raises:
        av.FFmpegError: the file cannot be read, or the gateway refused.
    """
    pictures = 0
    with av.open(str(file)) as source:
        if not source.streams.video:
            raise ValueError("it has no picture")
        options = {"authorization": token}
        with av.open(url, "w", format="whip", options=options) as sink:
            encoder = Encoder(sink, source)
            for frame in in_real_time(source):
                encoder.send(frame)
                pictures += isinstance(frame, VideoFrame)
    return pictures


def main() -> None:
    """Read the command line, and the variables that `odeon publish` reads, too."""
    parser = argparse.ArgumentParser(description="Publish a file by WHIP with FFmpeg's muxer.")
    parser.add_argument("file", type=Path, help="anything that FFmpeg reads")
    file: Path = parser.parse_args().file
    try:
        url, token = os.environ["ODEON_PUBLISH_URL"], os.environ["ODEON_PUBLISH_TOKEN"]
    except KeyError as missing:
        sys.exit(f"error: {missing} is not set; see examples/go_live/README.md")
    try:
        print(f"sent {publish(file, url, token)} pictures")
    except (av.FFmpegError, ValueError) as error:
        sys.exit(f"error: {file} to {url}: {error}")


if __name__ == "__main__":
    main()
