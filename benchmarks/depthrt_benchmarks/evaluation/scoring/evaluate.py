"""A model evaluated on a labelled set, image by image."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError
from depthrt.frame import RgbImage
from depthrt.model.depth_model import DepthModel
from depthrt_benchmarks.evaluation.datasets.base import Dataset, Item, Pair
from depthrt_benchmarks.evaluation.metrics.flicker import Flicker, pair_flicker
from depthrt_benchmarks.evaluation.metrics.motion import correspondence
from depthrt_benchmarks.evaluation.protocol.protocol import Protocol
from depthrt_benchmarks.evaluation.scoring.predict import Prediction, predict
from depthrt_benchmarks.evaluation.scoring.read_ahead import read_ahead, with_neighbours
from depthrt_benchmarks.evaluation.scoring.resume_file import ResumeFile
from depthrt_benchmarks.evaluation.scoring.score import Row, View, is_row, score, view
from depthrt_benchmarks.evaluation.scoring.sequences import has_poses, second_pass

Progress = Callable[[str, int, int], None]
SEQUENCE_ALIGN = "sequence-disparity-lsq"


class NothingScoredError(SourceError):
    """No image of a set could be scored; ``images``: how many it has."""

    def __init__(self, message: str, images: int) -> None:
        super().__init__(message)
        self.images = images


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The rows of a model on a set, in the set's order.

    - ``tae_percent``: temporal alignment error by sequence, where poses and cameras are known;
    - ``resumed``: images that an earlier, interrupted run had measured;
    - ``images``: how many were to be scored, including those that could not be;
    - ``assumed``: what was chosen where neither the set nor an option says it, in sentences;
    - ``warnings``: reasons to doubt the figures, in sentences.
    """

    model: str
    dataset: str
    layout: str
    protocol: str
    rows: list[Row]
    tae_percent: dict[str, float] = field(default_factory=dict)
    resumed: int = 0
    images: int = 0
    warnings: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)

    @property
    def scored(self) -> list[Row]:
        """The rows that have figures."""
        return [row for row in self.rows if not row.skipped]


@dataclass(frozen=True, eq=False)
class Task:
    """A model and its protocol; ``label`` is its name in every output."""

    model: DepthModel
    label: str
    protocol: Protocol
    video: bool = True


@dataclass(frozen=True, eq=False)
class _Frame:
    item: Item
    picture: NDArray[np.uint8]  # at the prediction's size
    given: Prediction


def limit(dataset: Dataset, most: int | None) -> Dataset:
    """At most ``most`` items: the first ones of a sequence, else evenly spread ones."""
    items = list(dataset.items)
    if most is None or most >= len(items):
        return dataset
    if dataset.is_sequence:
        return replace(dataset, items=items[:most])
    places = np.linspace(0, len(items) - 1, most).round().astype(int)
    return replace(dataset, items=[items[i] for i in places])


def evaluate(task: Task, dataset: Dataset, journal: ResumeFile, progress: Progress) -> Evaluation:
    """Measure every item; what is in the journal is not measured again.

    Raises:
        NothingScoredError: not one image could be measured.
        UsageError: the alignment needs a sequence, and the set is not one.
    """
    protocol = task.protocol
    if protocol.align == SEQUENCE_ALIGN and not dataset.is_sequence:
        raise UsageError(
            f"--align {SEQUENCE_ALIGN} needs frames of a video, but {dataset.name} is not known to "
            "be one (dataset.json says so by fps)"
        )
    journal.keep_only("image", is_row)
    resumed = sum(f"image {item.name}" in journal.entries for item in dataset.items)
    rows = _first_pass(task, dataset, journal, progress)
    if all(row.skipped for row in rows):
        why = _nothing_measured(dataset.name, protocol, rows)
        raise NothingScoredError(why, len(rows) + dataset.left_out)
    tae: dict[str, float] = {}
    again = protocol.align == SEQUENCE_ALIGN
    if again or (task.video and has_poses(dataset)):
        rows, tae = second_pass(task.model, protocol, dataset, rows, again, journal, progress)
    return Evaluation(
        task.label,
        dataset.name,
        dataset.layout,
        protocol.line(),
        rows,
        tae if task.video else {},
        resumed,
    )


def _first_pass(task: Task, dataset: Dataset, journal: ResumeFile, progress: Progress) -> list[Row]:
    items = list(dataset.items)
    known = [f"image {item.name}" in journal.entries for item in items]
    # Flicker needs the frame before, also where that one was measured by an earlier run.
    needed = with_neighbours(items, known) if task.video else _missing(items, known)
    earlier: _Frame | None = None
    done = sum(known)
    progress(dataset.name, done, len(items))
    with closing(read_ahead(needed)) as pairs:
        for item, pair in pairs:
            key = f"image {item.name}"
            seen = _seen(item, pair, task.protocol)
            if isinstance(seen, SourceError):
                row, earlier = Row(item.name, item.sequence, f"unreadable: {seen}"), None
            else:
                frame = _frame(task, item, seen.image)
                if key not in journal.entries:
                    given, kind = frame.given, task.model.spec.kind
                    row = replace(
                        score(item.name, seen, given.values, kind, task.protocol),
                        sequence=item.sequence,
                        flicker=_flicker(earlier, frame) if task.video else None,
                        outputs=given.outputs,
                        non_finite=given.non_finite,
                    )
                earlier = frame
            if key not in journal.entries:
                journal.put(key, row.as_dict())
                done += 1
                progress(dataset.name, done, len(items))
    return [Row.from_dict(journal.entries[f"image {item.name}"]) for item in items]


def _missing(items: list[Item], known: list[bool]) -> list[Item]:
    return [item for item, done in zip(items, known, strict=True) if not done]


def _seen(item: Item, pair: Pair | SourceError, protocol: Protocol) -> View | SourceError:
    if isinstance(pair, SourceError):
        return pair
    try:
        return view(pair, protocol)
    except SourceError as error:
        return SourceError(f"{item.name}: {error}")


def _frame(task: Task, item: Item, image: RgbImage) -> _Frame:
    given = predict(task.model, image, task.protocol.flip)
    height, width = given.values.shape
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return _Frame(item, np.asarray(small, np.uint8), given)


def _flicker(earlier: _Frame | None, later: _Frame) -> Flicker | None:
    if earlier is None or not later.item.sequence:
        return None
    if earlier.item.sequence != later.item.sequence:
        return None
    before, after = earlier.given.values, later.given.values
    if before.shape != after.shape or not np.isfinite([before, after]).all():
        return None
    return pair_flicker(before, after, correspondence(earlier.picture, later.picture))


def _nothing_measured(name: str, protocol: Protocol, rows: list[Row]) -> str:
    """One sentence on why no image of a set was scored."""
    unreadable = [row for row in rows if row.skipped.startswith("unreadable")]
    if len(unreadable) == len(rows):
        return f"no image of {name} can be used: {unreadable[0].skipped}"
    known = [row.truth_median_m for row in rows if row.truth_median_m > 0]
    if not known:
        return f"no image of {name} has any valid depth: all of it is 0, NaN or masked"
    return (
        f"no image of {name} has {protocol.min_pixels} valid pixels between "
        f"{protocol.min_depth_m:g} and {protocol.max_depth_m:g} m (its median depth is "
        f"{float(np.median(known)):.4g} m): check --depth-scale, --min-depth and --max-depth"
    )
