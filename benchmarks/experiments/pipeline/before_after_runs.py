"""Processes of two commits in turn, and what their ratios say; see ``before_after.py``."""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from depthrt.confidence_interval import paired_interval
from experiments.pipeline.ceiling import SIZES, make_clip

Figures = dict[str, float]
Pair = tuple[Figures, Figures]  # before, after

_WORKER = Path(__file__).with_name("before_after_worker.py")
_RATES = ("rate_fps", "whole_fps")
_LATENCIES = ("p99_ms", "p90_ms", "p50_ms", "mean_ms", "rate_fps")
_PLAIN, _OPENVINO = ("before", "after"), ("openvino_before", "openvino_after")
_ALPHA = 0.05
_LEAST_PAIRS = 3  # also where the time is up
_LEAST_NARROW = 6  # fewer pairs that happen to agree are not believed
_WARM_UP_FRAMES = 64
_OVERLOAD = 3
_MOST_FPS = 1000.0  # that a source in Python keeps up with
_TIME_OUT_S = 300


@dataclass(frozen=True)
class Case:
    """What both commits are to do; ``weight``: its share of the time beside the others'."""

    name: str
    size: str = "720p"
    recordings: int = 1
    options: tuple[str, ...] = ()  # of `depthrt run`
    job: str = "run"  # or one of the worker's
    provider: str = "cpu"
    weight: int = 1

    @property
    def environments(self) -> tuple[str, str]:
        """The names of the two environments that it runs in, as options name them."""
        return _OPENVINO if self.provider == "openvino" else _PLAIN

    @property
    def figures(self) -> tuple[str, ...]:
        """What is compared; the first decides when it is enough."""
        if self.job == "live":
            return _LATENCIES
        return _RATES if self.job == "run" else _RATES[:1]


CASES = (
    Case("720p"),
    Case("1080p", size="1080p"),
    Case("four_recordings", recordings=4),
    Case("eight_streams", recordings=8, job="streams"),
    Case("batch_4", options=("--batch", "4")),
    Case("threads_1", options=("--threads", "1")),
    Case("threads_2", options=("--threads", "2")),
    Case("openvino", provider="openvino"),
    Case("live", job="live", weight=3),  # one result in a hundred decides
)


@dataclass(frozen=True)
class Settings:
    """How long, and on what."""

    frames: int = 300  # of each recording at most
    run_s: float = 3.0  # of one process, about; a live source runs for twice as long
    pairs: int = 60  # of a case at most
    reach: float = 0.015  # the interval is narrow enough within that of its ratio
    model: str | None = None


class Failed(Exception):  # noqa: N818 - the name of a state
    """A process of one side failed, or did other work than was asked for."""


class Bench:
    """Runs one job after the other, in a folder of its own and without any earlier tuning."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder, self._settings = folder, settings
        self._clips: dict[str, Path] = {}
        self._environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}

    def describe(self, python: Path) -> dict[str, Any]:
        """Commit, versions, provider and model of one environment."""
        return self._json([str(python), "-I", str(_WORKER), "describe", *self._model()])

    def load(self, case: Case, pythons: Sequence[Path]) -> float:
        """Warm both sides up; how much one process is to do, so that it takes some seconds.

        That is the frames of each recording, or the rate (1/s) of the live source.
        """
        if case.job == "live":
            times_s = [self._worker(p, case, "inference")["inference_s"] for p in pythons]
            return round(min(_MOST_FPS, _OVERLOAD / min(times_s)), 1)
        few = min(self._settings.frames, max(2, _WARM_UP_FRAMES // case.recordings))
        rate_fps = max(self.run(python, case, few)["rate_fps"] for python in pythons)
        wanted = round(rate_fps * self._settings.run_s / case.recordings)
        return min(self._settings.frames, max(2, wanted))

    def run(self, python: Path, case: Case, load: float) -> Figures:
        """The figures of one process.

        Raises:
            Failed: it failed, took another provider or gave another number of frames.
        """
        start_s = time.perf_counter()
        if case.job == "live":
            seconds = str(2 * self._settings.run_s)
            found = self._worker(python, case, "live", "--rate", str(load), "--seconds", seconds)
        else:
            found = self._recordings(python, case, int(load))
            expected = int(load) * case.recordings
            if found["frames"] != expected:
                raise Failed(f"{python} gave {found['frames']} frames instead of {expected}")
            found["whole_fps"] = expected / (time.perf_counter() - start_s)
        if found["provider"] != case.provider:
            raise Failed(f"{python} ran on {found['provider']} instead of {case.provider}")
        return {name: float(found[name]) for name in case.figures}

    def _recordings(self, python: Path, case: Case, frames: int) -> dict[str, Any]:
        if case.job == "streams":
            options = ("--streams", str(case.recordings), "--batch", "4", "--frames", str(frames))
            return self._worker(python, case, "streams", *options)
        command = [str(python), "-I", "-m", "depthrt", "run", "--json", "--overwrite"]
        command += ["--max-frames", str(frames), *case.options, *self._model()]
        output = "depth.mp4" if case.recordings == 1 else "depth"
        clips = [str(self._clip(case.size))] * case.recordings
        return self._json([*command, "-o", str(self._folder / output), *clips])

    def _worker(self, python: Path, case: Case, job: str, *options: str) -> dict[str, Any]:
        clip = str(self._clip(case.size))
        return self._json([str(python), "-I", str(_WORKER), job, clip, *options, *self._model()])

    def _model(self) -> list[str]:
        return ["-m", self._settings.model] if self._settings.model else []

    def _clip(self, size: str) -> Path:
        if size not in self._clips:
            path = self._folder / f"{size}.mp4"
            self._clips[size] = make_clip(path, SIZES[size], self._settings.frames)
        return self._clips[size]

    def _json(self, command: Sequence[str]) -> dict[str, Any]:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=self._environment, timeout=_TIME_OUT_S
            )
            found = json.loads(done.stdout) if done.returncode == 0 else None
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            raise Failed(f"{command[0]}: {error}") from error
        if not isinstance(found, dict):
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise Failed(f"{command[0]}: {lines[-1]}")
        return found


def measure(
    bench: Bench,
    case: Case,
    pythons: Sequence[Path],
    settings: Settings,
    deadline_s: float,
    order: random.Random,
) -> dict[str, Any]:
    """Pairs of one case until it is enough or the deadline (``time.monotonic``) would pass.

    Raises:
        Failed: a process failed.
    """
    start_s = pair_start_s = time.monotonic()
    load = bench.load(case, pythons)
    pairs: list[Pair] = []
    while len(pairs) < settings.pairs:
        now_s = time.monotonic()
        last_s = now_s - pair_start_s
        if len(pairs) >= _LEAST_PAIRS and now_s + last_s > deadline_s:
            break
        pair_start_s = now_s
        found = {side: bench.run(pythons[side], case, load) for side in order.sample((0, 1), 2)}
        pairs.append((found[0], found[1]))
        if len(pairs) >= _LEAST_NARROW and _reach(pairs, case) <= settings.reach:
            break
    return {
        **{key: value for key, value in asdict(case).items() if key not in ("name", "weight")},
        "source_fps" if case.job == "live" else "frames_each": load,
        "narrow": _reach(pairs, case) <= settings.reach,
        "took_s": round(time.monotonic() - start_s, 1),
        **summary(pairs, case.figures),
    }


def summary(pairs: Sequence[Pair], figures: Iterable[str]) -> dict[str, Any]:
    """Ratios with intervals, medians of both sides, and the pairs themselves."""
    names = tuple(figures)
    ratios = {name: paired_interval(_logs(pairs, name), _ALPHA) for name in names}
    sides = {"before": [pair[0] for pair in pairs], "after": [pair[1] for pair in pairs]}
    return {
        "after_over_before": {
            name: {key: round(value, 4) for key, value in asdict(interval).items()}
            for name, interval in ratios.items()
        },
        "medians": {
            side: {name: round(statistics.median(run[name] for run in runs), 3) for name in names}
            for side, runs in sides.items()
        },
        "pairs": [[round(run[names[0]], 3) for run in pair] for pair in pairs],
    }


def _logs(pairs: Sequence[Pair], name: str) -> list[float]:
    return [math.log(after[name] / before[name]) for before, after in pairs]


def _reach(pairs: Sequence[Pair], case: Case) -> float:
    """How far the interval of the deciding figure goes to its longer side, as a share."""
    interval = paired_interval(_logs(pairs, case.figures[0]), _ALPHA)
    return interval.high / interval.ratio - 1
