"""OpenVINO by itself on a float32 ONNX file: float32, bfloat16 and NNCF's int8.

Runs in an environment of its own (openvino, nncf, onnxruntime, numpy; no depthrt), because NNCF
wants other versions than depthrt:

    python openvino_alone.py MODEL.onnx FRAMES.npz SECONDS [--transformer] [FILE.onnx ...]

FRAMES.npz holds ``calibration`` and ``validation``, uint8 N,3,H,W. Prints JSON: time over
onnxruntime float32 on the CPU (median of rounds, all taken in turn) and error (mean |difference|
over the float depth's 2-98 percentile spread) of each. FILEs of depthrt are run beside the same
float32, through onnxruntime's CPU provider and OpenVINO's, there in float32 and in bfloat16, as
`depthrt tune` tries them: so both sides have one reference.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    import nncf
    import onnxruntime as ort
    import openvino as ov

    path, frames, seconds = sys.argv[1], np.load(sys.argv[2]), float(sys.argv[3])
    options = ort.SessionOptions()  # threads spin during a run, not on while OpenVINO has the cores
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    core = ov.Core()
    model = core.read_model(path)
    dataset = nncf.Dataset([f[None] for f in frames["calibration"]])
    kind = nncf.ModelType.TRANSFORMER if "--transformer" in sys.argv else None
    quantised = nncf.quantize(
        model, dataset, model_type=kind, subset_size=len(frames["calibration"])
    )
    compiled = {
        "float32": core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}),
        "bfloat16": core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"}),
        "nncf int8": core.compile_model(quantised, "CPU", {}),
    }

    def reference(x: Any) -> Any:
        return session.run(None, {"image": x})[0]

    references = [reference(f[None])[0] for f in frames["validation"]]
    alone = {name: _infer(network) for name, network in compiled.items()}
    files = [a for a in sys.argv[4:] if not a.startswith("--")]
    ours = {}
    for file in files:
        ours[f"{Path(file).stem}, cpu"] = _run(file)
        if "OpenVINOExecutionProvider" in ort.get_available_providers():
            ours[f"{Path(file).stem}, openvino"] = _run(file, "f32")
            ours[f"{Path(file).stem}, openvino, bf16"] = _run(file, "bf16")
    ways = {**alone, **ours}
    ratios = _ratios(ways, reference, frames["validation"][0][None], seconds)
    found = {
        name: {"ratio": ratios[name], "error": _error(run, frames["validation"], references)}
        for name, run in ways.items()
    }
    result: dict[str, Any] = {"onnxruntime": ort.__version__, "openvino": ov.__version__}
    for side, names in (("alone", alone), ("ours", ours)):
        result[side] = {name: found[name] for name in names}
    sys.stdout.write("\n" + json.dumps(result))


def _infer(network: Any) -> Callable[[Any], Any]:
    request = network.create_infer_request()
    return lambda x: request.infer({0: x})[0]


def _run(path: str, precision: str = "") -> Callable[[Any], Any]:
    """Through OpenVINO's provider where a precision is said."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.add_session_config_entry("session.force_spinning_stop", "1")
    providers: list[Any] = ["CPUExecutionProvider"]
    if precision:  # as depthrt has it: it computes in threads of its own
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        hint = json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": precision}})
        providers = [("OpenVINOExecutionProvider", {"device_type": "CPU", "load_config": hint})]
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=providers)
    return lambda x: session.run(None, {"image": x})[0]


def _error(run: Callable[[Any], Any], validation: Any, references: list[Any]) -> float:
    errors = [
        np.abs(run(f[None])[0] - r).mean() / np.ptp(np.percentile(r, (2, 98)))
        for f, r in zip(validation, references, strict=True)
    ]
    return float(np.mean(errors))


def _ratios(
    ways: dict[str, Callable[[Any], Any]], reference: Callable[[Any], Any], x: Any, seconds: float
) -> dict[str, float]:
    """All ways and the reference in turn, `seconds` a way: what slows one slows the others."""
    rounds: list[list[float]] = []
    end_s = time.perf_counter() + seconds * len(ways)
    while len(rounds) < 9 or time.perf_counter() < end_s:
        times = []
        for run in (reference, *ways.values()):
            start_s = time.perf_counter()
            run(x)
            times.append(time.perf_counter() - start_s)
        rounds.append([t / times[0] for t in times[1:]])
    medians = np.median(rounds[2:], axis=0)
    return {name: float(ratio) for name, ratio in zip(ways, medians, strict=True)}


if __name__ == "__main__":
    main()
