"""Say where the nearest thing in view is, for every sixth frame.

    python nearest_thing.py [SOURCE [MODEL]]

SOURCE is a video, a camera's number or an RTSP address; the demo clip without it.

The built-in model's depth is relative: larger is nearer, but without a scale, so "twice as near"
or "0.8 m" cannot be said. What can be said is the order: which part of the picture is nearest, and
how much of the rest is farther away. A metric model of yours also gives metres.
"""

from __future__ import annotations

import sys

import numpy as np

import depthrt

ROWS = ("upper", "middle")  # the lower third is left out: nearest there is the ground itself
COLUMNS = ("left", "centre", "right")


def nearest_region(depth: depthrt.Depth) -> tuple[str, float, float]:
    """The nearest of six regions, the share of the rest that is farther, and its depth value."""
    # From here on, larger is nearer, whatever the model gives.
    nearness = depth.values if depth.larger_is == "nearer" else -depth.values
    bands = np.array_split(nearness, 3, axis=0)
    regions = {
        f"{row} {column}": part
        for row, band in zip(ROWS, bands[:2], strict=True)
        for column, part in zip(COLUMNS, np.array_split(band, 3, axis=1), strict=True)
    }
    # The median: a few wrong pixels do not move it.
    medians = {name: float(np.median(part)) for name, part in regions.items()}
    nearest = max(medians, key=lambda name: medians[name])
    rest = np.concatenate([part.ravel() for name, part in regions.items() if name != nearest])
    farther = float((rest < medians[nearest]).mean())
    return nearest, farther, abs(medians[nearest])


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else "demo"
    selection = depthrt.Selection(stride=6)  # more is not needed here, and would cost time
    model = depthrt.DepthModel.load(sys.argv[2]) if len(sys.argv) > 2 else None  # else built in
    with depthrt.stream(source, model, selection=selection) as results:
        for result in results:
            name, farther, value = nearest_region(result.depth)
            distance = ""
            if result.depth.unit == "m" and value > 0:
                metres = value if result.depth.kind == "depth" else 1 / value
                distance = f", {metres:.1f} m away"
            time_s = result.frame.time_s
            print(f"{time_s:.2f} s: {name}, nearer than {farther:.0%} of the rest{distance}")


if __name__ == "__main__":
    try:
        main()
    except depthrt.DepthrtError as error:  # one sentence that says what is wrong
        sys.exit(str(error))
