"""The larger network that labels pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
TRAINING = Path(__file__).parents[2] / "training"


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    for name in ("network", "teacher_network"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_maps_have_the_strides_and_outputs_the_shapes_of_depthrt_s() -> None:
    from teacher_network import LargeDepthNet

    network = LargeDepthNet().eval()
    maps = []
    network.encoder.register_forward_hook(lambda module, inputs, output: maps.extend(output))
    with torch.inference_mode():
        depth = network(torch.zeros(1, 3, 224, 288))
        signed = network.signed(torch.zeros(1, 3, 32, 64))
        half = network.half_resolution(torch.zeros(1, 3, 32, 64))
    assert [tuple(m.shape) for m in maps[:5]] == [
        (1, channels, 224 // stride, 288 // stride)
        for channels, stride in zip(network.encoder.channels, (2, 4, 8, 16, 32), strict=True)
    ]
    assert depth.shape == (1, 224, 288)
    assert signed.shape == (1, 32, 64)
    assert half.shape == (1, 16, 32)
