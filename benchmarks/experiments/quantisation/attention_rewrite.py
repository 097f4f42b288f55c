"""How much faster the rewritten graph is than the plain export, and how exact.

Depth-Anything-V2-Small as published, with random weights (seeded: the time does not depend on
them), is exported by `depthrt export` with and without `--no-rewrite`. Both files run in turn in
onnxruntime on one frame, so that whatever else the machine does hits both alike; the ratio is that
of the medians.

    python -m experiments.quantisation.attention_rewrite --size 518 --frames photos/
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.common.environment import write_result
from experiments.quantisation.depth_families import DEPTH_ANYTHING_V2_SMALL, save
from experiments.quantisation.export_table import export

RESULT = Path("benchmarks/results/export_attention_rewrite.json")
_WARM_UP = 2


def photograph_like(size: int) -> NDArray[np.uint8]:
    """A smooth picture, uint8 1,3,size,size; the time does not depend on what it shows."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    waves = [np.sin(9 * rows + 4 * columns), np.cos(7 * columns), np.sin(5 * rows * columns)]
    return ((np.stack(waves)[None] + 1) * 127).astype(np.uint8)


def interleaved_ms(
    sessions: dict[str, ort.InferenceSession], image: NDArray[np.uint8], rounds: int
) -> dict[str, list[float]]:
    """Latencies of one frame in milliseconds, the sessions taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(_WARM_UP + rounds):
        for name, session in sessions.items():
            start_s = time.perf_counter()
            session.run(None, {"image": image})
            if number >= _WARM_UP:
                taken[name].append((time.perf_counter() - start_s) * 1e3)
    return taken


def max_relative_error(
    sessions: dict[str, ort.InferenceSession], image: NDArray[np.uint8]
) -> float:
    """The largest |rewritten - plain| as a share of the plain output's spread."""
    plain, rewritten = (
        np.asarray(sessions[name].run(None, {"image": image})[0]) for name in ("plain", "rewritten")
    )
    return float(np.abs(rewritten - plain).max() / np.ptp(plain))


def measure(size: int, rounds: int, threads: int | None, frames: list[str]) -> dict[str, Any]:
    """Export both files, run them in turn, and sum up."""
    with tempfile.TemporaryDirectory() as work:
        folder = save(DEPTH_ANYTHING_V2_SMALL, Path(work) / "depth-anything-v2-small")
        options = ["--size", f"{size}x{size}", *frames]
        paths = {name: Path(work) / f"{name}.onnx" for name in ("plain", "rewritten")}
        export(folder, paths["plain"], "--no-rewrite", *options)
        changes = export(folder, paths["rewritten"], *options)["notes"]
        sessions = {
            name: open_session(path, SessionOptions("cpu", threads, spinning=True))
            for name, path in paths.items()
        }
        image = photograph_like(size)
        error = max_relative_error(sessions, image)
        taken = interleaved_ms(sessions, image, rounds)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    ratios = [b / a for a, b in zip(taken["plain"], taken["rewritten"], strict=True)]
    return {
        "network": "Depth-Anything-V2-Small, random weights",
        "size": [size, size],
        "provider": "CPUExecutionProvider",
        "threads": threads or usable_cores(),
        "rounds": rounds,
        "changes": changes,
        "plain_median_ms": round(medians["plain"], 1),
        "rewritten_median_ms": round(medians["rewritten"], 1),
        "ratio_of_medians": round(medians["rewritten"] / medians["plain"], 3),
        "ratio_quartiles": [round(q, 3) for q in statistics.quantiles(ratios, n=4)],
        "ratio_of_fastest": round(min(taken["rewritten"]) / min(taken["plain"]), 3),
        "max_relative_error": error,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=518, help="sides of the input, multiples of 14")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, help="of one operator; all cores if not said")
    parser.add_argument("--frames", help="frames for the proof; depthrt's clip if not said")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    frames = ["--frames", arguments.frames] if arguments.frames else []
    result = measure(arguments.size, arguments.rounds, arguments.threads, frames)
    write_result(arguments.output, result)
    print(  # noqa: T201
        f"{result['plain_median_ms']} -> {result['rewritten_median_ms']} ms, "
        f"ratio {result['ratio_of_medians']}, error {result['max_relative_error']:.1e}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
