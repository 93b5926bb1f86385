"""Which simulcast layer of a track the programme asks for."""

from collections.abc import Sequence


def wanted_layer(
    layers: Sequence[str], box_height: int, full_height: int, current: str | None = None
) -> str | None:
    """The lowest layer that fills a box, or None when the track has no layers.

    `layers` are RIDs from the lowest to the highest; each is taken to have half the height of the
    next (RFC 8853 leaves sizes open, browsers halve them), the highest `full_height`. A layer in
    use is kept until the box is a tenth too large or the next lower one is a tenth larger than the
    box, so that small moves of a layout cause no keyframes.
    """
    if not layers:
        return None
    heights = [full_height / 2 ** (len(layers) - 1 - i) for i in range(len(layers))]
    best = next((i for i, height in enumerate(heights) if height >= box_height), len(layers) - 1)
    if current is not None and current in layers:
        used = list(layers).index(current)
        almost_enough = used == best - 1 and heights[used] * 1.1 >= box_height
        barely_more = used == best + 1 and heights[best] < box_height * 1.1
        if almost_enough or barely_more:
            best = used
    return layers[best]
