"""METER, convolutions with attention among them: float32, int8 of every recipe, and NNCF's int8.

    python -m experiments.quantisation.hybrid nyu=PLAIN.onnx=rooms/ kitti=PLAIN.onnx=roads/
        --labelled replica_office0/ [--openvino-python PYTHON]

PLAIN.onnx is made by ``depthrt export --no-rewrite``. Each is timed on one thread beside PLAIN,
both in turn, by the processor time that they take, which other programs hardly change. Ranges are
collected on the frames, AbsRel is of the labelled set, which must be others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt_benchmarks.common.environment import write_result
from depthrt_calibration.frames import sample_frames
from depthrt_export.build.onnx_file.from_depthrt import open_float32, pixel_zero
from depthrt_export.graph.nodes import blocks
from depthrt_export.model_file import write_model
from depthrt_export.proof.evaluator import time_pairs
from depthrt_export.proof.labelled_frames import (
    absolute_relative_error,
    labelled_frames,
    open_labelled,
)
from depthrt_export.quantise.recipes import DynamicRecipe, Material, StaticRecipe, apply
from depthrt_export.quantise.targets import target
from depthrt_export.rewrites.rewrite import rewrite
from depthrt_export.search.block_costs import (
    block_times,
    int8_over_float,
    kernel_times,
    unpaid,
    without_shared,
)
from experiments.quantisation import nncf_depth

RESULT = Path("benchmarks/results/quantisation_hybrid.json")
_CALIBRATION, _LABELLED, _TIMING_S = 40, 81, 4.0
_ONE = SessionOptions("cpu", threads=1)

Image = NDArray[np.uint8]


def files(plain: Path, frames: str, folder: Path) -> tuple[dict[str, Path], dict[str, Any]]:
    """The rewritten float32 and int8 by every recipe, and what the kernels of each block cost."""
    model, spec = open_float32(plain)
    calibration = sample_frames(frames, _CALIBRATION, spec.input)
    fast, _ = rewrite(model)
    material = Material(fast, pixel_zero(model), calibration)
    made: dict[str, Path] = {}
    costs: dict[str, Any] = {}

    def put(name: str, graph: onnx.ModelProto) -> None:
        made[name] = folder / f"{len(made)}.onnx"
        write_model(graph, made[name])

    put("float32, rewritten", fast)
    host, groups = target("host"), blocks(fast.graph)
    for recipe in (*host.recipes(fast.graph), host.convolutional[0]):
        if not isinstance(recipe, (StaticRecipe, DynamicRecipe)):
            continue
        put(recipe.name, apply(recipe, material).model)
        if not recipe.chains:
            continue
        pair = (made["float32, rewritten"], made[recipe.name])
        times = without_shared(*kernel_times(pair, calibration[0].pixels))
        costs[recipe.name] = int8_over_float(
            *(block_times(fast.graph, groups, kernels) for kernels in times)
        )
        spared = [node for name in unpaid(costs[recipe.name]) for node in groups[name]]
        put(f"{recipe.name}, unpaid blocks float", apply(recipe, material, spared).model)
    return made, costs


def one_thread(path: Path, beside: Path, image: Image) -> dict[str, Any]:
    """Processor time over the other's, pairs run in turn."""
    sessions = [open_session(place, _ONE) for place in (path, beside)]

    def pair(number: int) -> tuple[float, float]:
        times = [0.0, 0.0]
        for i in (0, 1) if number % 2 else (1, 0):
            start_s = time.process_time()
            sessions[i].run(["depth"], {"image": image[None]})
            times[i] = time.process_time() - start_s
        return times[0], times[1]

    return asdict(time_pairs(pair, _TIMING_S))


def row(plain: Path, frames: str, said: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One network."""
    _, spec = open_float32(plain)
    made, costs = files(plain, frames, folder)
    labelled = labelled_frames(open_labelled(said.labelled), _LABELLED, spec.input)
    pixels = [frame.sample.pixels for frame in labelled]

    def abs_rel(depth: Callable[[int], NDArray[np.float32]]) -> float:
        errors = [
            absolute_relative_error(depth(i), frame, spec.kind, spec.unit)
            for i, frame in enumerate(labelled)
        ]
        return float(np.mean(errors))

    found: dict[str, Any] = {}
    for name, path in {"float32": plain, **made}.items():
        session = open_session(path, _ONE)
        error = abs_rel(lambda i, s=session: s.run(["depth"], {"image": pixels[i][None]})[0][0])  # type: ignore[misc]
        found[name] = {"abs_rel": error, "one_thread": one_thread(path, plain, pixels[0])}
    if said.openvino_python is not None:
        arrays = folder / "frames.npz"
        calibration = [s.pixels for s in sample_frames(frames, _CALIBRATION, spec.input)]
        np.savez(arrays, calibration=np.stack(calibration), validation=np.stack(pixels))
        document = nncf(said.openvino_python, plain, arrays, folder / "depth.npz")
        for name, maps in np.load(folder / "depth.npz").items():
            found[name] = {"abs_rel": abs_rel(maps.__getitem__), "one_thread": document[name]}
    for figures in found.values():
        figures["abs_rel_over_float32"] = figures["abs_rel"] / found["float32"]["abs_rel"]
    return {"size": [spec.input.height, spec.input.width], "ways": found, "int8_over_float": costs}


def nncf(python: str, plain: Path, frames: Path, depth: Path) -> Mapping[str, Any]:
    """Write NNCF's depth of the frames' ``validation``; return the time of each preset."""
    command = [
        python,
        str(nncf_depth.__file__),
        str(plain),
        str(frames),
        str(depth),
        str(_TIMING_S),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout[done.stdout.rindex('\n{"') + 1 :])
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="+", metavar="NAME=PLAIN.onnx=FRAMES")
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--openvino-python")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    said = parser.parse_args()
    rows = {}
    for network in said.networks:
        name, plain, frames = network.split("=")
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = row(Path(plain), frames, said, Path(folder))
    write_result(said.output, {"labelled": said.labelled.name, "networks": rows})


if __name__ == "__main__":
    main()
