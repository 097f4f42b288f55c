"""The built-in model on an NVIDIA GPU: `pytest -m gpu`, with the extra `gpu`."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import pytest

from depthrt import DepthModel, open_source
from depthrt_calibration.fidelity import fidelity

pytestmark = pytest.mark.gpu

CUDA = "CUDAExecutionProvider"
MEAN_TOLERANCE = 0.01
MAX_TOLERANCE = 0.1
"""Shares of the depth's spread. The CPU fuses int8 chains, CUDA computes each step in float, so
that single values fall on the next of 256 levels: on the CPU, unfused, 0.003 and 0.04."""


def cuda_failure(model_path: Path) -> str:
    """Why onnxruntime, asked past depthrt, does not compute on CUDA here; empty where it does."""
    if CUDA not in ort.get_available_providers():
        return "this onnxruntime has no CUDA provider: install the gpu extra"
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(model_path), options, providers=[CUDA])
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
        return f"onnxruntime fails on CUDA here: {error}"
    bound = session.get_providers()[0]
    return "" if bound == CUDA else f"onnxruntime bound {bound}: no GPU, or CUDA or cuDNN missing"


@pytest.fixture
def cuda(model_path: Path) -> DepthModel:
    """The built-in model on the GPU; skips where onnxruntime itself cannot use one."""
    if failure := cuda_failure(model_path):
        pytest.skip(failure)
    return DepthModel.load(provider="cuda")


def test_the_gpu_sees_what_the_cpu_sees(cuda: DepthModel) -> None:
    assert cuda.provider == "cuda"
    cpu = DepthModel.load(provider="cpu")
    images = [frame.image for frame in open_source("demo").frames()][::12]
    assert len(images) > 3
    for image in images:
        found = fidelity(cpu(image).values, cuda(image).values)
        assert found.mean_error < MEAN_TOLERANCE
        assert found.max_error < MAX_TOLERANCE
