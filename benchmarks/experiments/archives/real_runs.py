"""Real runs of `depthrt batch` on this machine, and what the model says of the same."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.archives.cluster_model import Cluster, Costs, Simulation
from experiments.pipeline.ceiling import SIZES, make_clip

_FPS = 25.0
_SECONDS = (24, 10, 10, 6, 6, 4)  # of the videos: one is as long as four others
_SEGMENT_S = 4.0
_ROUNDS = 2


def batch_seconds(videos: Sequence[Path], workers: int, segment_s: float) -> tuple[float, float]:
    """Of `depthrt batch` with so many workers of one core: by the clock, and of all processors."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", "from depthrt.cli import main; main()", "batch"]
        command += [str(video) for video in videos]
        command += ["-o", out, "--workers", str(workers), "--segment", str(segment_s), "--json"]
        start_s = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        passed_s = time.perf_counter() - start_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def validate(costs: Costs) -> dict[str, Any]:
    """Seconds of real runs with one and two workers, beside what the model says."""
    found: dict[str, Any] = {"seconds_of_videos": list(_SECONDS), "segment_s": _SEGMENT_S}
    with tempfile.TemporaryDirectory() as name:
        videos = [
            make_clip(Path(name) / f"{number}.mp4", SIZES["720p"], int(seconds * _FPS))
            for number, seconds in enumerate(_SECONDS)
        ]
        for workers in (1, 2):
            real_s = min(batch_seconds(videos, workers, _SEGMENT_S)[0] for _ in range(_ROUNDS))
            model = Simulation([*map(float, _SECONDS)], _SEGMENT_S, costs, Cluster(workers)).run()
            found[f"{workers}_workers"] = {
                "real_s": real_s,
                "model_s": model.seconds,
                "model_over_real": model.seconds / real_s,
            }
    one, two = found["1_workers"], found["2_workers"]
    found["speed_up_real"] = one["real_s"] / two["real_s"]
    found["speed_up_model"] = one["model_s"] / two["model_s"]
    return found
