"""NNCF's int8 of a float32 ONNX file: its depth, and its processor time beside onnxruntime's.

Runs in an environment of its own (openvino, nncf, onnxruntime, numpy; no depthrt):

    python nncf_depth.py MODEL.onnx FRAMES.npz DEPTH.npz SECONDS

FRAMES.npz holds ``calibration`` and ``validation``, uint8 N,3,H,W. DEPTH.npz gets the depth of the
latter, for each of NNCF's two presets. Prints JSON: one thread's time over float32's.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np


def main() -> None:
    import nncf
    import onnxruntime as ort
    import openvino as ov

    path, frames, depth, seconds = sys.argv[1], np.load(sys.argv[2]), sys.argv[3], sys.argv[4]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    core, maps, found = ov.Core(), {}, {}
    for name, kind in (("nncf int8", None), ("nncf int8, transformer", nncf.ModelType.TRANSFORMER)):
        dataset = nncf.Dataset([f[None] for f in frames["calibration"]])
        quantised = nncf.quantize(
            core.read_model(path), dataset, model_type=kind, subset_size=len(frames["calibration"])
        )
        compiled = core.compile_model(quantised, "CPU", {"INFERENCE_NUM_THREADS": 1})
        request = compiled.create_infer_request()
        maps[name] = np.stack([request.infer({0: f[None]})[0][0] for f in frames["validation"]])
        found[name] = _ratio(request, session, frames["validation"][0][None], float(seconds))
    np.savez(depth, **maps)
    sys.stdout.write("\n" + json.dumps(found))


def _ratio(request: Any, session: Any, image: Any, seconds: float) -> dict[str, float]:
    ratios: list[float] = []
    end_s = time.perf_counter() + seconds
    while len(ratios) < 12 or time.perf_counter() < end_s:
        marks = [time.process_time()]
        request.infer({0: image})
        marks.append(time.process_time())
        session.run(None, {"image": image})
        marks.append(time.process_time())
        ratios.append((marks[1] - marks[0]) / (marks[2] - marks[1]))
    return {"ratio": float(np.median(ratios[3:]))}


if __name__ == "__main__":
    main()
