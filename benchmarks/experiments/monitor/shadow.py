"""How soon `depthrt serve --shadow` tells a file whose depth was made worse by 5%.

The worse file is the model with so much noise on its weights that AbsRel on labelled sets is 1.05
times what it was. For each frame of some clips the depth of both files is compared with that of the
float file, as the server does. Requests are parts of these clips in random order, 30 a second, of
which a share is compared. The worse file takes the place of the good one, many times: told by the
mean ratio of both errors on the same images, as the alert DepthrtShadowWorse does (``by_ratio``),
and by drift of the error from what was learned of the good file's first images (``by_drift``, with
24 hours of the good file before, in compressed time, for false alarms).

    python -m experiments.monitor.shadow data/video/*.mp4 --float float.onnx \
        --labelled data/rgbd/tum_fr1_rpy data/rgbd/replica_office0
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from depthrt.files.json_file import read_json, write_json
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.monitor.features import SHADOW_ERROR
from depthrt.monitor.reference import Reference
from depthrt.monitor.watch import Watch, WatchOptions
from depthrt_benchmarks.common.environment import write_result
from depthrt_serving.monitoring.shadow import LEARNED, RATE, SAMPLE_S, compare
from experiments.monitor.corruptions import as_it_is, worsen
from experiments.monitor.drift import abs_rel
from experiments.monitor.replays import pictures

RESULT = Path("benchmarks/results/shadow.json")
_PER_S = 30.0
_WORSE, _NEAR = 1.05, 0.005
_RUNS = 40
_HOURS = 24
_SCENE_S = (4.0, 20.0)  # how long a part of a clip is
_FPS = 30.0
_WINDOW_S, _FEWEST, _TIMES = 600.0, 30, 1.1  # of the alert

Errors = Mapping[str, Sequence[Sequence[float]]]
"""Of the good and the worse file: the error of each frame of each clip."""


def mean_abs_rel(model: DepthModel, labelled: Sequence[Path], every: int) -> float:
    """The mean over sets."""
    return float(np.mean([abs_rel(model, place, as_it_is, every) for place in labelled]))


def worse_file(
    good: DepthModel, labelled: Sequence[Path], every: int, target: Path
) -> dict[str, Any]:
    """Write the file that is worse by 5%, found by halving; gives what it took."""
    before = mean_abs_rel(good, labelled, every)
    low, high = 0.0, 0.08
    for _ in range(10):
        noise = (low + high) / 2
        worsen(good.path, target, noise)
        ratio = mean_abs_rel(DepthModel.load(target), labelled, every) / before
        if abs(ratio - _WORSE) <= _NEAR:
            break
        low, high = (noise, high) if ratio < _WORSE else (low, noise)
    return {"noise": round(noise, 4), "abs_rel": round(before, 4), "times": round(ratio, 4)}


def errors_of(
    videos: Sequence[Path], good: DepthModel, worse: DepthModel, shadow: DepthModel, every: int
) -> Errors:
    """Every n-th frame of each clip through all three."""
    found: dict[str, list[list[float]]] = {"good": [], "worse": []}
    for video in videos:
        rows: dict[str, list[float]] = {"good": [], "worse": []}
        for frame in pictures(video)[1][::every]:
            pixels = prepare(frame, good.spec.input)[None]
            true = shadow.infer(pixels)[0]
            for name, model in (("good", good), ("worse", worse)):
                made = compare(model.infer(pixels)[0], true)
                if made is not None:
                    rows[name].append(made[0])
        for name, row in rows.items():
            found[name].append(row)
    return found


def stream(
    clips: Sequence[Sequence[float]], every: int, share: float, random: np.random.Generator
) -> Iterator[tuple[float, float]]:
    """Time in seconds and error of what is compared."""
    time_s, scene_end_s, start_s, clip = 0.0, 0.0, 0.0, clips[0]
    while True:
        time_s += float(random.exponential(1 / (_PER_S * share)))
        while time_s >= scene_end_s:
            scene_end_s += float(random.uniform(*_SCENE_S))
            clip = clips[int(random.integers(len(clips)))]
            start_s = float(random.uniform(0, len(clip)))
        yield time_s, clip[int(start_s + time_s * _FPS / every) % len(clip)]


def new_watch(reference: Reference | None, said: list[str]) -> Watch:
    """What the server has for a model."""
    options = WatchOptions(
        reference, "kept", learn_s=LEARNED * SAMPLE_S, rate=RATE, sample_s=SAMPLE_S
    )
    return Watch(options, said.append)


def by_drift(errors: Errors, every: int, share: float) -> dict[str, Any]:
    """False alarms and times until the worse file is told, for a share."""
    random, said = np.random.default_rng(3), list[str]()
    usual = stream(errors["good"], every, share, random)
    watch = new_watch(None, said)
    for _, error in islice(usual, LEARNED):
        watch.add({SHADOW_ERROR: error})
    watch.settle()
    reference = watch.verdict.reference
    said.clear()
    for _, error in islice(usual, round(_HOURS * 3600 * _PER_S * share)):
        watch.add({SHADOW_ERROR: error})
    alarms = sum(sentence.startswith("drift") for sentence in said)
    times_s: list[float | None] = []
    watch = new_watch(reference, [])
    watch.settle()
    limits = watch._limits
    for _ in range(_RUNS):
        watch = new_watch(None, [])
        watch.verdict, watch._limits = watch.verdict.__class__(reference=reference), limits
        times_s.append(detected_s(watch, stream(errors["worse"], every, share, random)))
    return {"false_alarms": alarms, **_times(times_s)}


def by_ratio(errors: Errors, every: int, share: float) -> dict[str, Any]:
    """Times until the worse file is told by what the alert asks of each image's ratio."""
    random, times_s = np.random.default_rng(4), list[float | None]()
    ratios = [
        [worse / good for worse, good in zip(*pair, strict=True)]
        for pair in zip(errors["worse"], errors["good"], strict=True)
    ]
    for _ in range(_RUNS):
        seen: list[tuple[float, float]] = []
        for time_s, ratio in stream(ratios, every, share, random):
            seen = [(t, r) for t, r in seen if t > time_s - _WINDOW_S] + [(time_s, ratio)]
            told = len(seen) > _FEWEST and np.mean([r for _, r in seen]) > _TIMES
            if told or time_s > 3600:
                times_s.append(time_s if told else None)
                break
    return _times(times_s)


def _times(times_s: Sequence[float | None]) -> dict[str, Any]:
    told = [each for each in times_s if each is not None]
    return {
        "told": len(told),
        "of": len(times_s),
        "median_s": round(float(np.median(told)), 1) if told else None,
        "slowest_s": round(max(told), 1) if told else None,
    }


def detected_s(watch: Watch, worse: Iterator[tuple[float, float]]) -> float | None:
    """Seconds until a worse file is told; None within an hour."""
    for time_s, error in worse:
        if time_s > 3600:
            return None
        watch.add({SHADOW_ERROR: error})
        if watch.verdict.drifts:
            return time_s
    return None


def measure(said: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    good, shadow = DepthModel.load(said.model), DepthModel.load(said.float_file)
    if said.errors is not None and said.errors.exists():
        kept = read_json(said.errors)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "worse.onnx"
            made = worse_file(good, said.labelled, said.every_label, file)
            errors = errors_of(said.videos, good, DepthModel.load(file), shadow, said.every)
        kept = {"worse": made, "errors": errors}
        if said.errors is not None:
            write_json(said.errors, kept, overwrite=True)
    errors = kept["errors"]
    means = {name: [round(float(np.mean(row)), 4) for row in rows] for name, rows in errors.items()}
    return {
        "model": good.spec.name,
        "worse": kept["worse"],
        "mean_error": means,
        "requests_per_s": _PER_S,
        "hours_unchanged": _HOURS,
        "shares": {
            f"{100 * share:g}%": {
                "by_ratio": by_ratio(errors, said.every, share),
                "by_drift": by_drift(errors, said.every, share),
            }
            for share in (0.005, 0.01)
        },
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--float", dest="float_file", type=Path, required=True)
    parser.add_argument("--labelled", nargs="+", type=Path, required=True)
    parser.add_argument("-m", "--model")
    parser.add_argument("--every", type=int, default=5, help="take every n-th frame")
    parser.add_argument("--every-label", type=int, default=12, help="and labelled picture")
    parser.add_argument("--errors", type=Path, help="a file that keeps the errors of all frames")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    said = parser.parse_args()
    write_result(said.output, measure(said))


if __name__ == "__main__":
    main()
