"""Drift as `depthrt run --metrics` judges it: false alarms on unchanged streams, and what it finds.

Streams are clips that are played again and again, each as a camera of its own, and parts of all of
them in random order, as one camera that moves. The first ten minutes are the reference. 24 hours of
each follow unchanged, in compressed time: a sample each half second. Then, from a random place on,
each corruption goes on for ten minutes.

What a corruption costs is AbsRel on labelled sets, each picture aligned by itself (a camera that is
upside down: its depth turned back).

    python -m experiments.monitor.drift data/video/*.mp4 --labelled data/rgbd/tum_fr1_rpy
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from depthrt.files.json_file import read_json, write_json
from depthrt.model.depth_model import DepthModel
from depthrt.monitor.watch import SAMPLE_S, Watch, WatchOptions, drifting
from depthrt_benchmarks.common.environment import write_result
from depthrt_benchmarks.evaluation.datasets.base import ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from depthrt_benchmarks.evaluation.protocol.alignment import fit, solve_space, to_depth_m
from depthrt_benchmarks.evaluation.protocol.resize import resize_to
from experiments.monitor.corruptions import (
    CORRUPTIONS,
    WORSE_MODEL,
    Corruption,
    as_it_is,
    upside_down,
    worsen,
)
from experiments.monitor.replays import Clip, Sample, clip_features, loop, pictures, playlist

RESULT = Path("benchmarks/results/drift.json")
_LEARN_S, _CORRUPTED_S = 600.0, 600.0
_FEWEST_PIXELS = 500
_ALL = "all clips in random order"
USUAL = "unchanged"

Stream = Callable[[Sequence[Clip]], Iterator[Sample]]


def count(seconds: float) -> int:
    """Samples in so many seconds."""
    return round(seconds / SAMPLE_S)


def learned(stream: Iterator[Sample]) -> tuple[Watch, list[str]]:
    """A watch that has learned from a stream's first minutes, and what it says from then on."""
    said: list[str] = []
    watch = Watch(WatchOptions(learn_s=_LEARN_S), said.append)
    for sample in islice(stream, count(_LEARN_S)):
        watch.add(*sample)
    watch.settle()
    said.clear()
    return watch, said


def false_alarms(stream: Iterator[Sample], hours: float) -> tuple[int, list[str]]:
    """Alarms that an unchanged stream raises after the first minutes, and their sentences."""
    watch, said = learned(stream)
    for sample in islice(stream, count(3600 * hours)):
        watch.add(*sample)
    alarms = [sentence for sentence in said if sentence.startswith("drift")]
    return len(alarms), alarms


def detection(
    usual: Iterator[Sample], corrupted: Iterator[Sample]
) -> tuple[float | None, list[str]]:
    """Seconds until a corruption is told, and the features that told it; None if it is not."""
    watch, _ = learned(usual)
    for sample in islice(usual, count(120)):
        watch.add(*sample)
    for number, sample in enumerate(islice(corrupted, count(_CORRUPTED_S))):
        watch.add(*sample)
        if watch.verdict.drifts:
            return (number + 1) * SAMPLE_S, drifting(watch.verdict)
    return None, []


def abs_rel(model: DepthModel, place: Path, change: Corruption, every: int) -> float:
    """Mean AbsRel over a labelled set whose pictures are changed, each aligned by itself."""
    errors = []
    for dataset in open_datasets(place, None, ReadOptions()):
        low, high = dataset.customs.min_depth_m, dataset.customs.max_depth_m
        for item in dataset.items[::every]:
            pair = item.read()
            values = model(change(pair.image)).values
            if change is upside_down:
                values = np.ascontiguousarray(values[::-1, ::-1])
            d = resize_to(values, pair.depth_m.shape, dataset.customs.resize)
            known = (pair.depth_m > low) & (pair.depth_m < high)
            if known.sum() < _FEWEST_PIXELS:
                continue
            truth = pair.depth_m[known].astype(float)
            space = solve_space(d[known].astype(float), model.spec.kind, "disparity-lsq")
            line = fit(space, truth, "disparity-lsq")
            depth = to_depth_m(space, line, "disparity-lsq", low, high)
            errors.append(float(np.mean(np.abs(depth / truth - 1))))
    return float(np.mean(errors))


Cases = Mapping[str, tuple[DepthModel, Corruption]]
Seen = Mapping[str, Sequence[Clip]]


def features(videos: Sequence[Path], cases: Cases, kept: Path | None) -> Seen:
    """The features of all clips in all cases; from the file ``kept`` if it is there."""
    if kept is not None and kept.exists():
        return {case: [Clip(**clip) for clip in clips] for case, clips in read_json(kept).items()}
    seen: dict[str, list[Clip]] = {case: [] for case in cases}
    for path in videos:
        fps, frames = pictures(path)
        for case, (network, change) in cases.items():
            seen[case].append(clip_features(path.stem, fps, frames, network, change))
    if kept is not None:
        content = {case: [asdict(clip) for clip in clips] for case, clips in seen.items()}
        write_json(kept, content, overwrite=True)
    return seen


def judged(seen: Seen, hours: float) -> dict[str, Any]:
    """False alarms, and after how long each corruption is told."""
    streams: dict[str, Stream] = {
        clip.name: lambda clips, number=number: loop(clips[number])
        for number, clip in enumerate(seen[USUAL])
    }
    streams[_ALL] = lambda clips: playlist(clips, np.random.default_rng(5))
    alarms, found = {}, {}
    for stream, make in streams.items():
        number, said = false_alarms(make(seen[USUAL]), hours)
        alarms[stream] = {"alarms": number, "said": said[:5]}
    for case in seen:
        if case == USUAL:
            continue
        found[case] = {}
        for stream, make in streams.items():
            seconds, by = detection(make(seen[USUAL]), make(seen[case]))
            found[case][stream] = {"seconds": seconds, "by": by[:4]}
    return {"hours": hours, "false_alarms": alarms, "detected_after": found}


def half_against_half(clips: Sequence[Clip]) -> dict[str, list[str]]:
    """What drifts where the first half of each clip is learned and the second follows.

    The second half shows something else: this says how much a reference of seconds knows.
    """
    found = {}
    for clip in clips:
        watch, _ = learned(loop(clip.half(0)))
        for sample in islice(loop(clip.half(1)), count(120)):
            watch.add(*sample)
        found[clip.name] = drifting(watch.verdict)
    return found


def measure(
    videos: Sequence[Path],
    labelled: Sequence[Path],
    name: str | None,
    hours: float,
    every: int,
    kept: Path | None,
) -> dict[str, Any]:
    """All figures."""
    model = DepthModel.load(name)
    with tempfile.TemporaryDirectory() as folder:
        worse_file = Path(folder) / "worse.onnx"
        worsen(model.path, worse_file)
        worse = DepthModel.load(worse_file)
    cases: dict[str, tuple[DepthModel, Corruption]] = {
        USUAL: (model, as_it_is),
        **{case: (model, change) for case, change in CORRUPTIONS.items()},
        WORSE_MODEL: (worse, as_it_is),
    }
    cost = {
        case: {place.name: round(abs_rel(network, place, change, every), 4) for place in labelled}
        for case, (network, change) in cases.items()
    }
    seen = features(videos, cases, kept)
    return {
        "model": model.spec.name,
        "abs_rel": cost,
        **judged(seen, hours),
        "drifts_in_the_other_half": half_against_half(seen[USUAL]),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--labelled", nargs="*", type=Path, default=[])
    parser.add_argument("-m", "--model")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--every", type=int, default=4, help="take every n-th labelled picture")
    parser.add_argument("--features", type=Path, help="a file that keeps the features of all clips")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    said = parser.parse_args()
    result = measure(said.videos, said.labelled, said.model, said.hours, said.every, said.features)
    write_result(said.output, result)


if __name__ == "__main__":
    main()
