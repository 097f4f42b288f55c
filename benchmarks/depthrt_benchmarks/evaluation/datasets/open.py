"""Opens labelled sets; their layout is detected or named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from depthrt.errors import SourceError, UsageError
from depthrt.sources.images import IMAGE_SUFFIXES
from depthrt_benchmarks.evaluation.datasets.base import (
    Dataset,
    Item,
    Pair,
    ReadOptions,
    with_names_once,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import DEPTH_SUFFIXES
from depthrt_benchmarks.evaluation.datasets.layouts import (
    dataset_json,
    diode,
    eth3d,
    folder_pairs,
    gta,
    ibims,
    kitti,
    nyu,
    sintel,
    tum,
)

__all__ = [
    "LAYOUTS",
    "Dataset",
    "FoundSets",
    "Item",
    "Pair",
    "ReadOptions",
    "find_sets",
    "open_dataset",
    "open_datasets",
]

# In the order of detection: the most telling marks first, the plain folder of pairs last.
_READERS: tuple[ModuleType, ...] = (
    dataset_json, tum, ibims, sintel, diode, kitti, eth3d, nyu, gta, folder_pairs,
)  # fmt: skip
_OPEN: dict[str, Callable[[Path, ReadOptions], Dataset]] = {
    reader.LAYOUT: reader.open_dataset for reader in _READERS
}
LAYOUTS = tuple(_OPEN)
# Their marks are looked for in all sub-folders, so that a folder of several sets looks like one.
_AT_ANY_DEPTH = (diode.LAYOUT, eth3d.LAYOUT, kitti.LAYOUT, nyu.LAYOUT)


@dataclass(frozen=True)
class FoundSets:
    """The sets of a folder with their layouts, and its sub-folders that are no sets.

    ``others``: sub-folders of no known layout that hold pictures all the same.
    """

    known: Sequence[tuple[Path, str]]
    others: Sequence[Path] = ()


def open_datasets(place: Path, layout: str | None, options: ReadOptions) -> list[Dataset]:
    """The labelled set of a folder (or file), or all of those in its sub-folders.

    Raises:
        SourceError: nothing there, no known layout, or a set without a pair.
        UsageError: no such layout.
    """
    return [open_dataset(path, kind, options) for path, kind in find_sets(place, layout).known]


def find_sets(place: Path, layout: str | None) -> FoundSets:
    """Find what :func:`open_datasets` opens.

    Raises:
        SourceError: nothing there, or no known layout.
        UsageError: no such layout.
    """
    if layout is not None and layout not in _OPEN:
        raise UsageError(f"--layout {layout} is not known: choose from {', '.join(LAYOUTS)}")
    if not place.exists():
        raise SourceError(f"there is no dataset at {place}")
    if layout is not None:
        return FoundSets([(place, layout)])
    found = detect(place)
    inside = [p for p in sorted(place.iterdir()) if p.is_dir()] if place.is_dir() else []
    known = [(p, kind) for p in inside if (kind := detect(p)) is not None]
    mixed = found in _AT_ANY_DEPTH and any(kind != found for _, kind in known)
    if found is not None and not mixed:
        return FoundSets([(place, found)])
    if not known:
        raise SourceError(
            f"{place} has none of the known layouts ({', '.join(LAYOUTS)}): say which by --layout, "
            "or lay it out as rgb/NAME.jpg and depth/NAME.png"
        )
    sets = {p for p, _ in known}
    return FoundSets(known, [p for p in inside if p not in sets and _holds_pictures(p)])


def _holds_pictures(folder: Path) -> bool:
    return any(p.suffix.lower() in (*IMAGE_SUFFIXES, *DEPTH_SUFFIXES) for p in folder.rglob("*"))


def open_dataset(place: Path, layout: str, options: ReadOptions) -> Dataset:
    """One set of a known layout.

    Raises:
        SourceError: nothing of that layout is there, or no pair.
    """
    dataset = with_names_once(replace(_OPEN[layout](place, options), place=place))
    unused = [option for option in options.given if option not in dataset.uses_options]
    if not unused:
        return dataset
    warning = f"no effect on the layout {layout}: {', '.join(unused)}"
    return replace(dataset, warnings=(*dataset.warnings, warning))


def detect(place: Path) -> str | None:
    """The layout that a folder or file looks like."""
    return next((str(r.LAYOUT) for r in _READERS if r.is_here(place)), None)
