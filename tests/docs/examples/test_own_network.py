"""The example of an own network, from its class to int8."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import depthrt
from helpers.commands import Outcome

RunExample = Callable[..., Outcome]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_class_becomes_a_proven_int8_file_that_runs(
    run_example: RunExample, tmp_path: Path
) -> None:
    ended = run_example("own_network_to_int8.py", tmp_path, timeout_s=500)
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    models = [depthrt.DepthModel.load(tmp_path / f"own_{p}.onnx") for p in ("float", "int8")]
    assert [model.spec.precision for model in models] == ["float32", "int8"]
    assert all((m.spec.input.height, m.spec.input.width) == (96, 128) for m in models)
    image = next(depthrt.open_source("demo").frames()).image
    exact, coded = (model(image).values for model in models)
    spread = float(np.ptp(exact))
    assert np.abs(exact - coded).mean() < 0.02 * spread
    assert (exact != coded).any()
    # It has learnt from the built-in model, on this very clip.
    teacher = depthrt.DepthModel.load()(image).at_image_size()
    assert np.corrcoef(teacher.ravel(), models[1](image).at_image_size().ravel())[0, 1] > 0.8
    low, high = float(coded.min()), float(coded.max())
    said = re.search(r"int8: \(96, 128\), (\S+) to (\S+)\n", ended.out)
    assert said is not None, ended.out
    assert [float(said[1]), float(said[2])] == pytest.approx([low, high], abs=0.01 * spread)
