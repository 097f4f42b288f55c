"""`depthrt export --precision auto` as it is typed, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depthrt.cli.share import parse_share
from depthrt.errors import UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.spec import InputSpec
from depthrt_calibration.frames import sample_frames
from depthrt_calibration.ranges import Ranges
from depthrt_export.options import ExportOptions, parse_seconds
from depthrt_export.proof.frame_split import split_frames
from depthrt_export.quantise import recipes
from depthrt_export.report.export_report import Report
from helpers.commands import Command
from networks import small_unet


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def again(source: Path, path: Path) -> Path:
    """The same pictures as JPEG: no pixel is equal, and nothing is new."""
    path.mkdir()
    for picture in source.glob("*.png"):
        cv2.imwrite(str(path / f"{picture.stem}.jpg"), cv2.imread(str(picture)))
    return path


def folder_of(
    path: Path,
    count: int,
    level: int | None = None,
    seed: int = 5,
    side: tuple[int, int] = (96, 144),
) -> Path:
    """Pictures of blurred noise, or of one level."""
    path.mkdir()
    random = np.random.default_rng(seed)
    for i in range(count):
        picture = cv2.resize(random.integers(0, 256, (6, 9, 3), dtype=np.uint8), side[::-1])
        cv2.imwrite(str(path / f"{i:02d}.png"), picture if level is None else picture * 0 + level)
    return path


def labelled(path: Path) -> Path:
    """Eight pairs of a plane of depth under noise."""
    path.mkdir()
    folder_of(path / "rgb", 8, seed=9)
    (path / "depth").mkdir()
    plane = np.linspace(800, 5000, 96 * 144).reshape(96, 144).astype(np.uint16)
    for i in range(8):
        cv2.imwrite(str(path / "depth" / f"{i:02d}.png"), plane)
    facts = {"depth_unit_m": 0.001, "min_depth_m": 0.1, "max_depth_m": 10.0}
    (path / "dataset.json").write_text(json.dumps(facts))
    return path


@pytest.mark.slow
def test_elsewhere_from_a_float32_file(
    depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    target, page, front = (tmp_path / n for n in ("m.onnx", "m.html", "m.svg"))
    outcome = depthrt(
        "export", unet.target, "-o", target, "--precision", "auto", "--target", "x86-vnni",
        "--frames", frames, "--validate", folder_of(tmp_path / "unseen", 4), "--report", page,
        "--front", front, "--json", "--max-drop", "10%", "--dataset", labelled(tmp_path / "truth"),
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    facts = outcome.document["spec"]["measured"]["search"]
    assert (facts["recipe"], facts["target"], facts["validation_frames"]) == ("int8", "x86-vnni", 4)
    assert facts["latency_ratio"] is None
    assert outcome.document["spec"]["measured"]["frames"] == {"source": "unseen", "count": 4}
    assert abs(facts["accuracy_drop"]) < 0.1
    assert DepthModel.load(target).spec.precision == "int8"
    assert "The search" in page.read_text(encoding="utf-8")
    assert front.read_text(encoding="utf-8").startswith("<svg")
    assert (tmp_path / "m.onnx.search.json").is_file()
    again = depthrt(
        "export", target, "-o", tmp_path / "x.onnx", "--precision", "auto", "--frames", frames
    )
    assert again.code == 2
    assert "is int8 already" in again.complaint


def test_near_duplicates_are_left_out_and_said(
    depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    unseen = folder_of(tmp_path / "unseen", 6)
    for number, picture in enumerate(sorted(again(Path(frames), tmp_path / "re").iterdir())[:3]):
        picture.rename(unseen / f"again{number}.jpg")
    (unseen / "equal.png").write_bytes((Path(frames) / "00.png").read_bytes())
    outcome = depthrt(
        "export", unet.target, "-o", tmp_path / "m.onnx", "--precision", "auto", "--target",
        "x86-vnni", "--calibration", frames, "--validate", unseen, "--json", "--max-drop", "50%",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.document["notes"][0] == (
        "left out of 10 validation frames: 1 calibration frames and 3 near-duplicates of such"
    )
    assert outcome.document["spec"]["measured"]["search"]["validation_frames"] == 6


def test_gate_that_nothing_passes(
    depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    target = tmp_path / "m.onnx"
    outcome = depthrt(
        "export", unet.target, "-o", target, "--precision", "auto", "--target", "arm64",
        "--frames", frames, "--max-drop", "0.00001",
    )  # fmt: skip
    assert outcome.code == 0  # as designed
    assert " ".join(outcome.err.split()).count("the float32 model was kept (best: int8") == 1
    model = DepthModel.load(target)
    assert model.spec.precision == "float32"
    assert model.spec.measured["search"]["recipe"] == "float32"


def test_a_pick_that_its_proof_speaks_against_is_not_written(
    depthrt: Command, tmp_path: Path, unet: Report, frames: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search measured other files than the one that is made in the end: a stale journal."""
    ranges = recipes.collect_ranges
    arguments = (
        "export", unet.target, "-o", tmp_path / "m.onnx", "--precision", "auto", "--target",
        "x86-vnni", "--frames", frames, "--overwrite",
    )  # fmt: skip
    assert depthrt(*arguments).code == 0
    journal = tmp_path / "m.onnx.search.json"
    assert journal.is_file()

    def narrow(*taken: Any) -> Ranges:
        return {name: (0.3 * low, 0.3 * high) for name, (low, high) in ranges(*taken).items()}

    monkeypatch.setattr(recipes, "collect_ranges", narrow)
    outcome = depthrt(*arguments)
    assert outcome.code == 0
    assert re.search(
        r"int8 was measured at a loss of 0\.0\d+, but its proof gives 0\.\d+, allowed 0\.05, so "
        "the float32 model was kept: run it again, all is measured anew",
        " ".join(outcome.err.split()),
    )
    model = DepthModel.load(tmp_path / "m.onnx")
    assert model.spec.precision == "float32"
    assert model.spec.measured["search"]["recipe"] == "float32"
    assert not journal.exists()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "auto"])
def test_frames_need_not_be_given(
    precision: str, depthrt: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """depthrt's own clip: its beginning for the ranges, its end for the judgement."""
    monkeypatch.setattr("depthrt_export.build.convert._TIMING_S", 0.1)
    bound = ("--max-drop", "50%") if precision == "auto" else ("--max-error", "0.5")
    outcome = depthrt(
        "export", f"{small_unet.__file__}:small_unet", "-o", tmp_path / "m.onnx", "--precision",
        precision, "--target", "x86-vnni", "--json", *bound,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    spec = DepthModel.load(tmp_path / "m.onnx").spec
    facts = spec.measured["int8" if precision == "int8" else "search"]
    assert spec.precision == "int8"
    assert facts["calibration_frames"] == 56
    assert facts["calibration_source"] == "the clip of depthrt"
    assert not any("left out" in note for note in outcome.document["notes"])


def test_of_pictures_of_a_video_the_end_is_held_out(tmp_path: Path) -> None:
    """Between two neighbours each would look like both."""
    folder = tmp_path / "video"
    folder.mkdir()
    for i, sample in enumerate(sample_frames(None, 144, InputSpec(96, 160))[:60]):
        cv2.imwrite(str(folder / f"{i:02d}.png"), sample.pixels.transpose(1, 2, 0)[..., ::-1])
    found = split_frames(ExportOptions(frames=str(folder), precision="int8"), InputSpec(64, 96))
    assert [s.label[:2] for s in found.validation] == [f"{i:02d}" for i in range(48, 60)]
    assert [s.label[:2] for s in found.calibration] == [f"{i:02d}" for i in range(42)]


@pytest.mark.parametrize(
    "case",
    [
        "few",
        "few of its own",
        "black",
        "same",
        "near",
        "small",
        "tensors",
        "target",
        "drop",
        "bound",
        "labels",
    ],
)
def test_mistakes_are_one_sentence(
    case: str, depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    few, black = folder_of(tmp_path / "few", 4), folder_of(tmp_path / "black", 12, level=2)
    recoded = again(Path(frames), tmp_path / "recoded")
    small = folder_of(tmp_path / "small", 20, side=(12, 18))
    tensors = tmp_path / "tensors.npy"
    np.save(tensors, np.zeros((20, 3, 48, 64), np.float32))
    arguments, sentence = {
        "few": (("--frames", few), "not 3: give a video or more images as --frames"),
        "few of its own": (
            ("--calibration", few, "--frames", frames),
            "not 4: give a video or more images as --calibration",
        ),
        "black": (("--frames", black), "all 12 --frames frames are black or of one colour"),
        "same": (
            ("--calibration", frames, "--validate", frames), "frames are calibration frames too"
        ),
        "near": (
            ("--calibration", frames, "--validate", recoded), "validation frames look like calib"
        ),
        "small": (("--frames", small), "of 12x18 pixels is too small for a network of 64x96"),
        "tensors": (("--frames", tensors), "tensors.npy"),
        "target": (("--frames", frames, "--target", "pdp11"), "'pdp11' is none of host"),
        "drop": (("--frames", frames, "--max-drop", "much"), "is not a share such as 5%"),
        "bound": (("--frames", frames, "--max-error", "0.1"), "its bound is --max-drop"),
        "labels": (("--frames", frames, "--dataset", few), "has none of the known layouts"),
    }[case]  # fmt: skip
    outcome = depthrt(
        "export", unet.target, "-o", tmp_path / "m.onnx", "--precision", "auto", *arguments
    )
    assert outcome.code == 2
    assert sentence in outcome.complaint
    assert not (tmp_path / "m.onnx").exists()


def test_thumbnails_among_the_frames_are_left_out(tmp_path: Path) -> None:
    mixed = folder_of(tmp_path / "mixed", 20)
    for name in ("03.png", "07.png"):
        picture = np.asarray(cv2.imread(str(mixed / name)))
        cv2.imwrite(str(mixed / name), cv2.resize(picture, (18, 12)))
    options = ExportOptions(frames=str(mixed), precision="int8")
    found = split_frames(options, InputSpec(64, 96))
    labels = {s.label.partition("#")[0] for s in (*found.calibration, *found.validation)}
    assert len(labels) == 18
    assert labels.isdisjoint({"03.png", "07.png"})
    assert found.notes[0] == "2 frames left out as too small for the input"


def test_units() -> None:
    shares = [parse_share(text, "--max-drop") for text in ("5%", "0.05")]
    assert shares == [0.05, 0.05]
    assert [parse_seconds(t) for t in ("90s", "10m", "1h", "7")] == [90, 600, 3600, 7]
    for wrong in ("0", "0m", "ten", "-1s"):
        with pytest.raises(UsageError, match="--budget"):
            parse_seconds(wrong)


@pytest.mark.parametrize("option", ["frames", "calibration", "validate"])
def test_the_only_frames_given_are_split_and_never_joined_by_the_clip(
    option: str, frames: str
) -> None:
    options = ExportOptions(precision="auto", **{option: frames})  # type: ignore[arg-type]
    found = split_frames(options, InputSpec(64, 96))
    names = {path.name for path in Path(frames).iterdir()}
    labels = [s.label.partition("#")[0] for s in (*found.calibration, *found.validation)]
    assert (len(found.calibration), len(found.validation)) == (16, 4)
    assert {Path(label).stem for label in labels} == {Path(name).stem for name in names}
