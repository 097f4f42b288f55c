"""Datasets: named items, each read from disk when it is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError
from depthrt.frame import RgbImage
from depthrt_benchmarks.evaluation.metrics.tae import Intrinsics
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

Truth = NDArray[np.float32]

SCALE, INVALID, NEAR, FAR = "--depth-scale", "--invalid", "--near", "--far"


@dataclass(frozen=True)
class PairFacts:
    """What reading a pair met with; said beside the figures.

    - ``numbers``: the type of the depth file's numbers, as in ``uint16``; empty where not known;
    - ``saturated``: pixels that hold the largest whole number of that type, taken as unknown;
    - ``notes``: what was changed in the picture, each completing "N pictures ...".
    """

    numbers: str = ""
    saturated: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Pair:
    """A picture (uint8 RGB H,W,3) and its depth in metres (float32 h,w; 0 where unknown)."""

    image: RgbImage
    depth_m: Truth
    facts: PairFacts = PairFacts()


@dataclass(frozen=True, eq=False)
class Item:
    """One pair of a dataset.

    - ``name``: unique in the dataset;
    - ``files``: what it is read from, and what else decides its figures, there or not;
    - ``read``: reads it;
    - ``sequence``: the name of the video it is a frame of, in order; empty for single images;
    - ``pose``: camera to world, 4,4, where known;
    - ``camera``: intrinsics, where known, at the size of the depth map or of one they name.
    """

    name: str
    files: tuple[Path, ...]
    read: Callable[[], Pair]
    sequence: str = ""
    pose: NDArray[np.float64] | None = None
    camera: Intrinsics | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled set.

    - ``layout``: which reader made it; ``customs``: how it is usually evaluated;
    - ``warnings``: what was wrong with it, in sentences;
    - ``place``: the folder or file it was opened from;
    - ``left_out``: how many images are not items: they have no partner, or another has their name;
    - ``files``: what decides the figures of many items (units, poses, lists), there or not;
    - ``assumed``: what the reader chose where the files do not say it, in sentences;
    - ``unit_assumed``: whether the unit of the depth files follows from their numbers' type;
    - ``uses_options``: which options of :class:`ReadOptions` the reader uses.
    """

    name: str
    layout: str
    items: Sequence[Item]
    customs: Customs
    warnings: tuple[str, ...] = field(default=())
    place: Path = Path()
    files: tuple[Path, ...] = ()
    left_out: int = 0
    assumed: tuple[str, ...] = ()
    unit_assumed: bool = False
    uses_options: tuple[str, ...] = (SCALE,)

    @property
    def is_sequence(self) -> bool:
        """Whether its items are frames of videos."""
        return any(item.sequence for item in self.items)


@dataclass(frozen=True)
class ReadOptions:
    """What the user says about the files; None: the default of the layout.

    - ``depth_scale``: metres of one unit of the depth files;
    - ``near_m``, ``far_m``: clip planes of a game's depth buffer;
    - ``invalid``: numbers of the depth files that mean "nothing measured", besides those that
      always do.

    Raises:
        UsageError: one that is not above 0, or not finite.
    """

    depth_scale: float | None = None
    near_m: float | None = None
    far_m: float | None = None
    invalid: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for option, value in self._metres.items():
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{option} {value:g} is not a number of metres above 0")

    @property
    def _metres(self) -> dict[str, float | None]:
        return {SCALE: self.depth_scale, NEAR: self.near_m, FAR: self.far_m}

    @property
    def given(self) -> list[str]:
        """The options that the user gave."""
        metres = [option for option, value in self._metres.items() if value is not None]
        return [*metres, INVALID] if self.invalid else metres


def parse_invalid(text: str | None) -> tuple[float, ...]:
    """``10000``, or several numbers with commas between.

    Raises:
        UsageError: something else.
    """
    try:
        return tuple(float(word) for word in text.split(",")) if text is not None else ()
    except ValueError as error:
        raise UsageError(
            f"{INVALID} {text}: give numbers as they stand in the depth files, as in 10000 or "
            "10000,20000"
        ) from error


def missing_warning(missing: Sequence[str], what: str, whole: int) -> tuple[str, ...]:
    """The warning about pictures without depth."""
    if not missing:
        return ()
    verb = "has" if len(missing) == 1 else "have"
    count = f"{len(missing)} of {whole} pictures"
    return (f"{count} {verb} no {what} and took no part (first: {missing[0]})",)


def lone_depths(depths: Iterable[Path], items: Iterable[Item]) -> list[str]:
    """The names of depth files that no item is read from."""
    used = {file for item in items for file in item.files}
    return sorted(path.name for path in depths if path not in used)


def lone_warning(lone: Sequence[str]) -> tuple[str, ...]:
    """The warning about depth files without a picture."""
    if not lone:
        return ()
    verb = "file has" if len(lone) == 1 else "files have"
    return (f"{len(lone)} depth {verb} no picture and took no part (first: {lone[0]})",)


def pose_warning(unusable: Sequence[str], whole: int) -> tuple[str, ...]:
    """The warning about frames whose pose is not valid."""
    if not unusable:
        return ()
    return (
        f"the poses of {len(unusable)} of {whole} frames are no numbers or no rotation (first: "
        f"{unusable[0]}): TAE leaves these frames out",
    )


def with_names_once(dataset: Dataset) -> Dataset:
    """The dataset without items whose name an earlier item has; a warning says so."""
    first: dict[str, Item] = {}
    for item in dataset.items:
        first.setdefault(item.name, item)
    others = [item for item in dataset.items if first[item.name] is not item]
    if not others:
        return dataset
    verb = "has" if len(others) == 1 else "have"
    warning = (
        f"{len(others)} of {len(dataset.items)} pictures {verb} the name of another and took no "
        f"part (first: {others[0].files[0].name}, beside {first[others[0].name].files[0].name})"
    )
    return replace(
        dataset,
        items=list(first.values()),
        warnings=(*dataset.warnings, warning),
        left_out=dataset.left_out + len(others),
    )


def require_items(items: Sequence[Item], folder: Path, wanted: str) -> None:
    """Refuse a dataset without a pair.

    Raises:
        SourceError: there is no pair.
    """
    if not items:
        raise SourceError(f"{folder} holds no pair: expected {wanted}")
