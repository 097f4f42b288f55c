"""An inference that takes long can be aborted."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from depthrt import DepthModel
from depthrt.model.inference import Abort
from helpers.models.small_model import build_slow_model


def test_a_long_inference_is_aborted(tmp_path: Path) -> None:
    model = DepthModel.load(build_slow_model(tmp_path / "slow.onnx", work=100), provider="cpu")
    pixels = np.zeros((1, 3, *(model.spec.input.height, model.spec.input.width)), np.uint8)
    start_s = time.perf_counter()
    model.infer(pixels)
    whole_s = time.perf_counter() - start_s
    abort = Abort()
    threading.Timer(whole_s / 10, abort.now).start()
    with pytest.raises(Exception, match="terminate"):
        model.infer(pixels, abort)
    with pytest.raises(Exception, match="terminate"):
        model.infer(pixels, abort)
    assert len(model.infer(pixels)) == 1  # others are left alone
