"""A real trained network, brought as a user would, against its known ONNX conversion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from depthrt.model.depth_model import DepthModel
from depthrt_calibration.frames import sample_frames
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions

ARCHITECTURE = Path(__file__).parents[2] / "networks" / "tcmonodepth_small.py"


@pytest.mark.data
@pytest.mark.slow
def test_output_equals_the_known_conversion(data: Path, tmp_path: Path) -> None:
    folder = data / "models" / "tcmonodepth_small"
    frames = str(data / "images" / "n0144*.jpg")
    report = build(
        f"{ARCHITECTURE}:tcmonodepth_small",
        tmp_path / "tc.onnx",
        SourceOptions(checkpoint=folder / "checkpoint.pt.tar"),
        ExportOptions(frames=frames),
        Phases(quiet=True),
    )
    assert report.proof.figures["worst_max_error"] < 1e-4
    model = DepthModel.load(report.target, provider="cpu")
    theirs = ort.InferenceSession(
        str(folder / "model_192x320.onnx"), providers=["CPUExecutionProvider"]
    )
    for sample in sample_frames(str(data / "rgbd" / "tum_fr1_rpy" / "rgb"), 4, model.spec.input):
        pixels = sample.pixels[None]
        (expected,) = theirs.run(None, {theirs.get_inputs()[0].name: pixels.astype(np.float32)})
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(model.infer(pixels), expected[:, 0], atol=5e-5)
