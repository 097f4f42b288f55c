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
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.spec import ModelSpec
from depthrt.temporal.display_range import percentiles

Map = NDArray[np.float32]

SHORT_SIDE = 96  # of the thumbnails, in pixels, about
GAIN = 0.3  # of the new depth where everything agrees with the past
COLOUR_TOLERANCE = 12.0  # grey levels of 255 at which trust has fallen to 1/e
DEPTH_TOLERANCE = 0.05  # share of the map's spread (metric: of its value) at which trust is 1/2
RELEASE = 0.1  # share of the correction of scale and shift that is let go every frame
MIN_TRUSTED = 0.1  # of the thumbnail's pixels: with fewer, scale and shift are not fitted
WELL_TRUSTED = 0.6  # likewise: with fewer, the correction is let go faster
MIN_CORRELATION = 0.7
_SCALE_LIMIT = 1.5  # a frame whose scale jumps by more is a new scene
_FIT_STEP = 4  # every fourth pixel in both directions is enough for two unknowns
_FIT_ROUNDS = 2
_FLOW_WIDTH = 96  # of a thumbnail, where OpenCV's DIS goes over to finer steps
_MIN_SIDE = 16  # of a thumbnail that optical flow can work with; smaller maps pass as they are


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
    _flow: Any = field(default=None, repr=False)
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

    def update(self, values: Map, prepared: NDArray[np.uint8], out: Map | None = None) -> Map:
        """The steady depth of the next frame.

        Args:
            values: float32 h,w, the network's depth of this frame, padding cut off.
            prepared: uint8 RGB 3,H,W, what the network saw; its top left h,w belong to the depth.
            out: float32 h,w to write into, to save an allocation; ``values`` itself will do.

        Returns:
            float32 h,w in the unit of ``values``; the first map, and the first of another size,
            as it is.
        """
        size = _thumbnail_size(values.shape)
        grey = _grey_thumbnail(prepared[:, : values.shape[0], : values.shape[1]], size)
        new = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
        if self.metric:
            new = np.log(np.maximum(new, 1e-6))
        last_grey, last, self._grey = self._grey, self._last, grey
        if last is None or last_grey is None or last.shape != new.shape or min(size) < _MIN_SIDE:
            self._last, self._scale, self._shift = new, 1.0, 0.0
            return values if out is None else _copy(values, out)
        place, trust = self._follow(last_grey, grey)
        carried = _carry(last, place)
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

    def _follow(self, last: NDArray[np.uint8], grey: NDArray[np.uint8]) -> tuple[Map, Map]:
        """Where each pixel was (h,w,2: column, row), and how much its colour agrees, 0..1."""
        if self._flow is None:
            self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        flow = self._flow.calc(grey, last, None)
        height, width = grey.shape
        place = np.asarray(cv2.add(flow, _grid(height, width), dst=flow), np.float32)
        unlike = cv2.absdiff(grey, _carry(last, place))
        unlike = cv2.blur(unlike, (3, 3), dst=unlike)
        # Half a pixel of slack: flow is no better than that at the border.
        inside = cv2.inRange(place, (-0.5, -0.5), (width - 0.5, height - 0.5))
        unlike = cv2.bitwise_or(unlike, cv2.bitwise_not(inside, dst=inside), dst=unlike)
        return place, np.asarray(cv2.LUT(unlike, _trust_table()), np.float32)

    def _fit(self, new: Map, carried: Map, trust: Map) -> None:
        """Scale and shift (metric: scale, which is a shift of logarithms) of this frame."""
        step = _FIT_STEP
        x, y = (m[::step, ::step].ravel().astype(np.float64) for m in (new, carried))
        weight = trust[::step, ::step].ravel().astype(np.float64)
        share = float(weight.mean())
        line = None
        if share >= MIN_TRUSTED:
            line = _robust_line(x, y, weight, fixed_scale=self.metric)
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


def _robust_line(
    x: NDArray[np.float64], y: NDArray[np.float64], trust: NDArray[np.float64], *, fixed_scale: bool
) -> tuple[float, float] | None:
    """Scale and shift of x to y, None where they have too little in common.

    Outliers are weighed down by their residuals (Cauchy weights).

    The scale is that of the reduced major axis, the ratio of the standard deviations: least squares
    would shrink it by the noise of x, a little every frame.
    """
    weight, scale, shift = trust, 1.0, 0.0
    for _ in range(_FIT_ROUNDS):
        total = float(weight.sum())
        mean_x, mean_y = float(weight @ x) / total, float(weight @ y) / total
        if not fixed_scale:
            dx, dy = x - mean_x, y - mean_y
            wx, wy = weight * dx, weight * dy
            var_x, var_y, covariance = float(wx @ dx), float(wy @ dy), float(wx @ dy)
            if covariance <= MIN_CORRELATION * (var_x * var_y) ** 0.5:
                return None
            scale = (var_y / var_x) ** 0.5
            if not 1 / _SCALE_LIMIT < scale < _SCALE_LIMIT:
                return None
        shift = mean_y - scale * mean_x
        residual = scale * x + shift - y
        typical = float(trust @ np.abs(residual)) / float(trust.sum()) + 1e-9
        weight = trust / (1 + (residual / (1.5 * typical)) ** 2)
    return scale, shift


def _carry(earlier: NDArray[Any], place: Map) -> NDArray[Any]:
    how, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    moved = cv2.remap(earlier, place, None, how, borderMode=border)  # type: ignore[call-overload]
    return np.asarray(moved)


def _copy(values: Map, out: Map) -> Map:
    if out is not values:
        out[:] = values
    return out


def _thumbnail_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of the thumbnails of a map (h,w); never larger than the map.

    Smaller by a whole number, for OpenCV averages whole pixels in a third of the time; and no
    narrower than optical flow that starts at a quarter of the size: below that it takes ten times
    as long.
    """
    height, width = shape
    factor = max(1, min(round(min(height, width) / SHORT_SIDE), width // _FLOW_WIDTH))
    return max(1, round(width / factor)), max(1, round(height / factor))


def _grey_thumbnail(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    red, green, blue = (cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pixels)
    rest = cv2.addWeighted(red, 0.7, blue, 0.3, 0)
    return np.asarray(cv2.addWeighted(green, 0.6, rest, 0.4, 0), np.uint8)


def _spread(values: Map) -> float:
    """The 2-98 percentile spread, of a few pixels."""
    low, high = percentiles(values[::6, ::6], 2, 98)
    return max(high - low, 1e-9)


@cache
def _grid(height: int, width: int) -> Map:
    """h,w,2: column and row of every pixel."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.dstack([columns, rows])


@cache
def _trust_table() -> Map:
    levels = np.arange(256, dtype=np.float32)
    trust = np.exp(-((levels / COLOUR_TOLERANCE) ** 2))
    # Denormal numbers further down the bell would make every sum after it ten times slower.
    return np.asarray(np.where(trust < 1e-3, 0, trust), np.float32)
