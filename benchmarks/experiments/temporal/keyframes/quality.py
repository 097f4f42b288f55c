"""How exact is depth between keyframes? Error, flicker, and accuracy where depth is known.

Each clip passes twice: the network on every frame, and on keyframes. Errors are mean
|given - inferred| over the inferred depth's 2-98 percentile spread.

    python -m experiments.temporal.keyframes.quality --clips CLIPS --sets SETS \\
        -o benchmarks/results/keyframes_quality.json
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt import Depth, DepthModel, Keyframes, Result, colourise, open_source, stream
from depthrt.frame import RgbImage
from depthrt.spec import Kind
from depthrt_benchmarks.common.environment import write_result
from depthrt_benchmarks.evaluation.datasets.base import Dataset, ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from depthrt_benchmarks.evaluation.metrics.flicker import FlickerMeter
from depthrt_benchmarks.evaluation.protocol.protocol import Choices, choose
from depthrt_benchmarks.evaluation.scoring.score import score, view

Map = NDArray[np.float32]


def compared(
    images: Iterable[RgbImage], model: DepthModel, keyframes: Keyframes
) -> Iterator[tuple[RgbImage, Map, Result]]:
    """Each picture with the network's depth, and the result that keyframes give it."""
    kept = list(images)
    exact = stream(kept, model)
    for inferred, given in zip(exact, stream(kept, model, keyframes=keyframes), strict=True):
        yield inferred.frame.image, inferred.depth.values, given


def figures(
    images: Iterable[RgbImage], model: DepthModel, keyframes: Keyframes, worst: Path | None
) -> dict[str, Any]:
    """Error, inferred share, and flicker over that of the network on every frame."""
    meter = FlickerMeter()
    errors: list[float] = []
    inferred = 0
    most: tuple[float, RgbImage, Map, Map] | None = None
    for image, exact, result in compared(images, model, keyframes):
        error = error_of(result.depth.values, exact)
        if most is None or error > most[0]:
            most = error, image, exact, result.depth.values.copy()
        errors.append(error)
        inferred += not result.interpolated
        meter.add(image, {"exact": exact, "given": result.depth.values})
    if worst is not None and most is not None:
        worst.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(worst), picture_of(*most[1:], model.spec.kind)[..., ::-1])
    exact_flicker, flicker = (meter.result(kind) for kind in ("exact", "given"))
    found: dict[str, Any] = {
        "frames": len(errors),
        "inferred_share": round(inferred / len(errors), 4),
        "mean_error": round(statistics.fmean(errors), 5),
        "worst_error": round(max(errors), 5),
    }
    if exact_flicker is not None and flicker is not None:
        ratio = flicker.mean.median / exact_flicker.mean.median
        found["flicker_ratio"] = round(ratio, 4)
    return found


def error_of(given: Map, exact: Map) -> float:
    """Mean |given - exact| over the 2-98 percentile spread of what is exact."""
    low, high = np.percentile(exact, (2, 98))
    return float(np.abs(given - exact).mean()) / max(float(high - low), 1e-9)


def picture_of(image: RgbImage, exact: Map, given: Map, kind: Kind) -> NDArray[np.uint8]:
    """Side by side: the picture, both depth maps, and where they differ (white: 10%)."""
    height, width = exact.shape
    low, high = (float(v) for v in np.percentile(exact, (2, 98)))
    difference = np.clip(np.abs(given - exact) / max(high - low, 1e-9) * 10, 0, 1)
    grey = np.repeat((255 * difference).astype(np.uint8)[..., None], 3, axis=2)
    small = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    maps = [
        colourise(Depth(each, kind, None, (height, width)), (low, high)) for each in (exact, given)
    ]
    return np.hstack([small, *maps, grey])


def accuracy(dataset: Dataset, model: DepthModel, keyframes: Keyframes) -> dict[str, Any]:
    """AbsRel with keyframes over AbsRel of the network on every frame of a sequence."""
    protocol = choose(model.spec, dataset.customs, Choices())
    pairs = [item.read() for item in dataset.items]
    rows: dict[str, list[float]] = {"exact": [], "given": []}
    inferred = 0
    both = compared((pair.image for pair in pairs), model, keyframes)
    for pair, (_, exact, result) in zip(pairs, both, strict=True):
        inferred += not result.interpolated
        seen = view(pair, protocol)
        scored = [
            score("", seen, depth, model.spec.kind, protocol)
            for depth in (exact, result.depth.values)
        ]
        if not any(row.skipped for row in scored):
            for kind, row in zip(rows, scored, strict=True):
                rows[kind].append(row.metrics["abs_rel"])
    means = {kind: statistics.fmean(values) for kind, values in rows.items()}
    return {
        "frames": len(pairs),
        "protocol": protocol.line(),
        "inferred_share": round(inferred / len(pairs), 4),
        "abs_rel": round(means["exact"], 5),
        "abs_rel_keyframes": round(means["given"], 5),
        "abs_rel_ratio": round(means["given"] / means["exact"], 4),
    }


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", help="a depthrt model (default: the built-in one)")
    parser.add_argument("--clips", type=Path, help="folder of videos")
    parser.add_argument("--sets", type=Path, nargs="*", default=[], help="labelled sequences")
    parser.add_argument("--budget", type=float, default=0.02)
    parser.add_argument("--frames", type=int, default=240, help="of each clip, at most")
    parser.add_argument("--worst", type=Path, help="folder for a picture of each worst frame")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    model = DepthModel.load(options.model, provider="cpu")
    keyframes = Keyframes(options.budget)
    found: dict[str, dict[str, Any]] = {"clips": {}, "sets": {}}
    for clip in sorted(options.clips.glob("*.mp4")) if options.clips else []:
        source = open_source(clip)
        images = (frame.image for frame in islice(source.frames(), options.frames))
        worst = options.worst and options.worst / f"{clip.stem}.png"
        found["clips"][clip.stem] = figures(images, model, keyframes, worst)
        print(clip.stem, found["clips"][clip.stem], flush=True)  # noqa: T201
    for place in options.sets:
        for dataset in open_datasets(place, None, ReadOptions()):
            found["sets"][dataset.name] = accuracy(dataset, model, keyframes)
            print(dataset.name, found["sets"][dataset.name], flush=True)  # noqa: T201
    means = {
        key: round(statistics.fmean(each[key] for each in found["clips"].values()), 5)
        for key in ("inferred_share", "mean_error", "flicker_ratio")
        if found["clips"] and all(key in each for each in found["clips"].values())
    }
    print(means)  # noqa: T201
    if options.output:
        content = {
            "benchmark": "depth between keyframes",
            "model": {"name": model.spec.name, "sha256": model.sha256()},
            "budget": options.budget,
            "mean_of_clips": means,
            **found,
        }
        write_result(options.output, content)


if __name__ == "__main__":
    main()
