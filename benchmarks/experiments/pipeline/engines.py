"""What does keeping OpenVINO's compiled graphs gain at the next load?

Each load runs in a fresh process, the kinds in turn, round by round; medians of their ratios. Two
ways to OpenVINO: through onnxruntime's provider, as depthrt runs it (needs onnxruntime-openvino),
and OpenVINO by itself (needs the package openvino, in an environment of its own, whose Python
``--openvino-python`` names), which brings the library that reads compiled graphs back.

    python -m experiments.pipeline.engines NAME=MODEL.onnx ... -o benchmarks/results/engines.json
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from depthrt_benchmarks.common.environment import write_result

THROUGH_ONNXRUNTIME = """
import sys, time, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
start = time.perf_counter()
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=[
    ("OpenVINOExecutionProvider", dict(device_type="CPU", **{extra}))])
took = time.perf_counter() - start
assert session.get_providers()[0] == "OpenVINOExecutionProvider"
print(took)
"""
BY_ITSELF = """
import sys, time, openvino
core = openvino.Core()
core.set_property({extra})
start = time.perf_counter()
core.compile_model(sys.argv[1], "CPU")
print(time.perf_counter() - start)
"""


def seconds(python: str, code: str, model: Path) -> float:
    """Seconds that a fresh process takes to load a model."""
    command = [python, "-c", code, str(model)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def measure(python: str, code: str, key: str, model: Path, rounds: int) -> dict[str, Any]:
    """Times of loads without a cache, of the first with one and of the second."""
    without = code.format(extra="{}")
    seconds(python, without, model)  # fills the file cache
    rows = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="depthrt-") as folder:
            cached = code.format(extra=repr({key: folder}))
            loads = [without, cached, cached]
            names = ("without", "first", "second")
            row = {n: seconds(python, c, model) for n, c in zip(names, loads, strict=True)}
            kept = sum(file.stat().st_size for file in Path(folder).rglob("*"))
        rows.append({**row, "kept_mb": kept / 1e6})

    def ratio(a: str, b: str) -> float:
        return round(statistics.median(row[a] / row[b] for row in rows), 3)

    return {
        "median_s": {k: round(statistics.median(r[k] for r in rows), 3) for k in names},
        "kept_mb": round(rows[-1]["kept_mb"], 1),
        "first_over_without": ratio("first", "without"),
        "second_over_first": ratio("second", "first"),
    }


def _openvino_version(python: str) -> str:
    command = [python, "-c", "import openvino; print(openvino.__version__)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", metavar="NAME=MODEL.onnx")
    parser.add_argument("--openvino-python", help="Python of an environment with openvino")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    models = {name: Path(path) for name, _, path in (str(m).partition("=") for m in options.models)}
    found: dict[str, Any] = {}
    for name, model in models.items():
        rows = {
            "through onnxruntime": measure(
                sys.executable, THROUGH_ONNXRUNTIME, "cache_dir", model, options.rounds
            )
        }
        if options.openvino_python:
            python = options.openvino_python
            rows["by itself"] = measure(python, BY_ITSELF, "CACHE_DIR", model, options.rounds)
        found[name] = rows
        print(name, rows)  # noqa: T201
    content: dict[str, Any] = {"benchmark": "engines", "rounds": options.rounds, "models": found}
    if options.openvino_python:
        content["openvino"] = _openvino_version(options.openvino_python)
    if options.output:
        write_result(options.output, content)


if __name__ == "__main__":
    main()
