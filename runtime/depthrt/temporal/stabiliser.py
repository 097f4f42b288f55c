"""Depth that does not flicker: causal, one pass over the frames, at a fraction of a model's cost.

A network judges every frame by itself, so that scale and shift of relative depth jump a little from
frame to frame and surfaces boil. For every frame the stabiliser

1. finds where each pixel was before (optical flow between two thumbnails) and carries its own last
   depth there;
2. fits scale and shift of the new depth to it, robustly, on the pixels whose colours agree (not for
   metric depth, whose scale means something);
3. keeps most of the carried depth where colour and depth agree with it, and the new depth where
   they do not.

Everything happens at thumbnail size; the full map only receives a smooth correction, so that its
detail stays the network's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.spec import ModelSpec
from depthrt.temporal.display_range import percentiles
from depthrt.temporal.optical_flow import (
    MIN_SIDE,
    OpticalFlow,
    carry,
    grey_thumbnail,
    thumbnail_size,
)
from depthrt.temporal.robust_line import robust_line

Map = NDArray[np.float32]

GAIN = 0.3  # of the new depth where everything agrees with the past
DEPTH_TOLERANCE = 0.05  # share of the map's spread (metric: of its value) at which trust is 1/2
RELEASE = 0.1  # share of the correction of scale and shift that is let go every frame
MIN_TRUSTED = 0.1  # of the thumbnail's pixels: with fewer, scale and shift are not fitted
WELL_TRUSTED = 0.6  # likewise: with fewer, the correction is let go faster
_FIT_STEP = 4  # every fourth pixel in both directions is enough for two unknowns


@dataclass
class Stabiliser:
    """The state of one stream.

    >>> stabiliser = Stabiliser.of(model.spec)
    >>> steady = stabiliser.update(depth.values, prepare(frame.pixels, model.spec.input))

    - ``align``: fit scale (and shift, unless ``metric``) to the frames before;
    - ``metric``: values are positive and their ratios matter, as of depth in metres; otherwise
      their differences do, as of relative depth;
    - ``gain``: share of the new depth where it agrees with the past, above 0 to 1; smaller is
      steadier and slower.
    """

    align: bool = True
    metric: bool = False
    gain: float = GAIN
    _grey: NDArray[np.uint8] | None = field(default=None, repr=False)
    _last: Map | None = field(default=None, repr=False)
    _scale: float = 1.0
    _shift: float = 0.0
    _flow: OpticalFlow = field(default_factory=OpticalFlow, repr=False)
    _full: Map | None = field(
        default=None, repr=False
    )  # kept: fresh memory costs more than the sums

    def __post_init__(self) -> None:
        if not 0 < self.gain <= 1:
            raise UsageError(f"the stabiliser's gain {self.gain} is not above 0 and at most 1")

    @classmethod
    def of(cls, spec: ModelSpec, *, align: bool | None = None) -> Stabiliser:
        """The stabiliser for a model; ``align`` None: relative depth yes, metric depth no."""
        metric = spec.unit == "m"  # logarithms of metres and of 1/m differ by their sign alone
        return cls(align=not metric if align is None else align, metric=metric)

    def reset(self) -> None:
        """Forget the past, as at a scene cut: the next map passes as it is."""
        self._grey = self._last = None
        self._scale, self._shift = 1.0, 0.0

    def update(
        self,
        values: Map,
        prepared: NDArray[np.uint8],
        out: Map | None = None,
        *,
        grey: NDArray[np.uint8] | None = None,
    ) -> Map:
        """The steady depth of the next frame.

        Args:
            values: float32 h,w, the network's depth of this frame, padding cut off.
            prepared: uint8 RGB 3,H,W, what the network saw; its top left h,w belong to the depth.
            out: float32 h,w to write into, to save an allocation; ``values`` itself will do.
            grey: a thumbnail of ``prepared`` that is there already; it is taken where there is
                no padding, and its size then is that of the work.

        Returns:
            float32 h,w in the unit of ``values``; the first map, and the first of another size,
            as it is.
        """
        height, width = values.shape
        if grey is None or prepared.shape[1:] != values.shape:
            grey = grey_thumbnail(prepared[:, :height, :width], thumbnail_size(values.shape))
        size = grey.shape[::-1]
        new = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
        if self.metric:
            new = np.log(np.maximum(new, 1e-6))
        last_grey, last, self._grey = self._grey, self._last, grey
        if last is None or last_grey is None or last.shape != new.shape or min(size) < MIN_SIDE:
            self._last, self._scale, self._shift = new, 1.0, 0.0
            return values if out is None else _copy(values, out)
        place, trust = self._flow.follow(last_grey, grey)
        carried = carry(last, place)
        if self.align:
            self._fit(new, carried, trust)
            new *= np.float32(self._scale)
            new += np.float32(self._shift)
        unit = DEPTH_TOLERANCE * (1.0 if self.metric else _spread(carried))
        difference = np.subtract(carried, new, out=carried)
        # trust / (1 + (difference / unit)^2), without a new array for every step
        agreement = cv2.multiply(difference, difference, scale=1 / unit**2)
        agreement = cv2.divide(trust, np.add(agreement, 1, out=agreement), dst=agreement)
        agreement = cv2.multiply(agreement, difference, dst=agreement, scale=1 - self.gain)
        correction = np.asarray(agreement, np.float32)
        new += correction
        self._last = new
        return self._apply(values, correction, np.empty_like(values) if out is None else out)

    def _fit(self, new: Map, carried: Map, trust: Map) -> None:
        """Scale and shift (metric: scale, which is a shift of logarithms) of this frame."""
        step = _FIT_STEP
        x, y = (m[::step, ::step].ravel().astype(np.float64) for m in (new, carried))
        weight = trust[::step, ::step].ravel().astype(np.float64)
        share = float(weight.mean())
        line = None
        if share >= MIN_TRUSTED:
            line = robust_line(x, y, weight, fixed_scale=self.metric)
        # Without a fit the last one is held: to drop it at once would be a jump of its own.
        scale, shift = (self._scale, self._shift) if line is None else line
        # What rests on few pixels is let go faster: errors of such fits add up.
        keep = (1 - RELEASE) * min(1.0, share / WELL_TRUSTED)
        self._scale, self._shift = 1 + keep * (scale - 1), keep * shift

    def _apply(self, values: Map, correction: Map, out: Map) -> Map:
        height, width = values.shape
        full = np.asarray(cv2.resize(correction, (width, height), dst=self._full), np.float32)
        self._full = full
        if self.metric:
            full += np.float32(self._shift)
            cv2.multiply(values, cv2.exp(full, dst=full), dst=out)
        else:
            cv2.addWeighted(values, self._scale, full, 1, self._shift, dst=out)
        return out


def _copy(values: Map, out: Map) -> Map:
    if out is not values:
        out[:] = values
    return out


def _spread(values: Map) -> float:
    """The 2-98 percentile spread, of a few pixels."""
    low, high = percentiles(values[::6, ::6], 2, 98)
    return max(high - low, 1e-9)
