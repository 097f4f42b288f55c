"""What `--precision auto` gives on networks of many kinds, beside float32 and beside OpenVINO.

For each network: float32 as exported without rewrites, every recipe by itself, and the pick; time
over the plain float32 export, taken in turn, and error on frames that calibration never saw.

    python -m depthrt_benchmarks.quantisation --frames photos/ -o result.json

``--openvino-python`` names the Python of an environment with openvino and nncf.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from depthrt_benchmarks import openvino_alone
from depthrt_benchmarks.depth_families import DEPTH_ANYTHING_V2_SMALL, save
from depthrt_benchmarks.environment import write_result
from depthrt_export.build import Report, build
from depthrt_export.chosen_frames import chosen_frames
from depthrt_export.explain import explain
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.paired import paired
from depthrt_export.phases import Phases

RESULT = Path("benchmarks/results/quantisation.json")
_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_BY_116 = SourceOptions(
    kind="inverse_depth", size=(256, 256), mean=(116.0,) * 3, std=(58.0,) * 3, scale=1.0
)
_NETWORKS = _HERE / "quantisation_networks.py"


@dataclass(frozen=True)
class Case:
    """A network: where from, what is said of it, whether it is a transformer."""

    source: Callable[[Path], str]
    said: SourceOptions
    transformer: bool = False


def _depth_anything(work: Path) -> str:
    from transformers import DepthAnythingForDepthEstimation

    from depthrt_benchmarks.quantisation_networks import add_outliers

    folder = save(DEPTH_ANYTHING_V2_SMALL, work / "depth-anything-v2-small")
    model: Any = DepthAnythingForDepthEstimation.from_pretrained(folder)
    add_outliers(model)
    model.save_pretrained(folder)
    return str(folder)


def _own(name: str) -> Case:
    return Case(lambda _: f"{_NETWORKS}:{name}", _BY_116)


def cases(data: Path | None) -> dict[str, Case]:
    """All networks; those whose weights are not here are left out."""
    weights = _ROOT / "training/weights/depthrt-s.safetensors"
    found = {
        "depthrt-s": Case(
            lambda _: f"{_ROOT / 'training/network.py'}:depthrt_s",
            replace(_BY_116, size=(192, 320), checkpoint=weights),
        ),
        "midas-like": _own("midas_like"),
        "unet-relu6": _own("unet_relu6"),
        "unet-hardswish-se": _own("unet_hard_swish"),
        "depth-anything-v2-s-252": Case(_depth_anything, SourceOptions(size=(252, 252)), True),
        "depth-anything-v2-s-518": Case(_depth_anything, SourceOptions(size=(518, 518)), True),
    }
    checkpoint = (data or _ROOT) / "models/tcmonodepth_small/checkpoint.pt.tar"
    if checkpoint.is_file():
        found["tcmonodepth-small"] = Case(
            lambda _: f"{_ROOT / 'tests/networks/tcmonodepth_small.py'}:tcmonodepth_small",
            SourceOptions(checkpoint=checkpoint),
        )
    return found


def measure(case: Case, options: ExportOptions, openvino: str | None, work: Path) -> dict[str, Any]:
    """One row."""
    source = case.source(work)
    plain, auto = work / "plain.onnx", work / "auto.onnx"
    float32 = replace(options, precision="float32", rewrite=False, overwrite=True)
    quiet = Phases(quiet=True)
    build(source, plain, case.said, float32, quiet)
    report = build(source, auto, case.said, replace(options, precision="auto"), Phases(quiet=True))
    calibration, validation = chosen_frames(replace(options, precision="auto"), report.spec.input)
    timed = paired(auto, plain, validation[0].pixels, options.budget_s / 40)
    row = {**_search_facts(report), "auto_over_plain_float32": timed.ratio,
           "quartiles": [timed.low, timed.high]}  # fmt: skip
    if openvino is not None:
        frames = work / "frames.npz"
        np.savez(
            frames,
            calibration=np.stack([s.pixels for s in calibration]),
            validation=np.stack([s.pixels for s in validation]),
        )
        row["openvino_alone"] = _openvino(openvino, plain, frames, case.transformer)
    auto.unlink()
    return row


def _search_facts(report: Report) -> dict[str, Any]:
    found = report.found
    if found is None:
        return {}
    picked = found.picked
    return {
        "picked": "float32" if picked is None else picked.name,
        "error": 0.0 if picked is None else picked.error,
        "worst": 0.0 if picked is None else picked.worst,
        "auto_over_float32": 1.0 if picked is None else picked.ratio,
        "validation_frames": found.frames,
        "explained": list(explain(found)),
        "candidates": [c.to_dict() for c in found.candidates],
        "search_s": report.times_s.get("search"),
    }


def _openvino(python: str, model: Path, frames: Path, transformer: bool) -> dict[str, Any]:
    command = [python, str(openvino_alone.__file__), str(model), str(frames), "3"]
    command += ["--transformer"] if transformer else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no reason given"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout[done.stdout.rindex('{"float32"') :])
    return result


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| network | picked | time over plain float32 | error | OpenVINO alone |",
             "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, row in rows.items():
        alone = ", ".join(
            f"{k} {v['ratio']:.2f} ({v['error']:.3f})" if isinstance(v, dict) else v
            for k, v in row.get("openvino_alone", {}).items()
        )
        lines.append(
            f"| {name} | {row['picked']} | {row['auto_over_plain_float32']:.2f} "
            f"| {row['error']:.3f} | {alone} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", help="real frames; depthrt's clip if not said")
    parser.add_argument("--data", type=Path, help="folder with models/tcmonodepth_small")
    parser.add_argument("--network", action="append", help="only these")
    parser.add_argument("--max-drop", type=float, default=0.05)
    parser.add_argument("--budget", type=float, default=300.0, help="seconds a network")
    parser.add_argument("--openvino-python")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    options = ExportOptions(
        frames=arguments.frames, max_drop=arguments.max_drop, budget_s=arguments.budget
    )
    rows: dict[str, dict[str, Any]] = {}
    if arguments.network and arguments.output.is_file():
        rows = json.loads(arguments.output.read_text())["networks"]
    for name, case in cases(arguments.data).items():
        if arguments.network and name not in arguments.network:
            continue
        with tempfile.TemporaryDirectory() as work:
            rows[name] = measure(case, options, arguments.openvino_python, Path(work))
        print(table({name: rows[name]}).splitlines()[-1], file=sys.stderr, flush=True)  # noqa: T201
        write_result(arguments.output, {"max_drop": arguments.max_drop, "networks": rows})
    print(table(rows))  # noqa: T201


if __name__ == "__main__":
    main()
