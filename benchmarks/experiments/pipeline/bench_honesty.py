"""Is `depthrt bench compare` honest on this machine?

A small network compared with itself again and again, and with one of a layer more, that is real
extra work of about 10%; all with the command's default rules. False alarms are self-comparisons
called faster or slower by more than the margin; found is a slow-down called slower.

    python -m experiments.pipeline.bench_honesty -o benchmarks/results/compare_honesty.json

Every comparison is kept at once beside the output, in ``NAME.progress.json``, so that ``--minutes``
can cut the work into pieces: the same command goes on where it stopped, and writes the result when
all are done.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from depthrt.errors import UsageError
from depthrt.files.atomic_write import write_text
from depthrt.files.json_file import read_object
from depthrt.spec import METADATA_KEY, InputSpec, ModelSpec
from depthrt_benchmarks.bench.compare.comparison import Setting, Side
from depthrt_benchmarks.bench.compare.interleaved import run_interleaved
from depthrt_benchmarks.bench.compare.pairs import Rules
from depthrt_benchmarks.common.environment import write_result

SIZE = (96, 128)
_EXPERIMENT = "compare_honesty"
_WIDTH = 16
_SLOWER = 1.10
_LAYERS_TRIED = (3, 18)
_CALIBRATION = Rules(alpha=1e-9, margin=0.0, limit_s=6.0)  # never sure: takes the whole time


def write_network(path: Path, layers: int) -> Path:
    """A small network of so many 3x3 convolutions of 16 channels, at half its size."""
    generator = np.random.default_rng(0)
    nodes = [helper.make_node("Cast", ["image"], ["x0"], to=TensorProto.FLOAT)]
    weights = [numpy_helper.from_array(np.array([1], np.int64), "axes")]
    widths = [3, *[_WIDTH] * layers, 1]
    for n, (i, o) in enumerate(pairwise(widths)):
        values = generator.normal(0, (2 / (9 * i)) ** 0.5, (o, i, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{n}"))
        strides = [2, 2] if n == 0 else [1, 1]
        given = [f"x{n}", f"w{n}"]
        nodes.append(helper.make_node("Conv", given, [f"c{n}"], pads=[1] * 4, strides=strides))
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"x{n + 1}"]))
    nodes.append(helper.make_node("Squeeze", [f"x{len(widths) - 1}", "axes"], ["depth"]))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, *SIZE])
    h, w = SIZE[0] // 2, SIZE[1] // 2
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["batch", h, w])
    graph = helper.make_graph(nodes, "small", [image], [depth], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    spec = ModelSpec("small", "inverse_depth", InputSpec(*SIZE))
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, path)
    return path


def measured(base: Path, head: Path, rules: Rules) -> dict[str, Any]:
    """One comparison in short."""
    result = run_interleaved(Side("base", base), Side("head", head), Setting(), rules)
    found = result.pairs.interval
    beyond = rules.beyond_margin(found)
    return {
        "verdict": result.verdict if beyond else "cannot tell",
        "ratio": round(found.ratio, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "seconds": round(result.pairs.seconds, 2),
        "looks": result.pairs.looks,
        "fails_gate_1.05": any(i.low > 1.05 for i in result.pairs.intervals.values()),
    }


def calibrate(folder: Path) -> dict[str, Any]:
    """Of how many layers a network is that takes 10% longer with one layer more, by bisection."""
    tried: dict[int, dict[str, Any]] = {}
    low, high = _LAYERS_TRIED
    while low <= high:
        layers = (low + high) // 2
        base, head = both(folder, layers)
        tried[layers] = measured(base, head, _CALIBRATION)
        low, high = (layers + 1, high) if tried[layers]["ratio"] > _SLOWER else (low, layers - 1)
    layers = min(tried, key=lambda n: abs(tried[n]["ratio"] - _SLOWER))
    return {"layers": layers, "ratio": tried[layers]["ratio"],
            "tried": {n: row["ratio"] for n, row in tried.items()}}  # fmt: skip


def both(folder: Path, layers: int) -> tuple[Path, Path]:
    """The network and the one with a layer more."""
    base = write_network(folder / "base.onnx", layers)
    return base, write_network(folder / "head.onnx", layers + 1)


def progress_of(place: Path) -> dict[str, Any]:
    """What an earlier call has measured; nothing where there is no file.

    Raises:
        UsageError: the file is something else.
    """
    if not os.path.lexists(place):
        return {}
    content = read_object(place, UsageError).content
    if content.get("experiment") != _EXPERIMENT:
        raise UsageError(f"{place} is something else than the progress of this experiment")
    return dict(content)


def keep(place: Path, done: dict[str, Any]) -> None:
    """Write what is measured so far."""
    write_text(place, json.dumps({**done, "experiment": _EXPERIMENT}), overwrite=True)


def go_on(place: Path, same: int, slower: int, minutes: float) -> dict[str, Any]:
    """Do what is not done yet, for so long."""
    begin_s = time.monotonic()
    done = progress_of(place)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done.setdefault("same", [])
        done.setdefault("slower", [])
        if "calibration" not in done:
            done["calibration"] = calibrate(folder)
            keep(place, done)
        base, head = both(folder, done["calibration"]["layers"])
        while len(done["same"]) < same or len(done["slower"]) < slower:
            if time.monotonic() - begin_s > 60 * minutes:
                break
            # One slow-down after every few self-comparisons, so that both meet the same hours.
            kind = "slower" if len(done["slower"]) * same <= len(done["same"]) * slower else "same"
            if len(done[kind]) >= (same if kind == "same" else slower):
                kind = "same" if kind == "slower" else "slower"
            done[kind].append(measured(base, head if kind == "slower" else base, Rules()))
            keep(place, done)
    return done


def summary(done: dict[str, Any]) -> dict[str, Any]:
    """The figures."""
    same, slower = done["same"], done["slower"]
    return {
        "benchmark": "compare_honesty",
        "rules": asdict(Rules()),
        "calibration": done["calibration"],
        "self_comparisons": len(same),
        "false_alarms": sum(row["verdict"] != "cannot tell" for row in same),
        "self_outside_gate_1.05": sum(row["fails_gate_1.05"] for row in same),
        "slow_downs": len(slower),
        "found": sum(row["verdict"] == "slower" for row in slower),
        "slow_downs_beyond_gate_1.05": sum(row["fails_gate_1.05"] for row in slower),
        "median_seconds": {
            "same": statistics.median(row["seconds"] for row in same),
            "slower": statistics.median(row["seconds"] for row in slower),
        },
        "median_ratio": {
            "same": statistics.median(row["ratio"] for row in same),
            "slower": statistics.median(row["ratio"] for row in slower),
        },
        "same": same,
        "slower": slower,
    }


def main() -> None:
    """Go on with the experiment; write the result when it is complete."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--same", type=int, default=200)
    parser.add_argument("--slower", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    place = options.output.with_suffix(".progress.json")
    done = go_on(place, options.same, options.slower, options.minutes)
    counts = f"{len(done['same'])} of {options.same} same, {len(done['slower'])} slower"
    print(counts, file=sys.stderr)  # noqa: T201
    if len(done["same"]) >= options.same and len(done["slower"]) >= options.slower:
        content = summary(done)
        write_result(options.output, content)
        place.unlink()
        figures = {k: v for k, v in content.items() if k not in ("same", "slower")}
        print(json.dumps(figures, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
