"""Which line the points allow, and how far off a point is that had no part in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import AccuracyGateError, UsageError
from depthrt.spec import Kind
from depthrt_benchmarks.common.bootstrap import bootstrap_bounds
from depthrt_export.scale.fit import Line, Numbers, agreement, fit_line, fit_scale, outliers

Shift = Literal["auto", "yes", "no"]

SAME_DISTANCE = 1.2
"""Distances whose ratio is below it count as one."""
_LEAST_POINTS = 3  # of two, each is missed by the same: no interval can be told
_LEAST_FOR_SHIFT = 4  # three remain where one is left out
_LEAST_FOR_OUTLIERS = 6
_MOST_OUTLIERS = 0.29  # what the fit bears; of more none can be told from the rest
_OPPOSITE = -0.5
_FLAT = 0.02  # of the spread of the model's depth
_MANY = 100  # points from which they are left out in groups
_GROUPS = 20
_LEAST_PICTURES = 3
_WEAK = 0.25  # AbsRel from which a fit is called weak
_MOST_NAMED = 3
_RESAMPLES = 2000
_LEAST_ERROR = 1e-9
_MOST_LOG = 50.0  # the interval of few points has hardly an end, and JSON wants numbers
_ALPHA = 0.05
_MARGIN = 10  # beyond the nearest and the farthest distance measured


@dataclass(frozen=True, eq=False)
class Samples:
    """The points as numbers, each (n): ``d`` of the model, ``metres``, the ``picture``'s index.

    ``spread``: between the 2nd and 98th percentile of d over the pictures. ``places``: the points
    in words; empty: they are not named.
    """

    d: Numbers
    metres: Numbers
    picture: NDArray[np.intp]
    spread: float
    places: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.d)

    def of(self, chosen: NDArray[np.bool_]) -> Samples:
        """Some of them."""
        return replace(
            self,
            d=self.d[chosen],
            metres=self.metres[chosen],
            picture=self.picture[chosen],
            places=tuple(compress(self.places, chosen)),
        )


@dataclass(frozen=True)
class Wish:
    """What the user asks of the fit.

    ``kind`` and ``is_metric``: of the model's depth. ``farthest_m``: depth is kept below it; None:
    ten times the farthest point. ``max_error``: the AbsRel of a point left out that is borne.
    """

    kind: Kind
    is_metric: bool = False
    shift: Shift = "auto"
    farthest_m: float | None = None
    max_error: float = 0.5


@dataclass(frozen=True)
class Error:
    """AbsRel of what was left out of the fit, and its 95% interval.

    ``left_out``: what was left out at a time: a point, a group of points or a picture.
    """

    abs_rel: float
    low: float
    high: float
    left_out: Literal["point", "group of points", "picture"]

    def line(self) -> str:
        """The error in a few words: ``AbsRel of a point left out: .08, 95% .05 to .13``."""
        centre, low, high = (_short(v) for v in (self.abs_rel, self.low, self.high))
        return f"AbsRel of a {self.left_out} left out: {centre}, 95% {low} to {high}"


@dataclass(frozen=True, eq=False)
class Fitted:
    """The line, its error, and of each point: whether it was left out as an outlier, and its
    distance by the line (n); and what is to be said of it all."""

    line: Line
    error: Error
    outliers: NDArray[np.bool_]
    predicted_m: Numbers
    notes: tuple[str, ...]


def fit_points(samples: Samples, wish: Wish) -> Fitted:
    """Fit scale and, where the points allow it and it helps, shift.

    Points that contradict the others are left out of the fit, unless they are many; they count in
    the error. With ``auto`` a shift is
    fitted where a point left out is then missed by less; a metric model is corrected by a scale
    alone.

    Raises:
        UsageError: the points cannot tell the scale, or not the shift that is wanted.
        AccuracyGateError: a point left out is missed by more than ``max_error``.
    """
    if len(samples) < _LEAST_POINTS:
        raise UsageError(
            f"{len(samples)} {'point' if len(samples) == 1 else 'points'} cannot tell how far off "
            "the metres are: give three or more, better ten"
        )
    if wish.farthest_m is not None and wish.farthest_m <= samples.metres.max():
        raise UsageError(
            f"--farthest {wish.farthest_m:g} is not beyond the farthest point, at "
            f"{samples.metres.max():g} m"
        )
    _check_direction(samples, wish)
    line, notes = _choose(samples, wish)
    odd = outliers(line.metres(samples.d), samples.metres)
    if len(samples) < _LEAST_FOR_OUTLIERS or odd.mean() > _MOST_OUTLIERS:
        odd = np.zeros_like(odd)
    if odd.any():
        line, notes = _choose(samples.of(~odd), wish)
    error = _error(samples, line, odd)
    if not error.abs_rel <= wish.max_error:
        raise AccuracyGateError(
            f"the points do not fit the model: {error.line()}, but {_short(wish.max_error)} is "
            f"allowed: check pixels and distances, or raise --max-error{_worst(samples, line, odd)}"
        )
    if error.abs_rel > _WEAK:
        notes += (f"the fit is weak{_worst(samples, line, odd)}",)
    if error.left_out != "picture":
        notes += (
            "in other pictures scale and shift drift, and the error may be several times as large: "
            "points of three or more pictures tell",
        )
    return Fitted(line, error, odd, line.metres(samples.d), notes)


def _worst(samples: Samples, line: Line, odd: NDArray[np.bool_]) -> str:
    """The points that the fit misses most, as the end of a sentence; those left out are not named.

    Of many points few are said.
    """
    if not samples.places:
        return ""
    predicted_m = line.metres(samples.d)
    missed_by = np.where(odd, -1.0, np.abs(np.log(predicted_m / samples.metres)))
    named = [
        f"{samples.places[i]}: {samples.metres[i]:.4g} m given, {predicted_m[i]:.3g} m by the fit"
        for i in np.argsort(-missed_by)[:_MOST_NAMED]
        if missed_by[i] > 0
    ]
    return f"; worst points: {'; '.join(named)}" if named else ""


def _check_direction(samples: Samples, wish: Wish) -> None:
    if agreement(samples.d, samples.metres, wish.kind, SAME_DISTANCE) > _OPPOSITE:
        return
    meaning = "nearer" if wish.kind == "inverse_depth" else "farther"
    raise UsageError(
        f"the scale would be negative: a larger value of the model means {meaning}, and the points "
        "say the opposite: check x and y, or the model's --kind when it was exported"
    )


def _choose(samples: Samples, wish: Wish) -> tuple[Line, tuple[str, ...]]:
    """The line of all samples, with or without a shift, and why."""
    why_not = _no_shift(samples, wish)
    if wish.shift == "yes" and why_not:
        raise UsageError(f"no shift can be fitted: {why_not}")
    alone = _fit(samples, wish, with_shift=False) if (samples.d > 0).all() else None
    if why_not:
        if alone is None:
            raise UsageError(
                f"the model's depth is not above 0 at every point, so a scale alone does not do, "
                f"and no shift can be fitted: {why_not}"
            )
        return alone, (f"scale alone: {why_not}",)
    both = _fit(samples, wish, with_shift=True)
    if alone is None or wish.shift == "yes":
        if both.scale <= 0:
            raise UsageError(
                "the scale comes out negative: the points are too few or too alike to tell scale "
                "and shift apart"
            )
        return both, ()
    if both.scale > 0:
        errors = [_error(samples, line).abs_rel for line in (alone, both)]
        if errors[1] < errors[0]:
            return both, ()
        return alone, (
            f"scale alone: with a shift a point left out is missed by {_short(errors[1])}, "
            f"without by {_short(errors[0])}",
        )
    return alone, ("scale alone: with a shift the scale would be negative",)


def _no_shift(samples: Samples, wish: Wish) -> str:
    """Why no shift is fitted; empty where one can be."""
    if wish.shift == "no":
        return "as asked"
    if wish.is_metric and wish.shift == "auto":
        return "the model gives metres already"
    if len(samples) < _LEAST_FOR_SHIFT:
        return f"{len(samples)} points, and a shift wants {_LEAST_FOR_SHIFT}"
    low, high = samples.metres.min(), samples.metres.max()
    if high < SAME_DISTANCE * low:
        return f"all points are at about one distance ({low:.3g} to {high:.3g} m)"
    if np.ptp(samples.d) <= _FLAT * samples.spread:
        raise UsageError(
            f"the points are at {low:.3g} to {high:.3g} m, but the model gives about the same "
            f"depth at all of them ({samples.d.min():.3g} to {samples.d.max():.3g}): choose points "
            "that it tells apart"
        )
    return ""


def _fit(samples: Samples, wish: Wish, *, with_shift: bool) -> Line:
    nearest_m = float(samples.metres.min()) / _MARGIN
    farthest_m = wish.farthest_m or float(samples.metres.max()) * _MARGIN
    line = Line(wish.kind, 1.0, None, nearest_m, farthest_m)
    return _refit(samples, line, with_shift)


def _refit(samples: Samples, line: Line, with_shift: bool) -> Line:
    """The line of these samples, with the limits of another one."""
    if with_shift:
        scale, shift = fit_line(samples.d, samples.metres, line.kind)
    else:
        scale, shift = fit_scale(samples.d, samples.metres, line.kind), None
    return replace(line, scale=scale, shift=shift)


def _error(samples: Samples, line: Line, odd: NDArray[np.bool_] | None = None) -> Error:
    """Leave out a point, a group or a picture at a time, and bootstrap the mean of their errors.

    The bounds are those of its logarithm, as errors are skewed. ``odd`` points have no part in any
    fit; each counts as missed by 100% at most.
    """
    odd = np.zeros(len(samples), np.bool_) if odd is None else odd
    folds, left_out = _folds(samples)
    errors = np.array([_missed_by(samples, fold, odd, line) for fold in folds])
    chance = np.random.default_rng(0)
    means = errors[chance.integers(len(errors), size=(_RESAMPLES, len(errors)))].mean(axis=1)
    logs = np.log(np.maximum(means, _LEAST_ERROR))
    centre = float(errors.mean())
    bounds = bootstrap_bounds(math.log(max(centre, _LEAST_ERROR)), logs, len(errors), _ALPHA)
    low, high = (math.exp(min(bound, _MOST_LOG)) for bound in bounds)
    return Error(centre, low, high, left_out)


def _folds(
    samples: Samples,
) -> tuple[Sequence[NDArray[np.bool_]], Literal["point", "group of points", "picture"]]:
    """Masks of what is left out at a time."""
    pictures = np.unique(samples.picture)
    count = len(samples)
    if len(pictures) >= _LEAST_PICTURES:
        return [samples.picture == picture for picture in pictures], "picture"
    if count <= _MANY:
        return list(np.eye(count, dtype=np.bool_)), "point"
    groups = np.arange(count) * _GROUPS // count  # in the order of reading: bands of the picture
    return [groups == group for group in range(_GROUPS)], "group of points"


def _missed_by(
    samples: Samples, fold: NDArray[np.bool_], odd: NDArray[np.bool_], line: Line
) -> float:
    """AbsRel of a fold by the line of the rest."""
    out = samples.of(fold)
    other = _refit(samples.of(~fold & ~odd), line, line.shift is not None)
    errors = np.abs(other.metres(out.d) / out.metres - 1)
    return float(np.where(odd[fold], np.minimum(errors, 1), errors).mean())


def _short(share: float) -> str:
    """``.08`` for 0.08."""
    return f"{share:.2f}".removeprefix("0")
