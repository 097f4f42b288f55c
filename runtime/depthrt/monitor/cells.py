"""Texture by place: dirt on a lens takes it away at the same places, whatever the scene.

Each picture is cut into 7 x 9 cells, and the texture of each is taken beside that of the whole
picture. Over a window the means by cell are compared with the reference's: a single cell may lose
much in a scene, but scenes change and the smear stays. How far means of unchanged windows stray is
found by drawing blocks of the reference, as in :mod:`depthrt.monitor.drift`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.files.json_file import JsonObject

CELLS = (7, 9)
COUNT = CELLS[0] * CELLS[1]
_FLOOR = 0.3  # mean |Laplacian| added to each cell, in grey levels: noise is no texture
LEAST_DEVIATION = 0.02  # log10: no place strays less

Cells = NDArray[np.float32]
"""Of each picture, log10 of each cell's texture over the median cell's (N,63), row by row."""


def texture_by_cell(prepared: NDArray[np.uint8]) -> Cells:
    """The cells (63) of a prepared picture (uint8 RGB 3,h,w)."""
    edges = cv2.convertScaleAbs(cv2.Laplacian(prepared[1], cv2.CV_16S))
    cells = cv2.resize(edges.astype(np.float32), CELLS[::-1], interpolation=cv2.INTER_AREA)
    texture = np.log10(cells.ravel() + _FLOOR)
    return np.asarray(texture - np.median(texture), np.float32)


@dataclass(frozen=True, eq=False)
class UsualCells:
    """What is usual.

    - ``means``: of each cell (63);
    - ``deviations``: of the means of unchanged windows (63);
    - ``limit``: deviations that the cell which lost most rarely exceeds.
    """

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    limit: float

    def loss(self, window: Cells) -> tuple[float, float]:
        """The loss of texture at the worst cell of a window (N,63), and its score.

        Returns:
            log10 of usual over now, at the cell that strays most; and how many times the limit
            that is: 1 or more is drift.
        """
        lost = self.means - window.mean(axis=0, dtype=np.float64)
        strayed = lost / self.deviations
        worst = int(strayed.argmax())
        return float(lost[worst]), max(0.0, float(strayed[worst]) / self.limit)

    def to_dict(self) -> dict[str, Any]:
        """The entry as an object."""
        return {
            "means": [round(float(each), 4) for each in self.means],
            "deviations": [round(float(each), 4) for each in self.deviations],
            "limit": round(self.limit, 3),
        }

    @classmethod
    def parse(cls, content: JsonObject) -> UsualCells:
        """Those of an entry.

        Raises:
            ModelError: it is broken.
        """
        means, deviations = (np.array(content.numbers(n)) for n in ("means", "deviations"))
        for name, values in (("means", means), ("deviations", deviations)):
            if len(values) != COUNT:
                raise content.wrong(name, f"{COUNT} numbers")
        if not (deviations > 0).all():
            raise content.wrong("deviations", "numbers above 0")
        return cls(means, deviations, content.number("limit", above=0))
