"""Confidence intervals of ratios that were measured in pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist, median

_STEPS = 60  # halvings of a quarter turn: to the last bit of a double
_NORMAL_FROM = 2000  # degrees of freedom from which t is z to five digits


@dataclass(frozen=True)
class Interval:
    """An estimated ratio, and where the true one lies with the stated confidence."""

    ratio: float
    low: float
    high: float

    def line(self) -> str:
        """The interval in a few words: ``0.97 [0.90, 1.05]``."""
        return f"{self.ratio:.2f} [{self.low:.2f}, {self.high:.2f}]"


def paired_interval(log_ratios: Sequence[float], alpha: float) -> Interval:
    """The geometric mean of ratios and its interval by Student's t of their logarithms.

    Args:
        log_ratios: natural logarithm of each pair's ratio, 2 or more. Load that hits both sides of
            a pair cancels out in it.
        alpha: how often the interval may miss the true ratio.
    """
    count = len(log_ratios)
    centre = math.fsum(log_ratios) / count
    variance = math.fsum((value - centre) ** 2 for value in log_ratios) / (count - 1)
    z = NormalDist().inv_cdf(1 - alpha / 2)
    reach = student_t(z, count - 1) * math.sqrt(variance / count)
    return Interval(*(_exp(value) for value in (centre, centre - reach, centre + reach)))


def median_interval(ratios: Sequence[float], alpha: float) -> Interval:
    """The median of ratios and the interval between two of its order statistics.

    It misses the true median at most ``alpha`` of the time, whatever the distribution, by the
    binomial distribution (Conover, "Practical Nonparametric Statistics", 3rd ed., 3.2). Where there
    are too few ratios for that ``alpha``, it is from the least to the greatest.
    """
    ordered = sorted(ratios)
    first = _rank(len(ordered), alpha)
    return Interval(float(median(ordered)), ordered[first], ordered[len(ordered) - 1 - first])


def widening(count: int, alpha: float) -> float:
    """By what the reach of a percentile bootstrap interval of ``count`` samples (2 or more) grows.

    t / z * sqrt(n / (n - 1)) (Hesterberg, The American Statistician 69, 2015).
    """
    z = NormalDist().inv_cdf(1 - alpha / 2)
    return student_t(z, count - 1) / z * math.sqrt(count / (count - 1))


@lru_cache(maxsize=256)
def student_t(z: float, freedom: int) -> float:
    """Student's t (above 0) at the probability where the normal quantile is ``z``.

    With whole degrees of freedom the distribution is a finite sum in the angle atan(t / sqrt(n))
    (Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4). The angle of the
    wanted probability is found by bisection.
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


def _rank(count: int, alpha: float) -> int:
    """The greatest k of which 2 P(B <= k) <= alpha, B binomial of ``count`` coins; at least 0."""
    allowed = math.floor(Fraction(alpha) * 2 ** (count - 1))  # exact: no float holds 2 ** count
    term, total, rank = 1, 1, 0
    while total <= allowed:
        term = term * (count - rank) // (rank + 1)
        rank += 1
        total += term
    return max(0, rank - 1)


def _exp(value: float) -> float:
    """e to this power; the ends of a very wide interval stay finite, as JSON wants numbers."""
    return math.exp(max(-50.0, min(50.0, value)))
