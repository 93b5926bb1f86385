"""Finds out by trying which encoder and decoder this machine really has.

Some GPUs decode but do not encode (H100, H200), drivers may be older than the headers, sessions
may be used up: only a frame that came out proves anything. Run as a program in a process of its
own, because a broken driver may crash; prints one JSON object.
"""

import json
import sys
from dataclasses import asdict, dataclass
from fractions import Fraction

import av
from av.codec.hwaccel import HWAccel

PATHS = ("NVENC", "NVDEC_CPU", "CPU")


@dataclass(frozen=True, slots=True)
class Capability:
    """What was found: the path, the device and a sentence for people."""

    path: str
    device: str = ""
    detail: str = ""
    decodes: bool = True
    """Whether the device decodes, too."""

    @property
    def video_encoder(self) -> str:
        """Name of the encoder in libavcodec."""
        return "h264_nvenc" if self.path == "NVENC" else "libx264"

    @property
    def decode_device(self) -> str | None:
        """Device type for hardware decoding, if it works."""
        return "cuda" if self.path in ("NVENC", "NVDEC_CPU") and self.decodes else None


def find() -> Capability:
    """Try NVENC, then NVDEC, and fall back to the CPU."""
    return decide(nvenc=_try_encode("h264_nvenc"), nvdec=_try_decode())


def decide(*, nvenc: str | None, nvdec: str | None) -> Capability:
    """What to work with, from what is wrong with encoding and decoding on the device, if any."""
    if nvenc is None and nvdec is None:
        return Capability("NVENC", "cuda:0", "encoded a frame with NVENC")
    if nvenc is None:
        detail = f"encoded a frame with NVENC; NVDEC: {nvdec}"
        return Capability("NVENC", "cuda:0", detail, decodes=False)
    if nvdec is None:
        return Capability("NVDEC_CPU", "cuda:0", f"decodes with NVDEC; NVENC: {nvenc}")
    return Capability("CPU", "", f"NVENC: {nvenc}; NVDEC: {nvdec}")


def _try_encode(name: str) -> str | None:
    """None when a frame came out, else why not."""
    try:
        encoder = av.CodecContext.create(name, "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = 640, 360, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
        packets = [*encoder.encode(_grey(0)), *encoder.encode(None)]
    except (av.FFmpegError, ValueError) as error:
        return _why(error)
    return None if any(packet.size for packet in packets) else "no packet came out"


def _try_decode() -> str | None:
    """None when a frame came back from the GPU, else why not."""
    try:
        encoder = av.CodecContext.create("libx264", "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = 640, 360, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
        encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
        packets = [*encoder.encode(_grey(0)), *encoder.encode(None)]
        accel = HWAccel("cuda", allow_software_fallback=False)
        decoder = av.CodecContext.create("h264", "r", accel)
        assert isinstance(decoder, av.VideoCodecContext)
        frames = [f for packet in [*packets, None] for f in decoder.decode(packet)]
    except (av.FFmpegError, ValueError, RuntimeError, NotImplementedError) as error:
        return _why(error)
    return None if frames else "no picture came out"


def _grey(pts: int) -> av.VideoFrame:
    frame = av.VideoFrame(640, 360, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.pts, frame.time_base = pts, Fraction(1, 30)
    return frame


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def main() -> None:
    """Print what was found."""
    json.dump(asdict(find()), sys.stdout)


if __name__ == "__main__":
    main()
