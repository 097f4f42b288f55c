"""Depth between two keyframes: whether they agree, and what a frame between them is given."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depthrt.model.inference import Prediction
from depthrt.temporal.display_range import percentiles
from depthrt.temporal.keyframes import Grey, Keyframe
from depthrt.temporal.optical_flow import (
    MIN_SIDE,
    Map,
    OpticalFlow,
    averaged,
    carry,
    grid,
    likeness,
)
from depthrt.temporal.robust_line import robust_line
from depthrt.temporal.warp import Warp

_FIT_STEP = 4  # every fourth pixel in both directions is enough for two unknowns
_LEAST_WEIGHT = 1e-3
_LEAST_TRUST = 0.02  # of a pixel whose picture fits neither end
_NOISE = 0.01**2  # squared disagreement over the spread that says nothing


@dataclass(frozen=True, eq=False)
class Link:
    """How two keyframes agree.

    - ``disagreement``: mean over the spread, carried over to one another;
    - ``scale``, ``shift``: the line from the first one's depth to the last one's;
    - ``spread``: of the last one's depth;
    - ``first``, ``last``: their depth at the size of thumbnails in the scale of the last one, over
      the spread and without the shift;
    - ``low``, ``high``: smallest and largest depth of both.
    """

    disagreement: float
    scale: float
    shift: float
    spread: float
    first: Map
    last: Map
    low: float
    high: float


def link(first: Keyframe, last: Keyframe, flow: OpticalFlow, *, align: bool) -> Link:
    """How both ends agree: the worse of both directions, at the size of the thumbnails.

    Args:
        first: one keyframe.
        last: a later one of the same scene.
        flow: that of the thread.
        align: fit scale and shift between both, as of relative depth.
    """
    size = first.grey.shape[::-1]
    a, b = (np.asarray(averaged(key.made.depth, size), np.float32) for key in (first, last))
    to_a, trust = flow.follow(first.grey, last.grey)
    to_b, _ = flow.follow(last.grey, first.grey)
    carried = carry(a, to_a)
    scale, shift = 1.0, 0.0
    if align:
        x, y, weight = (
            m[::_FIT_STEP, ::_FIT_STEP].ravel().astype(np.float64) for m in (carried, b, trust)
        )
        line = robust_line(x, y, weight + _LEAST_WEIGHT, fixed_scale=False)
        scale, shift = line or (1.0, 0.0)
    ahead = np.abs(scale * carried + shift - b).mean()
    back = np.abs(carry(b, to_b) - (scale * a + shift)).mean()
    spread = _spread(b)
    unit = np.float32(scale / spread)
    ends = [cv2.minMaxLoc(key.made.depth)[:2] for key in (first, last)]
    return Link(
        float(max(ahead, back)) / spread, scale, shift, spread, a * unit, (b - shift) / spread,
        min(low for low, _ in ends), max(high for _, high in ends),
    )  # fmt: skip


def between(
    first: Keyframe, last: Keyframe, agreed: Link, grey: Grey, time: float, warp: Warp
) -> Prediction:
    """The nearer end carried over to a frame between them, with what the other end says of it.

    Both are blended by time and by colour. How they differ is seen at the size of thumbnails; the
    full map only receives a smooth correction, so that its detail stays the network's own.

    Args:
        first: the keyframe before.
        last: the keyframe after.
        agreed: what :func:`link` found of them.
        grey: the thumbnail of the frame.
        time: of the frame, 0 at the first and 1 at the last.
        warp: that of the thread.
    """
    flow = warp.flow
    (place_a, trust_a), (place_b, trust_b) = (flow.follow(end.grey, grey) for end in (first, last))
    moves = _moves(agreed, (place_a, trust_a), (place_b, trust_b), (first.grey, grey, last.grey))
    place_a, place_b = (_partly(place, moves) for place in (place_a, place_b))
    weight_a = (1 - time) * (trust_a + np.float32(_LEAST_TRUST))
    weight_b = time * (trust_b + np.float32(_LEAST_TRUST))
    # The scale goes over from that of the first to that of the last in time.
    unit = agreed.spread * (time + (1 - time) / agreed.scale)
    difference = carry(agreed.last, place_b) - carry(agreed.first, place_a)
    difference *= np.float32(unit) / (weight_a + weight_b)
    if time < 0.5:
        nearer, place, correction = first, place_a, difference * weight_b
        scale, shift = 1 - time + time * agreed.scale, time * agreed.shift
    else:
        nearer, place, correction = last, place_b, difference * -weight_a
        scale = time + (1 - time) / agreed.scale
        shift = -(1 - time) / agreed.scale * agreed.shift
    shape = nearer.made.depth.shape
    warp.aim(place, shape)
    depth = warp.carry(nearer.made.depth)
    cv2.addWeighted(depth, scale, warp.enlarged(correction, shape), 1, shift, dst=depth)
    # Both may leave what the network can give.
    np.clip(depth, np.float32(agreed.low), np.float32(agreed.high), out=depth)
    return Prediction(depth, warp.carry_all(nearer.made.optional))


def _partly(place: Map, share: Map) -> Map:
    """Places (h,w,2) that follow the flow by a share (h,w) of the way, 0..1."""
    stay = grid(*share.shape)
    return np.asarray(stay + (place - stay) * share[..., None], np.float32)


def _moves(
    agreed: Link,
    from_first: tuple[Map, Map],
    from_last: tuple[Map, Map],
    greys: tuple[Grey, Grey, Grey],
) -> Map:
    """How far each pixel is to follow the flow, 0..1 (h,w of the thumbnails).

    A smooth surface such as a road has the same depth at a place whatever passes there, and flow
    errs on it; an object takes its depth along. So flow counts where it makes both ends agree
    better than standing still does, and where the picture fits better.
    """
    (place_a, trust_a), (place_b, trust_b) = from_first, from_last
    first, grey, last = greys
    still = np.maximum(likeness(first, grey), likeness(last, grey)) + _LEAST_TRUST
    moved = np.maximum(trust_a, trust_b) + _LEAST_TRUST
    off_still = agreed.first - agreed.last
    off_moved = carry(agreed.first, place_a) - carry(agreed.last, place_b)
    still /= _NOISE + off_still * off_still
    moved /= _NOISE + off_moved * off_moved
    return np.asarray(cv2.blur(moved / (moved + still), (3, 3)), np.float32)


def carried_over(key: Keyframe, grey: Grey, warp: Warp) -> Prediction:
    """What the network gave for a keyframe, carried over to a later frame with this thumbnail."""
    if min(grey.shape) < MIN_SIDE:  # too small for flow
        return key.made.copy()
    warp.aim(warp.flow.follow(key.grey, grey)[0], key.made.depth.shape)
    return Prediction(warp.carry(key.made.depth), warp.carry_all(key.made.optional))


def error_of(given: Map, inferred: Map) -> float:
    """Mean |given - inferred| over the spread of what was inferred."""
    return float(np.abs(given - inferred).mean()) / _spread(inferred)


def _spread(values: Map) -> float:
    """The 2-98 percentile spread, of a few pixels."""
    low, high = percentiles(values[::3, ::3], 2, 98)
    return max(high - low, 1e-9)
