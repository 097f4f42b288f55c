"""Labels by the networks that know the kind of place: rooms, roads, elsewhere.

- rooms: half the earlier weights', half METER nyu's layout;
- roads: METER kitti's layout and struct2depth's where there is one, else the earlier weights';
- elsewhere: half the earlier weights', half TCMonoDepth-small's layout.

Layouts are smooth, so edges are those of the earlier weights, which learnt them from renders. Every
map is a mean over flips and sizes. A pixel where the networks disagree counts less.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depthrt_training.data.label_cache import ByteImage, FloatMap
from depthrt_training.teachers.earlier_weights import EarlierWeights
from depthrt_training.teachers.meter import KITTI, NYU, Meter
from depthrt_training.teachers.normalised import confidence, normalised, rank_agreement, smooth
from depthrt_training.teachers.tcmonodepth import Teacher

PLACES = ("room", "road", "elsewhere")


@dataclass(frozen=True)
class Label:
    """target: H,W, inverse depth on training's scale. weight: H,W, 0..1.

    agreement: rank correlation of the networks' maps, -1..1.
    """

    target: FloatMap
    weight: FloatMap
    agreement: float


class PlaceTeachers:
    """All teachers; each picture is shown to those that know its place."""

    def __init__(self, data: Path, weights: Path) -> None:
        """data: the data folder; weights: earlier weights of depthrt-s.

        Raises:
            FileNotFoundError: the weights of a teacher are not there.
        """
        self._own = EarlierWeights(weights)
        self._general = Teacher(data)
        self._rooms, self._roads = Meter(data, NYU), Meter(data, KITTI)

    def label(self, rgb: ByteImage, place: str, given: FloatMap | None = None) -> Label:
        """rgb: H,W,3; place: one of `PLACES`; given: H,W, inverse depth of one more network."""
        own = self._own.label(rgb)
        edges = normalised(own)
        one, other = edges, normalised(given) if given is not None else None
        if place == "room":
            other = self._rooms.label(rgb)
        elif place == "road":
            roads = self._roads.label(rgb)
            one, other = (edges, roads) if other is None else (roads, other)
        else:
            other = normalised(self._general.label(rgb))
        moved = edges + smooth(np.asarray((one + other) / 2 - edges, dtype=np.float32))
        return Label(_on_scale_of(own, moved), confidence(one, other), rank_agreement(one, other))


def _on_scale_of(own: FloatMap, moved: FloatMap) -> FloatMap:
    """A normalised map with the median and the mean absolute deviation of `own`, at least 0."""
    middle = float(np.median(own))
    spread = float(np.abs(own - middle).mean())
    return np.asarray(np.maximum(spread * normalised(moved) + middle, 0), dtype=np.float32)
