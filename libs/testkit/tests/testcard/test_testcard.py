"""The test card says what it was told to say, through x264 and scaling too."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_testkit.testcard import (
    CardCode,
    CodeError,
    TestCard,
    beep_onsets,
    lip_sync_errors,
    read_luma,
    read_rgb,
)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**24 - 1), st.booleans())
def test_a_code_survives_its_cells(unix_ms: int, counter: int, flash: bool) -> None:
    code = CardCode(unix_ms=unix_ms, counter=counter, flash=flash)

    assert CardCode.from_bits(code.to_bits()) == code


@given(st.integers(0, 95))
def test_one_wrong_cell_is_noticed(position: int) -> None:
    bits = CardCode(unix_ms=1_700_000_000_123, counter=77, flash=True).to_bits()
    bits[position] ^= 1

    with pytest.raises(CodeError):
        CardCode.from_bits(bits)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1280, 720), (426, 240), (854, 480)])
def test_a_drawn_card_is_read_at_every_size(width: int, height: int) -> None:
    card = TestCard(width, height, 30)

    reading = read_luma(card.frame(31, 1_800_000_000_042)[:height])

    assert reading is not None
    assert (reading.unix_ms, reading.counter) == (1_800_000_000_042, 31)
    assert reading.flash and reading.flash_seen


def test_the_flash_is_seen_only_while_it_is_on() -> None:
    card = TestCard(640, 360, 15)

    seen = []
    for counter in range(30):
        reading = read_luma(card.frame(counter, counter)[:360])
        assert reading is not None and reading.flash == reading.flash_seen
        seen.append(reading.flash_seen)

    assert [i for i, flash in enumerate(seen) if flash] == [0, 1, 15, 16]


def test_other_pictures_are_no_card() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (240, 426), dtype=np.uint8)

    assert read_luma(noise) is None
    assert read_luma(np.zeros((10, 10), np.uint8)) is None


def test_the_card_is_read_from_rgb_after_x264_at_240p_and_low_bitrate() -> None:
    card = TestCard(640, 360, 30)
    frames = [_frame(card, n, 1_800_000_000_000 + n * 33) for n in range(45)]

    decoded = _through_x264([f.reformat(426, 240) for f in frames], bit_rate=250_000)

    readings = [read_rgb(f.to_ndarray(format="rgb24").astype(np.uint8)) for f in decoded]
    assert [r.counter for r in readings if r] == list(range(45))
    assert [r.flash_seen for r in readings if r] == [card.is_flash(n) for n in range(45)]


def test_beeps_are_found_to_the_millisecond_and_skew_moves_them() -> None:
    aligned = TestCard(skew_ms=0).samples(0, 48000 * 4)
    skewed = TestCard(skew_ms=80).samples(0, 48000 * 4)
    quiet = np.random.default_rng(2).normal(0, 0.01, 48000 * 5)

    quiet[24000:216000] += aligned

    assert beep_onsets(quiet, 48000) == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.001)
    assert beep_onsets(skewed, 48000) == pytest.approx([0.08, 1.08, 2.08, 3.08], abs=0.001)


def test_lip_sync_pairs_each_flash_with_its_nearest_beep() -> None:
    errors = lip_sync_errors([1.0, 2.0, 9.0], [1.02, 1.99, 3.0])

    assert errors == pytest.approx([0.02, -0.01])


def test_an_odd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        TestCard(641, 360)


def _frame(card: TestCard, counter: int, unix_ms: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(card.frame(counter, unix_ms), format="yuv420p")


def _through_x264(frames: list[av.VideoFrame], bit_rate: int) -> list[av.VideoFrame]:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
    encoder.time_base, encoder.bit_rate = Fraction(1, 30), bit_rate
    encoder.options = {"preset": "veryfast", "tune": "zerolatency"}
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    pictures: list[av.VideoFrame] = []
    for index, frame in enumerate(frames):
        frame.pts, frame.time_base = index, Fraction(1, 30)
        for packet in encoder.encode(frame):
            pictures.extend(decoder.decode(packet))
    return pictures + list(decoder.decode(None))


def test_the_picture_that_the_browsers_reader_is_tested_with_is_a_card() -> None:
    path = Path(__file__).parents[4] / "web/sdk/tests/support/card-160x90.luma"
    luma = np.frombuffer(path.read_bytes(), np.uint8).reshape(90, 160)

    reading = read_luma(luma)

    assert reading is not None and reading.flash_seen
    assert (reading.unix_ms, reading.counter) == (1_795_363_836_112, 15)
