"""Which simulcast layer is asked for."""

import pytest
from odeon_transcoder.domain.layers import wanted_layer

LAYERS = ("q", "h", "f")


@pytest.mark.parametrize(
    ("height", "layer"), [(720, "f"), (400, "f"), (360, "h"), (200, "h"), (180, "q"), (0, "q")]
)
def test_the_lowest_layer_that_fills_the_box(height: int, layer: str) -> None:
    assert wanted_layer(LAYERS, height, 720) == layer


def test_a_track_without_layers_wants_none() -> None:
    assert wanted_layer((), 720, 720) is None


def test_small_moves_of_a_box_change_nothing() -> None:
    assert wanted_layer(LAYERS, 380, 720, current="h") == "h"
    assert wanted_layer(LAYERS, 350, 720, current="f") == "f"
    assert wanted_layer(LAYERS, 300, 720, current="f") == "h"


def test_a_layer_that_vanished_is_not_kept() -> None:
    assert wanted_layer(("q", "h"), 180, 360, current="f") == "q"
