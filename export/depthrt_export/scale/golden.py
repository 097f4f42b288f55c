"""Golden frames of a scaled file: the pictures of the file before, their proven depth in metres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from depthrt.model.golden.entry import Golden, GoldenFrame, Tolerance
from depthrt_export.scale.fit import Line

_MOST = 0.5
"""Of the spread: depth that is further off says nothing of the picture."""


def scaled_golden(golden: Golden, line: Line) -> Golden:
    """The golden frames with the line laid over their depth.

    What may differ elsewhere is carried over, too: 1/x makes small differences of far depth larger.
    """
    frames = [frame.with_depth(_metres(frame, line)) for frame in golden.frames]
    pairs = list(zip(golden.frames, frames, strict=True))
    tolerance = Tolerance(
        *(
            float(f"{min(_MOST, max(_carried(*pair, line, share) for pair in pairs)):.3g}")
            for share in (golden.tolerance.cpu, golden.tolerance.others)
        )
    )
    by = f"{golden.by}; then {line.formula()}"
    return replace(golden, frames=tuple(frames), tolerance=tolerance, by=by)


def _metres(frame: GoldenFrame, line: Line, change: float = 0.0) -> NDArray[np.float32]:
    """The proven depth and a change to it, in metres."""
    return line.metres(frame.proven().astype(np.float64) + change).astype(np.float32)


def _carried(before: GoldenFrame, after: GoldenFrame, line: Line, share: float) -> float:
    """The error in metres that an error of ``share`` before becomes; both over the spread.

    Never less than it was.
    """
    low, high = np.percentile(before.proven(), (2, 98))
    change = share * float(high - low)
    errors = [after.error(_metres(before, line, sign * change)) for sign in (1, -1)]
    return max(share, *errors)
