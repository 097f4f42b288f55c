"""AbsRel of whatever engine, on labelled sets, by the protocol of `depthrt eval`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from depthrt.model.catalogue.registry import DATA
from depthrt.model.preprocess import prepare
from depthrt.spec import ModelSpec
from depthrt_benchmarks.evaluation.datasets.base import Dataset, ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from depthrt_benchmarks.evaluation.protocol.protocol import Choices, Protocol, choose
from depthrt_benchmarks.evaluation.scoring.score import View, score, view

PLACES = ("box_on_floor", "phone_lidar_desk", "realsense_desk")
SETS = {
    "meter-nyu": ("replica_office0", "slambook_icl_livingroom"),
    "meter-kitti": ("kitti_lidar_jam",),
}
"""What a network is judged on that knows one kind of place; the others are judged on ``PLACES``.
None was trained on its sets (METER kitti may have seen the streets of KITTI)."""

Depths = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Some pairs of a set, spread over it: their views, and the prepared frames N,3,h,w."""

    protocol: Protocol
    views: list[View]
    frames: NDArray[np.uint8]


def labelled(name: str, data: Path | None, images: int) -> tuple[list[Dataset], str]:
    """A network's sets of ``data/rgbd``, or the demo's frames without; and what to say of them."""
    places = [DATA / "demo_depth"]
    if data is not None:
        places = [data / "rgbd" / each for each in SETS.get(name, PLACES)]
    found = []
    for dataset in (each for place in places for each in open_datasets(place, None, ReadOptions())):
        count = len(dataset.items)
        numbers = np.linspace(0, count - 1, min(images, count)).round().astype(int)
        found.append(replace(dataset, items=[dataset.items[i] for i in numbers]))
    return found, ", ".join(f"{dataset.name} ({len(dataset.items)})" for dataset in found)


def read(dataset: Dataset, spec: ModelSpec) -> Labelled:
    """A set as a model's spec and `depthrt eval` see it."""
    protocol = choose(spec, dataset.customs, Choices())
    views = [view(item.read(), protocol) for item in dataset.items]
    views = [seen for seen in views if seen.valid.sum() >= protocol.min_pixels]
    return Labelled(protocol, views, np.stack([prepare(v.image, spec.input) for v in views]))


def abs_rel(depths: Depths, spec: ModelSpec, data: list[Labelled]) -> float:
    """The mean over sets of the mean over images."""
    return fmean(_of_set(depths(part.frames), spec, part) for part in data)


def _of_set(outputs: NDArray[np.float32], spec: ModelSpec, part: Labelled) -> float:
    rows = [
        score(str(number), seen, output, spec.kind, part.protocol)
        for number, (seen, output) in enumerate(zip(part.views, outputs, strict=True))
    ]
    return fmean(row.metrics["abs_rel"] for row in rows)
