"""How large the network runs at most: one that keeps the aspect follows the size of the picture."""

from __future__ import annotations

from depthrt.model.preprocess import network_size
from depthrt.spec import InputSpec

MOST_AREA = 4  # times the model's own input size


def too_long(name: str, size: tuple[int, int], spec: InputSpec) -> str:
    """Why a picture of this height and width is not computed; empty: it is."""
    height, width = network_size(size, spec)
    if height * width <= MOST_AREA * spec.height * spec.width:
        return ""
    return (
        f"{name} is {size[1]}x{size[0]}, and the network keeps the aspect: it would run at "
        f"{width}x{height}; cut {name} into parts"
    )
