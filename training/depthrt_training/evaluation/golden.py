"""Put golden frames into a depthrt file that has none, or renew them, without exporting it again.

    python -m depthrt_training.evaluation.golden runtime/depthrt/data/*.onnx

The graph and the spec stay as they are. The pictures are frames of the demo clip.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx

from depthrt.model.depth_model import DepthModel
from depthrt_calibration.frames import sample_frames
from depthrt_export.model_file import put_in_place
from depthrt_export.proof.field_checks import make_golden

FRAMES = 16


def renew(path: Path) -> int:
    """Renew a file's golden frames; return the characters that they take."""
    spec = DepthModel.load(path, provider="cpu", verify=False).spec
    proof = spec.measured.get(spec.precision, spec.measured.get("proof", {}))
    error = float(proof["worst_mean_error"])
    golden = make_golden(path, spec, sample_frames(None, FRAMES, spec.input), error=error)
    put_in_place(onnx.load(path), spec, path, overwrite=True, golden=golden)
    return len(golden.to_json())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    for path in parser.parse_args().models:
        print(f"{path}: {renew(path)} characters of golden frames")


if __name__ == "__main__":
    main()
