"""The built-in model as a witness for normalisation and direction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from torch import nn

from depthrt.model.depth_model import DepthModel
from depthrt_calibration.frames import sample_frames
from depthrt_export.options import SourceOptions
from depthrt_export.proof.witness import (
    COMMON,
    Reading,
    Statement,
    ask_witness,
    judge,
    options_of,
    rank_correlation,
)
from depthrt_export.sources.load import load_network
from depthrt_export.sources.network import Normalisation
from depthrt_export.sources.torch_network import TorchNetwork, fed, probe
from helpers.commands import Command
from networks import meter_xxs, odd_ones, tcmonodepth_small
from networks.as_built_in import SeesAsTheBuiltIn

IMAGENET = COMMON["ImageNet"]


def asked(network: TorchNetwork) -> Statement:
    samples = sample_frames(None, 8, network.input)
    return ask_witness(network, fed(network, probe(network)), samples, of_clip=True)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    return SeesAsTheBuiltIn(IMAGENET)


def network(module: nn.Module, how: Normalisation, **said: Any) -> TorchNetwork:
    spec = DepthModel.load("depthrt-s", provider="cpu").spec.input
    return TorchNetwork("net", said.get("kind", "inverse_depth"), spec, how, module=module)


def test_right_normalisation_agrees(trained: nn.Module) -> None:
    found = asked(network(trained, IMAGENET))
    assert (found.verdict, found.said) == ("agrees", Reading("ImageNet", "inverse-depth"))
    assert found.agreement > 0.99


def test_wrong_normalisation_is_named(trained: nn.Module) -> None:
    found = asked(network(trained, COMMON["0..255"]))
    assert found.verdict == "contradicts"
    assert found.other == Reading("ImageNet", "inverse-depth")
    assert 0 < found.low < found.difference < found.high
    assert "say --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225" in found.line()


def test_a_wrong_normalisation_that_hardly_matters_is_told_beside_the_right_one(
    trained: nn.Module,
) -> None:
    found = asked(network(trained, COMMON["0..255 less ImageNet's mean"]))
    assert (found.verdict, found.other) == ("agrees", Reading("ImageNet", "inverse-depth"))
    assert 0 < found.low < found.difference < 0.05  # its depth is nearly as before
    assert "cannot tell 0..255 less ImageNet's mean from ImageNet (1.00)" in found.line()


def test_wrong_direction_is_named(trained: nn.Module) -> None:
    found = asked(network(trained, IMAGENET, kind="depth"))
    assert (found.verdict, found.agreement < -0.9) == ("contradicts", True)
    assert "say --kind inverse-depth if that is how" in found.line()


def test_random_weights_say_nothing() -> None:
    found = asked(network(odd_ones.Convolved(), Normalisation()))
    assert found.verdict == "cannot tell"
    assert found.line().startswith("cannot tell whether normalisation and direction are right")


def test_few_differences_are_no_evidence() -> None:
    mixed = {"pixel/255": [0.9, -0.4, 0.8, 0.0], "ImageNet": [0.7, 0.9, 0.6, 0.9]}
    found = judge(Reading("pixel/255", "inverse-depth"), mixed)
    assert (found.verdict, found.low < 0) == ("cannot tell", True)
    assert found.line().startswith("cannot tell pixel/255")
    alike = {"pixel/255": [0.9, 0.8, 0.9], "ImageNet": [0.9, 0.8, 0.9]}
    found = judge(Reading("pixel/255", "inverse-depth"), alike)
    assert found.verdict == "agrees"
    assert "it cannot tell pixel/255 from ImageNet" in found.line()


def test_rank_correlation() -> None:
    coarse = np.random.default_rng(0).random((6, 8), np.float32)
    depth = np.asarray(cv2.resize(coarse, (64, 48)), np.float32)
    assert rank_correlation(depth, depth**3) == pytest.approx(1)
    assert rank_correlation(depth, -depth) == pytest.approx(-1)
    assert rank_correlation(depth, np.ones_like(depth)) == 0
    assert rank_correlation(depth, depth * np.nan) == 0
    assert options_of(COMMON["0..255"]) == "--mean 0 --std 1 --scale 1"


def test_strict_refuses_what_the_witness_contradicts(
    frames: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from depthrt_export.proof.witness import COMMON\n"
        "import networks.as_built_in as n\n"
        "def build(): return n.SeesAsTheBuiltIn(COMMON['ImageNet'])\n"
    )
    depthrt, target = Command(capfd, monkeypatch), tmp_path / "m.onnx"
    outcome = depthrt(
        "export", f"{tmp_path / 'mine.py'}:build", "-o", target, "--kind", "depth",
        "--size", "224x288", "--strict",
    )  # fmt: skip
    assert outcome.code == 3
    assert "depthrt-s agrees far better with " in outcome.err.splitlines()[-1]
    assert "--kind inverse-depth" in outcome.err
    assert not target.exists()


def test_assumptions_are_said_and_kept(
    frames: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    depthrt, target = Command(capfd, monkeypatch), tmp_path / "my_net.onnx"
    source = f"{odd_ones.__file__}:Convolved"
    outcome = depthrt("export", source, "-o", target, "--frames", frames, "--kind", "inverse_depth")
    lines = outcome.err.splitlines()
    assert outcome.code == 0
    assert lines[:4] == [
        "weights: random unless Convolved() loads its own: no --checkpoint was given",
        "input: pixel/255, assumed; say --mean/--std if your network was trained otherwise",
        "channels: RGB, assumed; nothing can tell it from BGR; say --bgr if it is that",
        "resize: stretch, assumed; say --resize if pictures are to keep their aspect",
    ]
    assert lines[4].startswith("witness: cannot tell")
    shown = " ".join(depthrt("info", target).out.split())
    assert "assumed.input pixel/255, assumed; say --mean" in shown
    shown = " ".join(depthrt("info", target, "--all").out.split())
    assert "provenance.witness.verdict cannot tell" in shown
    spec = json.loads(depthrt("info", target, "--json").out)["spec"]
    assert spec["name"] == "my-net"
    assert list(spec["provenance"]["assumed"]) == [
        "weights", "input", "channels", "resize", "witness"
    ]  # fmt: skip


REAL = [
    ("tcmonodepth_small/checkpoint.pt.tar", tcmonodepth_small, "inverse_depth", (192, 320),
     "pixel/255"),
    ("meter_xxs/nyu.pt", meter_xxs, "depth", (192, 256), "ImageNet"),
    ("meter_xxs/kitti.pt", meter_xxs, "depth", (128, 384), "pixel/255"),
]  # fmt: skip


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("weights", "code", "kind", "size", "right"), REAL)
def test_trained_networks(
    weights: str, code: Any, kind: Any, size: tuple[int, int], right: str, data: Path
) -> None:
    factory = "meter" if code is meter_xxs else "tcmonodepth_small"
    wrong = "ImageNet" if right == "pixel/255" else "pixel/255"
    for name, verdict in ((right, "agrees"), (wrong, "contradicts")):
        how = COMMON[name]
        said = SourceOptions(
            checkpoint=data / "models" / weights, kind=kind, size=size, mean=how.mean, std=how.std
        )
        found = asked(load_network(f"{code.__file__}:{factory}", said))
        assert found.verdict == verdict
        if verdict == "contradicts":
            assert found.other.normalisation == right
