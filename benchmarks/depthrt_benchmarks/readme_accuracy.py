"""AbsRel of whatever engine, on labelled sets, by the protocol of `depthrt eval`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from depthrt.models import DATA
from depthrt.prepare import prepare
from depthrt.spec import ModelSpec
from depthrt_benchmarks.evaluation.datasets import Dataset, ReadOptions, open_datasets
from depthrt_benchmarks.evaluation.measure import View, measure, view
from depthrt_benchmarks.evaluation.protocol import Choices, choose

Depths = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Some pairs of a set, spread over it."""

    dataset: Dataset
    names: list[str]


def labelled(data: Path | None, images: int) -> tuple[list[Labelled], str]:
    """The sets of ``data/rgbd``, or the built-in demo's frames; and what to say of them."""
    place = DATA / "demo_depth" if data is None else data / "rgbd"
    sets = open_datasets(place, None, ReadOptions())
    found = []
    for dataset in sets:
        names = [item.name for item in dataset.items]
        places = np.linspace(0, len(names) - 1, min(images, len(names))).round().astype(int)
        found.append(Labelled(dataset, [names[i] for i in places]))
    shown = ", ".join(f"{part.dataset.name} ({len(part.names)})" for part in found)
    return found, f"mean AbsRel of {shown}; one scale and shift of disparity an image"


def abs_rel(depths: Depths, spec: ModelSpec, data: list[Labelled]) -> float:
    """The mean over sets of the mean over images."""
    return fmean(_of_set(depths, spec, part) for part in data)


def _of_set(depths: Depths, spec: ModelSpec, part: Labelled) -> float:
    protocol = choose(spec, part.dataset.customs, Choices())
    seen: list[tuple[str, View]] = []
    for item in part.dataset.items:
        if item.name in part.names:
            seen.append((item.name, view(item.read(), protocol)))
    frames = np.stack([prepare(one.image, spec.input) for _, one in seen])
    rows = [
        measure(name, one, output, spec.kind, protocol)
        for (name, one), output in zip(seen, depths(frames), strict=True)
    ]
    return fmean(row.metrics["abs_rel"] for row in rows if not row.skipped)
