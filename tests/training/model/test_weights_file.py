"""Weights files say which size they are for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("tomllib", reason="training is for Python 3.11 and later")


@pytest.mark.parametrize(
    ("said", "size"), [({"size": "64x96"}, (64, 96)), ({}, (224, 288))], ids=["said", "silent"]
)
def test_weights_are_judged_at_the_size_they_are_for(
    tmp_path: Path, said: dict[str, str], size: tuple[int, int]
) -> None:
    from depthrt_training.evaluation.evaluate import predictor_of
    from depthrt_training.model.network import depthrt_s
    from depthrt_training.model.weights_file import save_weights, size_of, size_text

    file = tmp_path / "weights.safetensors"
    save_weights(file, depthrt_s().state_dict(), said)
    assert size_of(file) == size
    assert size_text(size) == said.get("size", "224x288")
    assert predictor_of(file)(np.zeros((50, 70, 3), np.uint8)).shape == size


def test_the_released_weights_are_for_the_sizes_of_their_files() -> None:
    from depthrt.model.catalogue.registry import DATA
    from depthrt.model.depth_model import DepthModel
    from depthrt_training.model.weights_file import size_of
    from depthrt_training.recipe import WEIGHTS

    for name in ("depthrt-s", "depthrt-xs"):
        spec = DepthModel.load(DATA / f"{name}.onnx", provider="cpu").spec
        assert (spec.input.height, spec.input.width) == size_of(
            WEIGHTS.with_name(f"{name}.safetensors")
        )
