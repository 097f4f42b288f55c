"""How long one inference takes with nothing beside it, by threads: what a camera and Python meet.

Sessions of each model run in turn, some inferences each, with pauses as between a camera's frames.
Times are over those of one thread in the same round.

    python -m experiments.pipeline.threads_of_one_frame depthrt-s meter.onnx
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt import DepthModel
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.bench.measure.frames import network_feed
from depthrt_benchmarks.common.environment import write_result

RESULT = Path("benchmarks/results/threads_of_one_frame.json")
_ROUNDS, _INFERENCES = 30, 12
_PAUSES_S = (0.003, 0.030)


def sessions(model: str) -> dict[str, DepthModel]:
    """The model with one thread, with all, and with all of them spinning."""
    cores = usable_cores()
    ways = {"1 thread": (1, False), "all threads": (cores, False), "spinning": (cores, True)}
    return {
        name: DepthModel.load(model, provider="cpu", threads=threads, spinning=spinning)
        for name, (threads, spinning) in ways.items()
    }


def measure(model: str) -> dict[str, Any]:
    """Median milliseconds of each session by pause, and its time over one thread's."""
    ways = sessions(model)
    first = next(iter(ways.values()))
    pixels = network_feed(first, 1, None)
    found: dict[str, Any] = {}
    for pause_s in _PAUSES_S:
        rounds = [
            {name: _median_ms(way, pixels, pause_s) for name, way in ways.items()}
            for _ in range(_ROUNDS)
        ]
        found[f"{1e3 * pause_s:.0f} ms between"] = {name: _row(rounds, name) for name in ways}
    return found


def _row(rounds: list[dict[str, float]], name: str) -> dict[str, Any]:
    ratios = [row[name] / row["1 thread"] for row in rounds]
    low, high = np.percentile(ratios, (25, 75))
    return {
        "latency_ms": round(statistics.median(row[name] for row in rounds), 3),
        "over_one_thread": round(statistics.median(ratios), 4),
        "quartiles": [round(float(low), 4), round(float(high), 4)],
    }


def _median_ms(model: DepthModel, pixels: NDArray[np.uint8], pause_s: float) -> float:
    times_s = []
    for _ in range(_INFERENCES):
        time.sleep(pause_s)
        begin_s = time.perf_counter()
        model.infer(pixels)
        times_s.append(time.perf_counter() - begin_s)
    return 1e3 * statistics.median(times_s)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", nargs="+", help="depthrt files or names")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    options = parser.parse_args()
    found = {Path(model).stem: measure(model) for model in options.models}
    write_result(options.output, {"cores": usable_cores(), "rounds": _ROUNDS, "models": found})
    for name, pauses in found.items():
        for pause, rows in pauses.items():
            print(name, pause, rows)  # noqa: T201


if __name__ == "__main__":
    main()
