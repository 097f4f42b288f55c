"""What the true depth of an image looks like, for warnings about what may be no distance."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLATEAU_SHARE = 0.05  # of the pixels that count
_CAP_TIMES = 3.0
_CODE_SHARE = 0.001
_CODE_GAP = 1.5  # to the next smaller depth
_FEWEST = 10


@dataclass(frozen=True)
class TruthFacts:
    """The true depth of one image.

    - ``height``, ``width``: of the depth map, as the protocol cuts it;
    - ``numbers``, ``saturated``, ``notes``: as of
      :class:`~depthrt_benchmarks.evaluation.datasets.base.PairFacts`;
    - ``plateau_m``: the greatest depth that counts, where so many pixels hold just it that it may
      be a code or a cap; else None;
    - ``plateau``: how many pixels hold it.
    """

    height: int = 0
    width: int = 0
    numbers: str = ""
    saturated: int = 0
    notes: list[str] = field(default_factory=list)
    plateau_m: float | None = None
    plateau: int = 0


KINDS: dict[str, type | tuple[type, ...]] = {
    "height": int, "width": int, "numbers": str, "saturated": int, "notes": list,
    "plateau_m": (int, float, NoneType), "plateau": int,
}  # fmt: skip


def is_truth(content: Any) -> bool:
    """Whether a value from JSON is a :class:`TruthFacts`."""
    if not isinstance(content, dict) or content.keys() != KINDS.keys():
        return False
    kinds = all(isinstance(content[key], kind) for key, kind in KINDS.items())
    return kinds and all(isinstance(note, str) for note in content["notes"])


def plateau(truth_m: NDArray[np.floating[Any]]) -> tuple[float | None, int]:
    """The greatest depth and how many pixels hold it, where it may be no distance; else None, 0.

    It may be a cap (the far plane, the sky) where 5% of the pixels hold it and far fewer each of
    the other depths, and a code (10000) where 0.1% do and the next depth is much smaller. A map of
    one value is no plateau.

    Args:
        truth_m: the depth of the pixels that count, in metres, 1-D.
    """
    if not truth_m.size:
        return None, 0
    greatest = float(truth_m.max())
    others = truth_m[truth_m < greatest]
    count = truth_m.size - others.size
    if not others.size or count < _FEWEST:
        return None, 0
    is_code = count >= _CODE_SHARE * truth_m.size and greatest >= _CODE_GAP * float(others.max())
    is_cap = count >= _PLATEAU_SHARE * truth_m.size and count >= _CAP_TIMES * _usual_count(others)
    return (greatest, count) if is_code or is_cap else (None, 0)


def _usual_count(depths: NDArray[np.floating[Any]]) -> float:
    """How many pixels hold one depth: the median over the depths that occur."""
    return float(np.median(np.unique(depths, return_counts=True)[1]))
