"""What does stabilised depth gain and cost: flicker, accuracy, sharpness, time.

Each clip and each labelled sequence passes once; every figure is of the raw and of the stabilised
depth of the same frames.

    python -m experiments.temporal.stabilisation --clips CLIPS --sets SETS \\
        -o benchmarks/results/stabilisation.json

The built-in clip, whose depth is known, is always measured. On a machine with nothing else to do:

    python -m experiments.temporal.stabilisation --cost \\
        -o benchmarks/results/stabilisation_cost.json

gives the time of the stabiliser, which takes one core, over that of the model's inference on one
core, as recordings run, and with every core, frame by frame and in batches, in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt import DepthModel, Stabiliser, prepare, stream
from depthrt.frame import RgbImage
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.temporal.display_range import SceneCuts
from depthrt_benchmarks.common.environment import write_result
from depthrt_benchmarks.evaluation.datasets.base import Dataset, Item, Pair, ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from depthrt_benchmarks.evaluation.metrics.flicker import ClipFlicker, FlickerMeter
from depthrt_benchmarks.evaluation.metrics.tae import tae
from depthrt_benchmarks.evaluation.protocol.alignment import Moments
from depthrt_benchmarks.evaluation.protocol.protocol import Choices, Customs, Protocol, choose
from depthrt_benchmarks.evaluation.scoring.score import Row, aligned_map, score, view

Map = NDArray[np.float32]
DEMO_DEPTH = DEMO_CLIP.parent / "demo_depth"
KINDS = ("raw", "stabilised")
_STRONGEST = 0.02  # of the gradients: those of edges
_TIMED_FRAMES = 120
_BATCHES = (1, 4)


@dataclass
class Steadier:
    """The model and the stabiliser, one frame after the other, as the pipeline runs them."""

    model: DepthModel
    stabiliser: Stabiliser
    cuts: SceneCuts = field(default_factory=SceneCuts)

    def both(self, image: RgbImage, raw: Map | None = None) -> dict[str, Map]:
        """The raw and the stabilised depth of the next frame."""
        pixels = prepare(image, self.model.spec.input)
        values = self.model(image).values if raw is None else raw
        if self.cuts.update(pixels):
            self.stabiliser.reset()
        return {"raw": values, "stabilised": self.stabiliser.update(values, pixels)}


def sharpness(values: Map) -> float:
    """Mean of the strongest 2% of the gradients over the map's 2-98 percentile spread."""
    across, down = (cv2.Sobel(values, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    gradient = np.abs(np.asarray(across)) + np.abs(np.asarray(down))
    low, high = np.percentile(values, (2, 98))
    strong = np.sort(gradient, axis=None)[-max(1, int(_STRONGEST * gradient.size)) :]
    return float(strong.mean() / max(high - low, 1e-9))


@dataclass
class Figures:
    """What is gathered of one clip."""

    meter: FlickerMeter = field(default_factory=FlickerMeter)
    sharp: dict[str, list[float]] = field(default_factory=lambda: {k: [] for k in KINDS})

    def add(self, image: RgbImage, depths: dict[str, Map]) -> None:
        """The next frame."""
        self.meter.add(image, depths)
        for kind, values in depths.items():
            self.sharp[kind].append(sharpness(values))

    def summary(self) -> dict[str, Any]:
        """Flicker of both, their ratio, and sharpness."""
        found = {kind: self.meter.result(kind) for kind in KINDS}
        raw, steady = (_flicker(found[kind]) for kind in KINDS)
        sharp = {kind: float(np.mean(self.sharp[kind])) for kind in KINDS}
        return {
            "frames": len(self.sharp["raw"]),
            "flicker_raw": raw,
            "flicker_stabilised": steady,
            "flicker_ratio": {
                key: _ratio(steady[key], raw[key]) for key in ("median", "p95", "median_of_spread")
            },
            "sharpness_ratio": _ratio(sharp["stabilised"], sharp["raw"]),
        }


def _flicker(found: ClipFlicker | None) -> dict[str, float]:
    if found is None:
        return dict.fromkeys(("median", "p95", "median_of_spread"), 0.0)
    mean = found.mean
    return {
        "median": round(mean.median, 5),
        "p95": round(mean.p95, 5),
        "median_of_spread": round(mean.median_of_spread, 5),
        "worst_median": round(found.worst_median, 5),
        "compared_share": round(mean.share, 3),
        "pairs": found.pairs,
        "pairs_skipped": found.skipped,
    }


def _ratio(after: float, before: float) -> float:
    return round(after / before, 4) if before else 1.0


def clip_figures(clip: Path, model: DepthModel, stabiliser: Stabiliser) -> dict[str, Any]:
    """A clip without labels."""
    figures, steadier = Figures(), Steadier(model, stabiliser)
    with closing(stream(clip, model, batch=model.batch)) as results:
        for result in results:
            image = result.frame.image
            figures.add(image, steadier.both(image, result.depth.values))
    return figures.summary()


def set_figures(dataset: Dataset, model: DepthModel, stabiliser: Stabiliser) -> dict[str, Any]:
    """A sequence with depth of every frame; TAE where poses and intrinsics are known."""
    frames = ((item.read(), item) for item in dataset.items)
    return labelled_figures(frames, dataset.customs, model, stabiliser)


def demo_figures(model: DepthModel, stabiliser: Stabiliser) -> dict[str, Any]:
    """The built-in clip, with exact depth of some of its frames."""
    facts = json.loads((DEMO_DEPTH / "dataset.json").read_text())
    known = set(facts["frames"])

    def frames() -> Iterator[tuple[Pair, None]]:
        for result in stream(DEMO_CLIP, model, batch=model.batch):
            index, image = result.frame.index, result.frame.image
            depth = np.zeros(image.shape[:2], np.float32)
            if index in known:
                stored = cv2.imread(str(DEMO_DEPTH / f"{index:06d}.png"), cv2.IMREAD_UNCHANGED)
                depth = np.asarray(stored, np.float32) * np.float32(facts["depth_unit_m"])
            yield Pair(image, depth), None

    customs = Customs(facts["min_depth_m"], facts["max_depth_m"], resize="half-pixel")
    return labelled_figures(frames(), customs, model, stabiliser)


def labelled_figures(
    frames: Iterable[tuple[Pair, Item | None]],
    customs: Customs,
    model: DepthModel,
    stabiliser: Stabiliser,
) -> dict[str, Any]:
    """Flicker of all frames; accuracy and, with poses, TAE of those whose depth is known."""
    protocol = choose(model.spec, customs, Choices())
    figures, steadier = Figures(), Steadier(model, stabiliser)
    rows: dict[str, list[Row]] = {kind: [] for kind in KINDS}
    kept: list[tuple[Pair, Item | None, dict[str, Map]]] = []
    for pair, item in frames:
        depths = steadier.both(pair.image)
        figures.add(pair.image, depths)
        seen = view(pair, protocol)
        if not seen.valid.any():
            continue
        kept.append((pair, item, depths))
        for kind in KINDS:
            rows[kind].append(score("", seen, depths[kind], model.spec.kind, protocol))
    accuracy = {kind: _accuracy(rows[kind]) for kind in KINDS}
    raw, steady = (accuracy[kind] for kind in KINDS)
    return {
        **figures.summary(),
        "labelled_frames": len(kept),
        "protocol": protocol.line(),
        "accuracy_raw": raw,
        "accuracy_stabilised": steady,
        "abs_rel_ratio": _ratio(steady["abs_rel"], raw["abs_rel"]),
        **_whole_sequence(rows, kept, model, protocol),
    }


def _accuracy(rows: list[Row]) -> dict[str, float]:
    rows = [row for row in rows if not row.skipped]
    names = ("abs_rel", "delta1", "boundary_f1")
    return {
        name: round(float(np.mean([row.metrics[name] for row in rows if name in row.metrics])), 5)
        for name in names
        if any(name in row.metrics for row in rows)
    }


def _whole_sequence(
    rows: dict[str, list[Row]],
    kept: list[tuple[Pair, Item | None, dict[str, Map]]],
    model: DepthModel,
    protocol: Protocol,
) -> dict[str, Any]:
    """AbsRel by one fit for the sequence, which sees drift; and TAE in percent."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        line = sum((row.moments for row in rows[kind] if not row.skipped), Moments()).solve()
        maps, errors = [], []
        for pair, _, depths in kept:
            seen = view(pair, protocol)
            row = score("", seen, depths[kind], model.spec.kind, protocol, line)
            if not row.skipped:
                errors.append(row.metrics["abs_rel"])
            depth_m = aligned_map(depths[kind], seen, model.spec.kind, protocol, line)
            maps.append((depth_m.astype(np.float32), seen.valid))
        found[f"sequence_abs_rel_{kind}"] = round(float(np.mean(errors)), 5)
        items = [item for _, item, _ in kept]
        poses = [item.pose for item in items if item is not None and item.pose is not None]
        camera = items[0].camera if items[0] is not None else None
        if camera is not None and len(poses) == len(maps):
            percent = tae([m for m, _ in maps], poses, camera, [v for _, v in maps])
            found[f"tae_percent_{kind}"] = round(percent, 4)
    return found


def cost(model: DepthModel, one_core: DepthModel, rounds: int) -> dict[str, float]:
    """Median time of the stabiliser a frame over the model's, blocks in turn."""
    ways = {"one_core": (one_core, 1), **{f"batch_{n}": (model, n) for n in _BATCHES}}
    pixels = []
    for result in stream(DEMO_CLIP, model):
        pixels.append(prepare(result.frame.pixels, model.spec.input))
        if len(pixels) == _TIMED_FRAMES:
            break
    depths = [model.infer(seen[None])[0].copy() for seen in pixels]
    rows = []
    for _ in range(rounds):
        stabiliser, taken = Stabiliser.of(model.spec), []
        for values, seen in zip(depths, pixels, strict=True):
            own = values.copy()
            start = time.perf_counter()
            stabiliser.update(own, seen, out=own)
            taken.append(time.perf_counter() - start)
        row = {"stabiliser_ms": 1e3 * statistics.median(taken)}
        for name, (way, batch) in ways.items():
            model_ms = 1e3 * _seconds_a_frame(way, np.stack(pixels), batch)
            row[f"model_ms_{name}"] = model_ms
            row[f"stabiliser_over_model_{name}"] = row["stabiliser_ms"] / model_ms
        rows.append(row)
    medians = {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]}
    return {**medians, "rounds": rounds}


def _seconds_a_frame(model: DepthModel, pixels: NDArray[np.uint8], batch: int) -> float:
    taken = []
    for i in range(0, len(pixels) - batch + 1, batch):
        start = time.perf_counter()
        model.infer(pixels[i : i + batch])
        taken.append((time.perf_counter() - start) / batch)
    return statistics.median(taken)


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", help="a depthrt model (default: the built-in one)")
    parser.add_argument("--clips", type=Path, help="folder of videos")
    parser.add_argument("--sets", type=Path, help="folder of labelled sequences")
    parser.add_argument("--cost", action="store_true", help="measure time, and nothing else")
    parser.add_argument("--rounds", type=int, default=9, help="of --cost")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    model = DepthModel.load(options.model, provider="cpu")
    model.warm_up(model.batch)
    if options.cost:
        one_core = DepthModel.load(options.model, provider="cpu", threads=1)
        figures: dict[str, Any] = {"cost": cost(model, one_core, options.rounds)}
        print(figures)  # noqa: T201
    else:
        figures = quality(model, options.clips, options.sets)
    if options.output:
        content = {
            "benchmark": "stabilisation",
            "model": {"name": model.spec.name, "sha256": model.sha256()},
            "provider": model.provider,
            **figures,
        }
        write_result(options.output, content)


def quality(model: DepthModel, clips: Path | None, sets: Path | None) -> dict[str, Any]:
    """All figures but time."""
    found: dict[str, dict[str, Any]] = {"clips": {}, "sets": {}}

    def keep(part: str, name: str, figures: dict[str, Any]) -> None:
        found[part][name] = figures
        print(name, figures, flush=True)  # noqa: T201

    keep("sets", "demo", demo_figures(model, Stabiliser.of(model.spec)))
    for clip in sorted(clips.glob("*.mp4")) if clips else []:
        keep("clips", clip.stem, clip_figures(clip, model, Stabiliser.of(model.spec)))
    for dataset in open_datasets(sets, None, ReadOptions()) if sets else []:
        keep("sets", dataset.name, set_figures(dataset, model, Stabiliser.of(model.spec)))
    return found


if __name__ == "__main__":
    main()
