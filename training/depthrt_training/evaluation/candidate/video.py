"""Flicker of clips without stabiliser: the depth of every frame as the network gives it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import av
import numpy as np

from depthrt_benchmarks.evaluation.metrics.flicker import FlickerMeter
from depthrt_training.evaluation.candidate.sets import CANDIDATE, TODAY
from depthrt_training.evaluation.labelled_pictures import Predictor


def flicker_of(clip: Path, predictors: Mapping[str, Predictor]) -> dict[str, float]:
    """The median flicker of each network; at the size that it works at."""
    meters: dict[tuple[int, ...], FlickerMeter] = {}
    sizes: dict[str, tuple[int, ...]] = {}
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            by_size: dict[tuple[int, ...], dict[str, Any]] = {}
            for network, predict in predictors.items():
                depth = predict(rgb)
                sizes[network] = depth.shape
                by_size.setdefault(depth.shape, {})[network] = depth
            for size, depths in by_size.items():
                meters.setdefault(size, FlickerMeter()).add(rgb, depths)
    found = {network: meters[size].result(network) for network, size in sizes.items()}
    return {name: clip.mean.median for name, clip in found.items() if clip is not None}


def flicker_report(clips: list[Path], predictors: Mapping[str, Predictor]) -> dict[str, Any]:
    """Of every clip: the median flicker of both and the ratio; and the mean of the ratios."""
    rows = {}
    for clip in clips:
        found = flicker_of(clip, predictors)
        if not {CANDIDATE, TODAY} <= set(found):
            continue  # a clip of one frame, or of nothing but cuts
        rows[clip.name] = {
            **{network: round(value, 5) for network, value in found.items()},
            "over_today": round(found[CANDIDATE] / found[TODAY], 4),
        }
    mean = round(fmean(row["over_today"] for row in rows.values()), 4) if rows else None
    return {"clips": rows, "mean_over_today": mean}
