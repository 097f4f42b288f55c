"""What was typed and cannot be meant is said at once, before a network is traced."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.errors import AccuracyGateError, SourceError, UsageError
from depthrt.model.depth_model import DepthModel
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.sources.network import Normalisation, describe
from helpers.commands import Command
from networks import small_unet

UNET = f"{small_unet.__file__}:small_unet"


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--max-drop", "5%"), "--max-drop works only with --precision auto, not fp32"),
        (("--precision", "int8", "--max-drop", "5%"), "not int8; its bound is --max-error"),
        (("--precision", "int8", "--dataset", "set"), "--dataset works only with --precision auto"),
        (("--precision", "int8", "--budget", "10m"), "--budget works only with --precision auto"),
        (("--precision", "auto", "--max-error", "0.1"), "not auto; its bound is --max-drop"),
        (("--precision", "fp16", "--calibration", "x"), "only with --precision int8 or auto"),
        (("--validate", "x"), "--validate works only with --precision int8 or auto, not fp32"),
        (
            ("--target", "arm64"),
            "--target arm64 works only with --precision int8 or auto, not fp32",
        ),
        (("--target", "cuda"), "not fp32; half precision suits it: --precision fp16: leave it out"),
        (
            ("--precision", "int8", "--frames", "a", "--calibration", "b", "--validate", "c"),
            "--frames has no effect where --calibration and --validate are given",
        ),
    ],
)
def test_an_option_without_effect_is_refused(
    arguments: tuple[str, ...], sentence: str, depthrt: Command, tmp_path: Path
) -> None:
    outcome = depthrt("export", UNET, "-o", tmp_path / "x.onnx", *arguments)
    assert outcome.code == 2
    assert sentence in outcome.complaint


def test_all_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        describe(SourceOptions(), "net", {})
    assert "--kind inverse-depth, depth or metric" in str(caught.value)
    assert "--size HEIGHTxWIDTH" in str(caught.value)
    with pytest.raises(UsageError) as caught:
        describe(SourceOptions(kind="depth"), "net", {})
    assert "--kind" not in str(caught.value)


def test_a_misspelt_factory_is_corrected(depthrt: Command, tmp_path: Path) -> None:
    outcome = depthrt("export", f"{small_unet.__file__}:small_nuet", "-o", tmp_path / "x.onnx")
    assert outcome.code == 2
    assert outcome.complaint.endswith("has no callable 'small_nuet': did you mean small_unet?")


def test_a_set_that_cannot_be_read_is_refused_before_the_network_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    phases = Phases(quiet=True)
    options = ExportOptions(precision="auto", dataset=tmp_path / "set")
    with pytest.raises(SourceError, match="set"):
        build(UNET, tmp_path / "x.onnx", SourceOptions(), options, phases)
    assert phases.times_s == {}


@pytest.mark.parametrize(
    ("normalisation", "sentence"),
    [
        (Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)), "mean --scale 1?"),
        (Normalisation((123.675, 116.28, 103.53)), "mean --scale 1?"),
        (Normalisation(std=(58.0,) * 3), "mean --scale 1?"),
        (Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.0), "mean no --scale?"),
        (Normalisation((0.5,) * 3, (0.5,) * 3, 1.0), "mean no --scale?"),
    ],
)
def test_a_normalisation_that_nobody_means(normalisation: Normalisation, sentence: str) -> None:
    assert sentence in normalisation.doubt()


@pytest.mark.parametrize(
    "normalisation",
    [
        Normalisation(),
        Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        Normalisation((0.5,) * 3, (0.5,) * 3),
        Normalisation((0.5,) * 3),
        Normalisation((116.0,) * 3, (58.0,) * 3, 1.0),
        Normalisation((123.675, 116.28, 103.53), scale=1.0),
        Normalisation(scale=1.0),
        Normalisation((127.5,) * 3, (127.5,) * 3, 1.0),
    ],
)
def test_normalisations_in_use_are_not_doubted(normalisation: Normalisation) -> None:
    assert normalisation.doubt() == ""


def test_strict_refuses_an_unusual_normalisation(tmp_path: Path, frames: str) -> None:
    said = SourceOptions(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    options = ExportOptions(frames=frames, strict=True)
    phases = Phases(quiet=True)
    with pytest.raises(AccuracyGateError, match=r"become -2.12..-1.79.*did you mean --scale 1\?"):
        build(UNET, tmp_path / "x.onnx", said, options, phases)
    assert any(note.startswith("normalisation: pixels of 0..255") for note in phases.notes)
    assert "trace and translate" not in phases.times_s


CENTIMETRES = """
import torch

DEPTHRT = {"kind": "metric", "size": (64, 96)}

class Net(torch.nn.Module):
    def forward(self, x):
        return 120 + 400 * x.mean(1)

def build():
    return Net()
"""


def test_metres_that_are_centimetres(depthrt: Command, tmp_path: Path, frames: str) -> None:
    (tmp_path / "cm.py").write_text(CENTIMETRES)
    target = tmp_path / "cm.onnx"
    outcome = depthrt("export", f"{tmp_path / 'cm.py'}:build", "-o", target, "--frames", frames)
    assert outcome.code == 0, outcome.err
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("metres: ")]
    assert "is it in metres? If not, convert it in forward()" in line
    kept = DepthModel.load(target).spec.provenance["assumed"]["metres"]
    assert f"metres: {kept}" == line
    median = float(kept.partition("depth is ")[2].partition(" m ")[0])
    seen = [np.asarray(cv2.imread(str(path))).mean() for path in Path(frames).iterdir()]
    assert abs(median - (120 + 400 * float(np.mean(seen)) / 255)) < 30


def test_metres_of_a_room_are_not_doubted(depthrt: Command, tmp_path: Path, frames: str) -> None:
    (tmp_path / "m.py").write_text(CENTIMETRES.replace("120 + 400", "1.2 + 4"))
    outcome = depthrt(
        "export", f"{tmp_path / 'm.py'}:build", "-o", tmp_path / "m.onnx", "--frames", frames,
        "--json",
    )  # fmt: skip
    assert "metres" not in json.dumps(outcome.document["assumed"])
