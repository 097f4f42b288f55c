"""Error and time of files beside one float32 file, through one of onnxruntime's providers.

Runs in an environment of its own too, where that has another onnxruntime wheel:

    python -m experiments.quantisation.timing openvino PLAIN.onnx FRAMES.npz 3 FILE.onnx ...

FRAMES.npz holds ``validation``, uint8 N,3,H,W. Prints JSON, by name of file and session: error
(mean |difference| over the float depth's 2-98 percentile spread), and time over PLAIN on the CPU
provider with as many threads, median of pairs of runs taken in turn.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import DepthrtError
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session

if TYPE_CHECKING:
    import onnxruntime as ort

_WARM_UP = 3
_FEWEST = 9


def measure(
    plain: Path,
    files: Sequence[Path],
    frames: NDArray[np.uint8],
    seconds: float,
    options: Sequence[SessionOptions],
) -> dict[str, Any]:
    """Every file by every way to run it."""
    result: dict[str, Any] = {}
    for way in options:
        beside = open_session(plain, SessionOptions("cpu", way.threads, spinning=True))
        references = [_depth(beside, f) for f in frames]
        for path in files:
            name = f"{path.stem}, {replace(way, spinning=False).line()}"
            try:
                session = open_session(path, way)
                errors = [
                    float(np.abs(_depth(session, f) - r).mean() / np.ptp(np.percentile(r, (2, 98))))
                    for f, r in zip(frames, references, strict=True)
                ]
            except DepthrtError as error:
                result[name] = {"failed": str(error).splitlines()[0]}
                continue
            ratios = _ratios(session, beside, frames[0], seconds)
            result[name] = {
                "ratio": round(float(np.median(ratios)), 4),
                "quartiles": [round(float(q), 4) for q in np.percentile(ratios, (25, 75))],
                "error": float(f"{np.mean(errors):.4g}"),
                "worst": float(f"{np.max(errors):.4g}"),
            }
    return result


def _depth(session: ort.InferenceSession, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(session.run(["depth"], {"image": frame[None]})[0][0], np.float64)


def _ratios(
    session: ort.InferenceSession,
    beside: ort.InferenceSession,
    frame: NDArray[np.uint8],
    seconds: float,
) -> list[float]:
    ratios: list[float] = []
    end_s = time.perf_counter() + seconds
    while len(ratios) < _WARM_UP + _FEWEST or time.perf_counter() < end_s:
        times_s = [0.0, 0.0]
        for i in (0, 1) if len(ratios) % 2 else (1, 0):
            start_s = time.perf_counter()
            (session, beside)[i].run(["depth"], {"image": frame[None]})
            times_s[i] = time.perf_counter() - start_s
        ratios.append(times_s[0] / times_s[1])
    return ratios[_WARM_UP:]


def main() -> None:
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    provider, plain, frames, seconds, *files = sys.argv[1:]
    found = measure(
        Path(plain),
        [Path(f) for f in files],
        np.load(frames)["validation"],
        float(seconds),
        [SessionOptions(provider), SessionOptions(provider, precision="bf16")],
    )
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
