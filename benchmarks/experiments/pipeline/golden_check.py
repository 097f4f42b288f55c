"""What does checking golden frames cost when a model is loaded?

Fresh processes load the built-in model in turn, round by round: without the check, with it where it
was done before (the usual start), and with it for the first time. Medians of the rounds' pairs, of
wall time and of the main thread's CPU time, which a busy machine does not stretch. That thread does
its share of an inference, as it does in a run.

    python -m experiments.pipeline.golden_check -o benchmarks/results/golden_check.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from depthrt.model.catalogue.registry import find_model
from depthrt_benchmarks.common.environment import write_result

CLOCKS = ("wall", "cpu")
LOAD = """
import json, sys, time
import depthrt

def now():
    return [time.perf_counter(), time.thread_time()]

stamps = [now()]
model = depthrt.DepthModel.load(sys.argv[1], provider="cpu", verify=False)
stamps.append(now())
from depthrt.model.golden.load_check import check_once
check_once(model)
stamps.append(now())
model.warm_up()
stamps.append(now())
print(json.dumps([[b - a for a, b in zip(*pair)] for pair in zip(stamps, stamps[1:])]))
"""

Spent = dict[str, dict[str, float]]  # seconds by step (load, check, inference) and by clock


def spent(model: str, verify: str, cache: Path) -> Spent:
    """What a load, its check and the next inference take in a fresh process."""
    variables = {**os.environ, "DEPTHRT_VERIFY": verify, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", LOAD, model]
    done = subprocess.run(command, check=True, env=variables, capture_output=True, text=True)
    steps = zip(("load", "check", "inference"), json.loads(done.stdout), strict=True)
    return {step: dict(zip(CLOCKS, times_s, strict=True)) for step, times_s in steps}


def measured_round(model: str, kept: Path, clocks: Sequence[str] = CLOCKS) -> Spent:
    """A load of each kind; seconds, and what is compared, by figure and clock."""
    with tempfile.TemporaryDirectory() as fresh:
        off = spent(model, "0", kept)
        cached = spent(model, "1", kept)
        first = spent(model, "1", Path(fresh))
    return {
        "load_ms": {c: 1e3 * off["load"][c] for c in clocks},
        "first_inference_ms": {c: 1e3 * off["inference"][c] for c in clocks},
        "check_cached_ms": {c: 1e3 * cached["check"][c] for c in clocks},
        "check_first_ms": {c: 1e3 * first["check"][c] for c in clocks},
        "check_cached_over_load": {c: cached["check"][c] / cached["load"][c] for c in clocks},
        "check_first_beyond_one_inference_ms": {
            c: 1e3 * (first["check"][c] - off["inference"][c]) for c in clocks
        },
    }


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    model = str(find_model(None))
    with tempfile.TemporaryDirectory() as folder:
        measured_round(model, Path(folder))  # fills the file cache, and notes the check
        rounds = [measured_round(model, Path(folder)) for _ in range(options.rounds)]

    medians = {
        figure: {c: round(statistics.median(row[figure][c] for row in rounds), 4) for c in CLOCKS}
        for figure in rounds[0]
    }
    content = {
        "benchmark": "golden_check", "model": "depthrt-s", "rounds": options.rounds, **medians
    }  # fmt: skip
    print(json.dumps(content, indent=1))  # noqa: T201
    if options.output:
        write_result(options.output, content)


if __name__ == "__main__":
    main()
