"""One engine in a process of its own, told over standard input what to do, a JSON line each.

It is run by path with the Python of any environment (another depthrt, OpenVINO, LiteRT, ...), so it
imports nothing but the standard library, numpy and the one engine that it is asked for:

    {"do": "open", "engine": "depthrt", "model": "a.onnx", ...}  ->  {"ok": {"load_ms": 12.3, ...}}
    {"do": "run", "runs": 5}                                     ->  {"ok": {"ms": [2.1, ...]}}
    {"do": "depth", "frames": "in.npy", "to": "out.npy"}         ->  {"ok": {}}

``feed`` names a .npy file of uint8 N,3,h,w; what fails is answered as {"error": "sentence"}.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

_RUNS_WITH = ("onnxruntime", "numpy", "cv2")  # what depthrt's speed depends on beside itself


def open_depthrt(order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """depthrt as it is installed here: the network alone, or a frame from picture to depth."""
    import depthrt
    from depthrt import DepthModel

    model = DepthModel.load(order["model"], provider=order["provider"], threads=order["threads"])
    facts = {
        "bound": model.provider,
        "versions": versions("depthrt", "onnxruntime"),
        "file": str(Path(depthrt.__file__).resolve()),
        "code": code_hash(Path(depthrt.__file__).parent),
        "runs_with": [sys.version, *(import_module(m).__version__ for m in _RUNS_WITH)],
    }
    if order["what"] == "frame":

        def frame(pixels: Any) -> Any:
            return model(np.ascontiguousarray(pixels[0].transpose(1, 2, 0))).values[None]

        return frame, facts
    return model.infer, facts


def code_hash(folder: Path) -> str:
    """The hash of a package's Python files and their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode(errors="replace"))
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def versions(*names: str) -> dict[str, str]:
    """Versions of installed distributions; onnxruntime by its module, whatever wheel brought it."""
    found = {"python": sys.version.split()[0]}
    for name in names:
        found[name] = import_module(name).__version__ if name == "onnxruntime" else version(name)
    return found


def opener(engine: str) -> Any:
    """The function that opens an engine: depthrt's own, or ``open_engine`` of a Python file."""
    if engine == "depthrt":
        return open_depthrt
    file = Path(engine)
    sys.path.insert(0, str(file.parent))
    return import_module(file.stem).open_engine


def answer(order: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Do what one line says."""
    if order["do"] == "open":
        state.clear()  # the last one is gone before the next one comes
        start_s = time.perf_counter()
        run, facts = opener(order["engine"])(order)
        load_ms = 1e3 * (time.perf_counter() - start_s)
        state.update(run=run, feed=np.load(order["feed"]))
        return {"load_ms": load_ms, **facts}
    if order["do"] == "run":
        taken_ms = []
        for _ in range(order["runs"]):
            start_s = time.perf_counter()
            state["run"](state["feed"])
            taken_ms.append(1e3 * (time.perf_counter() - start_s))
        return {"ms": taken_ms}
    frames = np.load(order["frames"])
    depths = [np.asarray(state["run"](frame[None]), np.float32) for frame in frames]
    np.save(order["to"], np.concatenate(depths))
    return {}


def main() -> None:
    """Answer line by line until standard input ends."""
    here = str(Path(__file__).parent)  # its modules would hide the standard library's `profile`
    sys.path[:] = [folder for folder in sys.path if folder != here]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    state: dict[str, Any] = {}
    for line in sys.stdin:
        try:
            said: dict[str, Any] = {"ok": answer(json.loads(line), state)}
        except Exception as error:  # whatever an engine raises is its answer
            text = " ".join(str(error).split()) or type(error).__name__
            said = {"error": f"{type(error).__name__}: {text}"[:500]}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
