"""Brings pictures to the one kind that everything after the decoder handles."""

from dataclasses import dataclass
from fractions import Fraction

import av
from av.filter import Graph
from av.video.reformatter import ColorRange, VideoReformatter

from odeon_transcoder.domain.colour import Matrix, matrix_of

PIXELS = "yuv420p"
_TICK = Fraction(1, 90_000)
"""Any will do: times go beside the pictures."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a conversion depends on."""

    width: int
    height: int
    matrix: Matrix
    full_range: bool


class Normaliser:
    """Makes pictures 8-bit 4:2:0 in BT.709 with limited range. One a track; not thread-safe.

    Primaries and transfer characteristics stay as they are: cameras and screens of browsers have
    those of sRGB whatever their matrix is, and so does BT.709 nearly.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._graph: Graph | None = None
        self._kind: _Kind | None = None

    def normalise(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture itself when it is of that kind already.

        Raises:
            av.FFmpegError: libavfilter does not take it.
        """
        matrix = matrix_of(picture.colorspace)
        full = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
        if picture.format.name != PIXELS:
            picture = self._reformatter.reformat(
                picture,
                format=PIXELS,
                src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
                dst_color_range=ColorRange.MPEG,
            )
            full = False
        if matrix is Matrix.BT709 and not full:
            return picture
        graph = self._graph_for(_Kind(picture.width, picture.height, matrix, full))
        graph.push(picture)
        made = graph.pull()
        assert isinstance(made, av.VideoFrame)
        return made

    def _graph_for(self, kind: _Kind) -> Graph:
        if self._graph is None or kind != self._kind:
            # Twice as fast as swscale, which goes through RGB from one matrix to another.
            self._graph, self._kind = _colorspace(kind), kind
        return self._graph


def _colorspace(kind: _Kind) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=kind.width,
        height=kind.height,
        format=av.VideoFormat(PIXELS, kind.width, kind.height),
        time_base=_TICK,
    )
    change = graph.add(
        "colorspace",
        f"ispace={kind.matrix.value}:irange={'pc' if kind.full_range else 'tv'}"
        ":iprimaries=bt709:itrc=bt709"
        ":space=bt709:range=tv:primaries=bt709:trc=bt709",
    )
    graph.link_nodes(source, change, graph.add("buffersink")).configure()
    return graph
