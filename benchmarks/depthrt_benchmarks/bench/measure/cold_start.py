"""Load time, first run and memory of a model, in new processes.

python -m depthrt_benchmarks.bench.measure.cold_start MODEL PROVIDER THREADS  prints one JSON object
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from depthrt.errors import InferenceError
from depthrt.files.json_file import parse_json
from depthrt_benchmarks.common.peak_memory import peak_memory_bytes

_RUNS = 5
_FRESH = "depthrt_benchmarks.bench.measure.cold_start"


def starts(model: Path, provider: str, threads: int, rounds: int = 3) -> dict[str, float]:
    """Medians over fresh processes.

    - ``load_ms``: file to session; ``first_run_ms``: the first inference; ``usual_run_ms``: the
      median of a few after it;
    - ``first_depth_ms``: from the start of Python to the first depth;
    - ``peak_memory_mb``: peak resident memory of the process;
    - ``model_memory_mb``: its growth by the model.

    Raises:
        InferenceError: a process failed; its last line says why.
    """
    found = [_start(model, provider, threads) for _ in range(rounds)]
    return {key: round(statistics.median(row[key] for row in found), 2) for key in found[0]}


def _start(model: Path, provider: str, threads: int) -> dict[str, float]:
    command = [sys.executable, "-m", _FRESH, str(model), provider, str(threads)]
    begin_s = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InferenceError(f"{model.name} failed in a process of its own: {reason}")
    try:
        row: dict[str, Any] = parse_json(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise InferenceError(f"{model.name} gave no figures in a process of its own") from error
    row["first_depth_ms"] = 1e3 * (row.pop("first_depth_s") - begin_s)
    return row


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MB."""
    return peak_memory_bytes() / 1e6


def main() -> None:
    """Measure in this process."""
    from depthrt.model.depth_model import DepthModel
    from depthrt.model.session import import_onnxruntime

    import_onnxruntime()  # so that its time and memory are not counted as the model's
    before_mb = peak_memory_mb()
    path, provider, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    times_s = [time.perf_counter()]
    model = DepthModel.load(path, provider=provider, threads=threads)
    times_s.append(time.perf_counter())
    for _ in range(1 + _RUNS):
        model.warm_up()
        times_s.append(time.perf_counter())
    took_ms = [1e3 * (b - a) for a, b in pairwise(times_s)]
    row = {
        "load_ms": took_ms[0],
        "first_run_ms": took_ms[1],
        "usual_run_ms": statistics.median(took_ms[2:]),
        "first_depth_s": times_s[2],  # a clock that all processes of a machine share
        "peak_memory_mb": peak_memory_mb(),
        "model_memory_mb": peak_memory_mb() - before_mb,
    }
    sys.stdout.write(json.dumps(row))


if __name__ == "__main__":
    main()
