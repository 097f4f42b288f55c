"""Values of a feature as small whole numbers: which bin of the reference they fall into.

Windows and references are compared by counts in bins alone, so that a reference keeps a letter for
each value and both are rounded alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

INNER = 16  # bins within the reference's values, with about as many values each
BEYOND = (0.05, 0.2, 0.5, 1.5)  # of the reference's width: further edges below and above it
_COUNT = INNER + 2 * (len(BEYOND) + 1)
NO_VALUE = -1


@dataclass(frozen=True)
class Bins:
    """The bins of one feature.

    - ``edges``: ascending; the first bin lies below the first edge, the last above the last;
    - ``first``, ``last``: the bins between which the reference's values lie;
    - ``smallest``: the smallest difference that matters: no inner bin is much narrower;
    - ``width``: between the reference's 5th and 95th percentile, at least ``smallest``.
    """

    edges: tuple[float, ...]
    first: int
    last: int
    smallest: float
    width: float

    @classmethod
    def of(cls, values: NDArray[np.float64], smallest: float) -> Bins:
        """The bins for a reference's values (N), N >= 1."""
        inner = _apart(np.quantile(values, np.linspace(0, 1, INNER + 1)), smallest / 2)
        width = max(float(np.subtract(*np.quantile(values, (0.95, 0.05)))), smallest)
        below = [inner[0] - share * width for share in reversed(BEYOND)]
        above = [inner[-1] + share * width for share in BEYOND]
        edges = (*below, *inner, *above)
        return cls(edges, len(below) + 1, len(below) + len(inner) - 1, smallest, width)

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.edges) + 1

    def codes(self, values: NDArray[np.float64]) -> NDArray[np.int8]:
        """The bin of each value (N); :data:`NO_VALUE` for NaN."""
        found = np.searchsorted(self._edges, values, side="right").astype(np.int8)
        found[values == self.edges[self.last]] = self.last  # the reference's largest value
        found[np.isnan(values)] = NO_VALUE
        return found

    @cached_property
    def gaps(self) -> NDArray[np.float64]:
        """Between the middles of neighbouring bins (count - 1), in the feature's unit."""
        return np.diff(self.middles)

    @cached_property
    def middles(self) -> NDArray[np.float64]:
        """The value that stands for each bin."""
        inner = (self._edges[1:] + self._edges[:-1]) / 2
        beyond = self.width
        return np.array([self.edges[0] - beyond, *inner, self.edges[-1] + beyond])

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        return np.array(self.edges)


def _apart(edges: Sequence[float] | NDArray[np.float64], least: float) -> list[float]:
    """Ascending edges of which neighbours are at least so far apart; the ends stay, or move out."""
    low, high = float(edges[0]), float(edges[-1])
    if high - low < 2 * least:
        middle = (low + high) / 2
        return [middle - least, middle, middle + least]
    kept = [low]
    for edge in map(float, edges[1:-1]):
        if edge - kept[-1] >= least and high - edge >= least:
            kept.append(edge)
    return [*kept, high]


def counts(codes: NDArray[np.int8], count: int) -> NDArray[np.float64]:
    """How many of the codes (N) are in each of ``count`` bins."""
    return np.bincount(codes[codes >= 0], minlength=count).astype(np.float64)
