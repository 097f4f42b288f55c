"""What metres from ten points are worth: `depthrt scale` on labelled sets.

Ten random valid pixels of one frame are the points; the error is over all other frames of the set,
as ``eval --align none`` counts it (AbsRel, depth clamped to the set's range, mean per frame, then
over frames). It is divided by the AbsRel of the same frames when each is aligned by itself
(``disparity-lsq``). Frame and points are drawn again and again; figures are medians over draws.

Beside them stand the bound, which is one scale and shift fitted to all pixels of all frames, and
what ten points of ten frames give.

    python -m experiments.scale.metres data/rgbd/* -m depthrt-s -m meter.onnx
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from depthrt.errors import DepthrtError
from depthrt.model.depth_model import DepthModel
from depthrt.spec import Kind
from depthrt_benchmarks.common.environment import write_result
from depthrt_benchmarks.evaluation.datasets.base import Dataset, ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from depthrt_benchmarks.evaluation.protocol.alignment import Align, fit, solve_space, to_depth_m
from depthrt_benchmarks.evaluation.protocol.resize import resize_to
from depthrt_export.scale.choose_line import Wish, fit_points
from depthrt_export.scale.fit import Line, Numbers
from experiments.scale.fits import Fit, samples_of, ways

RESULT = Path("benchmarks/results/scale_metres.json")
POINTS = 10
_PIXELS, _SCORED = 4000, 500  # of a frame: for its own alignment; for the error of a draw
_ALIGNS: tuple[Align, ...] = ("disparity-lsq", "depth-lsq", "median")
_FAR = 1e6


@dataclass(frozen=True, eq=False)
class FrameOfSet:
    """Random valid pixels of a frame: what the model gave, and the true metres, both (n)."""

    d: Numbers
    metres: Numbers


@dataclass(frozen=True, eq=False)
class Measured:
    """A set as a model sees it."""

    frames: Sequence[FrameOfSet]
    nearest_m: float
    farthest_m: float

    def abs_rel(self, line: Line) -> Numbers:
        """AbsRel of every frame by one line."""
        d = np.stack([f.d[:_SCORED] for f in self.frames])
        metres = np.stack([f.metres[:_SCORED] for f in self.frames])
        return np.asarray(np.abs(self.clamped(line.metres(d)) / metres - 1).mean(axis=1))

    def clamped(self, metres: Numbers) -> Numbers:
        """Depth within the set's range."""
        return np.clip(metres, self.nearest_m, self.farthest_m)

    def aligned(self, kind: Kind, align: Align) -> Numbers:
        """AbsRel of every frame, aligned by itself."""
        found = []
        for frame in self.frames:
            space = solve_space(frame.d, kind, align)
            line = fit(space, frame.metres, align)
            depth = to_depth_m(space, line, align, self.nearest_m, self.farthest_m)
            found.append(float(np.mean(np.abs(depth / frame.metres - 1))))
        return np.array(found)


def look(model: DepthModel, dataset: Dataset, every: int) -> Measured:
    """Run the model on a set's frames; those with few valid pixels are left out."""
    chance = np.random.default_rng(0)
    low, high = dataset.customs.min_depth_m, dataset.customs.max_depth_m
    frames = []
    for item in dataset.items[::every]:
        pair = item.read()
        valid = np.flatnonzero((pair.depth_m > low) & (pair.depth_m < high))
        if len(valid) < _SCORED:
            continue
        depth = model(pair.image).values
        d = resize_to(depth, pair.depth_m.shape, dataset.customs.resize)
        taken = chance.permutation(valid)[:_PIXELS]
        frames.append(
            FrameOfSet(d.ravel()[taken].astype(float), pair.depth_m.ravel()[taken].astype(float))
        )
    return Measured(frames, low, high)


def measure(seen: Measured, kind: Kind, *, is_metric: bool, draws: int) -> dict[str, Any]:
    """All figures of a model on a set."""
    by_itself = {align: seen.aligned(kind, align) for align in _ALIGNS}
    base = by_itself["disparity-lsq"]
    bound = oracle(seen, kind)
    return {
        "frames": len(seen.frames),
        "aligned_abs_rel": {align: round(float(v.mean()), 4) for align, v in by_itself.items()},
        "bound": {name: _ratio(seen.abs_rel(line), base) for name, line in bound.items()},
        "ten_points_of_one_frame": {
            name: _draws(seen, base, draws, partial(_of_one, seen, way))
            for name, way in ways(kind, is_metric=is_metric).items()
        },
        "default_on_ten_frames": _draws(
            seen, base, draws, partial(_of_ten, seen, Wish(kind, is_metric))
        ),
        "stated_error": stated(seen, Wish(kind, is_metric), draws),
    }


def oracle(seen: Measured, kind: Kind) -> dict[str, Line]:
    """The scale, and the scale and shift, with the least AbsRel over all frames."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    def line(x: Sequence[float]) -> Line:
        shift = float(x[1]) if len(x) > 1 else None
        return Line(kind, float(np.exp(x[0])), shift, 1 / _FAR, _FAR)

    d = np.concatenate([f.d for f in seen.frames])
    metres = np.concatenate([f.metres for f in seen.frames])
    ratio = 1 / metres / d if kind == "inverse_depth" else metres / d
    start = [float(np.log(np.median(ratio)))]

    def best(x0: Sequence[float]) -> Line:
        found = minimize(lambda x: seen.abs_rel(line(x)).mean(), x0, method="Nelder-Mead")
        return line(found.x)

    return {"one scale": best(start), "one scale and shift": best([*start, 0.0])}


_Drawn = tuple[Line, list[int]]


def _of_one(seen: Measured, way: Fit, chance: np.random.Generator) -> _Drawn:
    """A line from points of one frame, and which frame."""
    index = int(chance.integers(len(seen.frames)))
    frame = seen.frames[index]
    chosen = chance.choice(len(frame.d), POINTS, replace=False)
    return way(frame.d[chosen], frame.metres[chosen]), [index]


def _of_ten(seen: Measured, wish: Wish, chance: np.random.Generator) -> _Drawn:
    """A line from one point in each of ten frames, and which frames."""
    indices = chance.choice(len(seen.frames), POINTS, replace=False)
    frames = [seen.frames[i] for i in indices]
    pixels = [int(chance.integers(len(f.d))) for f in frames]
    d = np.array([f.d[i] for f, i in zip(frames, pixels, strict=True)])
    metres = np.array([f.metres[i] for f, i in zip(frames, pixels, strict=True)])
    return fit_points(samples_of(d, metres, np.arange(POINTS)), wish).line, indices.tolist()


def _draws(
    seen: Measured,
    base: Numbers,
    draws: int,
    draw: Callable[[np.random.Generator], _Drawn],
) -> dict[str, Any]:
    """Median and 10th and 90th percentile over draws of the error on the other frames."""
    chance = np.random.default_rng(1)
    errors, ratios, refused = [], [], 0
    for _ in range(draws):
        try:
            line, used = draw(chance)
        except DepthrtError:
            refused += 1
            continue
        other = np.setdiff1d(np.arange(len(seen.frames)), used)
        error = float(seen.abs_rel(line)[other].mean())
        errors.append(error)
        ratios.append(error / float(base[other].mean()))
    low, middle, high = (round(float(q), 3) for q in np.quantile(ratios, (0.1, 0.5, 0.9)))
    return {
        "abs_rel": round(float(np.median(errors)), 4),
        "ratio": middle,
        "ratio_10_to_90": [low, high],
        "refused": refused,
    }


def stated(seen: Measured, wish: Wish, draws: int) -> dict[str, Any]:
    """The error that `depthrt scale` states against that of the frame's other pixels."""
    chance = np.random.default_rng(2)
    said, true, covered = [], [], []
    for _ in range(draws):
        frame = seen.frames[int(chance.integers(len(seen.frames)))]
        chosen = chance.choice(len(frame.d), POINTS, replace=False)
        try:
            fitted = fit_points(samples_of(frame.d[chosen], frame.metres[chosen]), wish)
        except DepthrtError:
            continue
        depth = seen.clamped(fitted.line.metres(frame.d))
        said.append(fitted.error.abs_rel)
        true.append(float(np.mean(np.abs(depth / frame.metres - 1))))
        covered.append(fitted.error.low <= true[-1] <= fitted.error.high)
    return {
        "stated_abs_rel": round(float(np.median(said)), 4),
        "abs_rel_of_that_frame": round(float(np.median(true)), 4),
        "interval_holds_it": round(float(np.mean(covered)), 3),
    }


def _ratio(errors: Numbers, base: Numbers) -> dict[str, float]:
    error = float(errors.mean())
    return {"abs_rel": round(error, 4), "ratio": round(error / float(base.mean()), 3)}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The ratios as Markdown."""
    names = [n for n in rows[0]["ten_points_of_one_frame"] if n != "default, as if relative"]
    head = ["model", "set", "aligned", "bound", *names, "default, ten frames"]
    found = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for row in rows:
        figures = [row["ten_points_of_one_frame"][name]["ratio"] for name in names]
        cells = [
            row["model"],
            row["set"],
            row["aligned_abs_rel"]["disparity-lsq"],
            row["bound"]["one scale and shift"]["ratio"],
            *figures,
            row["default_on_ten_frames"]["ratio"],
        ]
        found.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(found)


def short_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Sets by models: aligned AbsRel, and ratios of one frame, ten frames and the bound."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = [f"| set | {' | '.join(models)} |", f"| --- |{' --- |' * len(models)}"]
    for name in dict.fromkeys(row["set"] for row in rows):
        cells = [_cell(row) for row in rows if row["set"] == name]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    ratios = (
        row["ten_points_of_one_frame"]["default"]["ratio"],
        row["default_on_ten_frames"]["ratio"],
        row["bound"]["one scale and shift"]["ratio"],
    )
    aligned = f"{row['aligned_abs_rel']['disparity-lsq']:.3f}".removeprefix("0")
    return f"{aligned}: {' / '.join(f'{ratio:.2f}' for ratio in ratios)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sets", nargs="+", type=Path, help="labelled sets")
    parser.add_argument("-m", "--model", action="append", help="default: the built-in model")
    parser.add_argument("--draws", type=int, default=300, help="of a frame and its points")
    parser.add_argument("--every", type=int, default=1, help="take every n-th frame")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    said = parser.parse_args()
    rows = []
    for name in said.model or ["depthrt-s"]:
        model = DepthModel.load(name, provider="cpu")
        spec = model.spec
        for place in said.sets:
            (dataset,) = open_datasets(place, None, ReadOptions())
            seen = look(model, dataset, said.every)
            figures = measure(seen, spec.kind, is_metric=spec.unit == "m", draws=said.draws)
            about = {"model": spec.name, "sha256": model.sha256(), "set": dataset.name}
            rows.append({**about, "kind": spec.kind, "unit": spec.unit, **figures})
            print(table(rows[-1:]).splitlines()[-1], file=sys.stderr)  # noqa: T201
    content = {"points": POINTS, "draws": said.draws, "every": said.every, "rows": rows}
    write_result(said.output, content)
    print(f"{table(rows)}\n\n{short_table(rows)}")  # noqa: T201


if __name__ == "__main__":
    main()
