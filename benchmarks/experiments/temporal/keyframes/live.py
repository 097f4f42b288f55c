"""Live: a camera of 30 frames a second and a network of 100 ms, with and without keyframes.

The camera is a recording played at its pace; the network is the built-in model, which then waits
until 100 ms are over, as one on another processor would let this one do.

    python -m experiments.temporal.keyframes.live --clip CLIP \\
        -o benchmarks/results/keyframes_live.json
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt import DepthModel, Frame, Keyframes, SourceInfo, Stats, open_source, stream
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.model.inference import Abort, Prediction
from depthrt.sources.base import Losses
from depthrt_benchmarks.common.environment import write_result


class PacedCamera:
    """Gives frames that are in memory at a rate, as a camera does."""

    def __init__(self, frames: list[Frame], rate: int) -> None:
        height, width = frames[0].image.shape[:2]
        self.info = SourceInfo("camera", (height, width), rate=Fraction(rate), live=True)
        self.losses = Losses()
        self._frames, self._rate, self._stopped = frames, rate, False

    def frames(self) -> Iterator[Frame]:
        start_s = time.monotonic()
        for index, frame in enumerate(self._frames):
            time.sleep(max(0.0, start_s + index / self._rate - time.monotonic()))
            if self._stopped:
                return
            at = Fraction(index, self._rate)
            yield replace(frame, index=index, exact_time_s=at, captured_s=time.monotonic())

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._stopped = True


class SlowModel(DepthModel):
    """A model whose inference takes at least so long."""

    takes_s = 0.1

    def predict(self, batch: NDArray[np.uint8], abort: Abort | None = None) -> Prediction:
        start_s = time.monotonic()
        found = super().predict(batch, abort)
        time.sleep(max(0.0, self.takes_s - (time.monotonic() - start_s)))
        return found


def measure(frames: list[Frame], rate: int, keyframes: Keyframes | None) -> dict[str, Any]:
    """One run: results a second, latency, age of keyframes, error of the audits."""
    model, stats = SlowModel.load(objective="live", threads=1), Stats()
    with stream(PacedCamera(frames, rate), model, keyframes=keyframes, stats=stats) as results:
        times_s = [time.monotonic() for _ in results]
    found: dict[str, Any] = {
        "results_per_s": (len(times_s) - 1) / (times_s[-1] - times_s[0]),
        "dropped": stats.dropped,
        "latency_ms": stats.latency.as_ms(),
    }
    if keyframes is not None:
        found["keyframe_age_ms"] = stats.keyframe_ages_s.as_ms()
        found["audits"] = len(stats.audit_errors)
        found["mean_error"] = statistics.fmean(stats.audit_errors or [0.0])
        found["worst_error"] = max(stats.audit_errors, default=0.0)
    return found


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, default=DEMO_CLIP)
    parser.add_argument("--rate", type=int, default=30)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.05)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    frames = list(islice(open_source(options.clip).frames(), options.frames))
    found: dict[str, list[dict[str, Any]]] = {"without": [], "with": []}
    for _ in range(options.rounds):
        for kind, keyframes in (("without", None), ("with", Keyframes(options.budget))):
            found[kind].append(measure(frames, options.rate, keyframes))
            print(kind, found[kind][-1], flush=True)  # noqa: T201
    if options.output:
        content = {
            "benchmark": "live keyframes",
            "clip": options.clip.name,
            "camera_fps": options.rate,
            "network_ms": 1e3 * SlowModel.takes_s,
            "budget": options.budget,
            "rounds": found,
        }
        write_result(options.output, content)


if __name__ == "__main__":
    main()
