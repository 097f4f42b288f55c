"""The process of the shadow model: prepared pictures in, their depth out, at the lowest priority.

    python -m depthrt_serving.monitoring.shadow_worker MODEL

A line of JSON says what the model is, or why it cannot be had. Then, for each picture: its height
and width (two 32-bit integers, little-endian) and uint8 RGB 3,h,w come in; height and width of its
depth and float32 h,w go out, 0 and 0 where the network failed.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from dataclasses import asdict
from typing import IO, Any

import numpy as np

from depthrt.errors import EXIT_DONE, DepthrtError, InferenceError
from depthrt.model.depth_model import DepthModel
from depthrt.spec import ModelSpec

SIZE = struct.Struct("<II")
_NICENESS = 19


def main(file: str) -> int:
    """Answer until the input ends; gives the exit code."""
    _yield_to_all()
    out = sys.stdout.buffer
    try:
        model = DepthModel.load(file, provider="cpu", threads=1, parallel=1)
        model.warm_up()
    except DepthrtError as error:
        _say(out, error=str(error))
        return error.exit_code
    _say(out, **facts_of(model.spec))
    while head := sys.stdin.buffer.read(SIZE.size):
        height, width = SIZE.unpack(head)
        content = sys.stdin.buffer.read(3 * height * width)
        pixels = np.frombuffer(content, np.uint8).reshape(1, 3, height, width)
        try:
            depth = model.infer(pixels)[0]
        except InferenceError:
            out.write(SIZE.pack(0, 0))
        else:
            out.write(SIZE.pack(*depth.shape) + depth.tobytes())
        out.flush()
    return EXIT_DONE


def _yield_to_all() -> None:
    """Compute only when no other process wants the processor, where the system can do that."""
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def facts_of(spec: ModelSpec) -> dict[str, Any]:
    """What two models must have in common, so that their depth of one input can be compared."""
    text = json.dumps({"input": asdict(spec.input), "kind": spec.kind, "unit": spec.unit})
    found: dict[str, Any] = json.loads(text)
    return found


def _say(out: IO[bytes], **facts: Any) -> None:
    out.write(json.dumps(facts).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
