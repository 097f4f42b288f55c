"""How much wider the interval of few samples is than the normal one."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_STEPS = 60  # halvings of a quarter turn: to the last bit of a double
_NORMAL_FROM = 2000  # degrees of freedom from which t is z to five digits


def widening(count: int, alpha: float) -> float:
    """By what the reach of a percentile bootstrap interval of ``count`` samples (2 or more) grows.

    t / z * sqrt(n / (n - 1)) (Hesterberg, The American Statistician 69, 2015).
    """
    z = NormalDist().inv_cdf(1 - alpha / 2)
    return student_t(z, count - 1) / z * math.sqrt(count / (count - 1))


@lru_cache(maxsize=256)
def student_t(z: float, freedom: int) -> float:
    """Student's t (above 0) at the probability where the normal quantile is ``z``.

    The distribution of whole degrees of freedom is a finite sum in the angle atan(t / sqrt(n))
    (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4), which is halved
    in until it gives that probability.
    """
    if freedom >= _NORMAL_FROM:
        return z + (z**3 + z) / (4 * freedom)  # the same, 26.7.5
    wanted = math.erf(z / math.sqrt(2))
    low, high = 0.0, math.pi / 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _within(middle, freedom) < wanted:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _within(angle: float, freedom: int) -> float:
    """The probability that |t| stays below sqrt(freedom) * tan(angle)."""
    cosine, odd = math.cos(angle), freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if not odd:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + math.sin(angle) * total)
