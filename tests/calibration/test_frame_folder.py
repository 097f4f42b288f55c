"""The folder that `depthrt calibrate` writes: what it may replace, and what survives a failure."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt_calibration import collect as collecting
from helpers.calibration_clips import digest, picture, write_images
from helpers.commands import Command


def test_targets_that_cannot_be_used(clip: Path, tmp_path: Path, command: Command) -> None:
    ours = tmp_path / "ours"
    assert command("calibrate", clip, "-o", ours, "--count", 8).code == 0
    (tmp_path / "file").write_text("x")
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    camera = tmp_path / "camera"
    camera.mkdir()
    (camera / "calibration.json").write_text('{"fx": 500}')
    mixed = tmp_path / "mixed"
    shutil.copytree(ours, mixed)
    (mixed / "labels.csv").write_text("dear")
    sentences = {
        ours: "exists: give another output or --overwrite",
        tmp_path / "file": "is a file: give a folder for the frames",
        other: "holds other files (letter.txt): choose a new one",
        camera: "holds other files (calibration.json): choose a new one",
        mixed: "holds other files (labels.csv): choose a new one",
        tmp_path / "no" / "folder": "there is no folder",
        Path("/proc/frames"): "cannot be written",
    }
    for target, sentence in sentences.items():
        for options in ([], ["--overwrite"] if target in (other, camera, mixed) else []):
            done = command("calibrate", clip, "-o", target, *options)
            assert done.code == 2, target
            assert sentence in done.complaint
    assert (other / "letter.txt").read_text() == "dear"
    done = command("calibrate", ours, "-o", ours, "--overwrite")
    assert "is the source itself" in done.complaint
    before = digest(ours)
    again = command("calibrate", clip, "-o", ours, "--count", 8, "--overwrite")
    assert again.code == 0
    assert digest(ours) == before


def test_a_disk_that_fills_leaves_nothing(
    clip: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    done = command("calibrate", clip, "-o", tmp_path / "f")
    assert done.code == 1
    assert done.complaint == (
        f"the frames could not be written to {tmp_path / 'f'} (No space left on device)"
    )
    assert not any(tmp_path.iterdir())


def test_what_is_named_like_a_place_of_preparation_survives(
    clip: Path, tmp_path: Path, command: Command
) -> None:
    for name in ("f.partial", "f.partial-000000", "f.replaced"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.txt").write_text("precious")
    for options in ([], ["--overwrite"]):
        done = command("calibrate", clip, "-o", tmp_path / "f", "--count", 8, *options)
        assert done.code == 0, done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "f", "f.partial", "f.partial-000000", "f.replaced",
    ]  # fmt: skip
    assert len(list(tmp_path.glob("*/precious.txt"))) == 3


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_comes_meanwhile_survives(
    clip: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    real = collecting.contact_sheet

    def late(*given: Any) -> NDArray[np.uint8]:
        (tmp_path / "f").mkdir()
        (tmp_path / "f/thesis.txt").write_text("years of work")
        return real(*given)

    monkeypatch.setattr(collecting, "contact_sheet", late)
    options = ["--overwrite"] if overwrite else []
    done = command("calibrate", clip, "-o", tmp_path / "f", "--count", 8, *options)
    assert done.code == 2
    assert "was made or changed by somebody else meanwhile" in done.complaint
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["thesis.txt"]
    assert len(list(done.kept.glob("*.png"))) == 8


@pytest.mark.parametrize(
    "name", ["0003.png", "0099.png", "overview/contact_sheet.jpg", "overview/mine.jpg"]
)
def test_a_folder_with_something_of_others_is_not_replaced(
    clip: Path, tmp_path: Path, command: Command, name: str
) -> None:
    run = ("calibrate", clip, "-o", tmp_path / "f", "--count", 8, "--overwrite")
    assert command(*run).code == 0
    (tmp_path / "f" / name).write_bytes(b"drawn by hand")
    before = digest(tmp_path / "f")
    done = command(*run)
    assert done.code == 2
    assert name in done.complaint
    assert digest(tmp_path / "f") == before


def test_pictures_named_like_ours_are_not_ours(
    clip: Path, tmp_path: Path, command: Command
) -> None:
    folder = write_images(tmp_path / "photos", [picture(n) for n in range(3)])
    (folder / "overview").mkdir()
    (folder / "overview/notes.txt").write_text("mine")
    before = digest(folder)
    done = command("calibrate", clip, "-o", folder, "--count", 8, "--overwrite")
    assert "holds other files (0.png)" in done.complaint
    assert done.code == 2
    assert digest(folder) == before


@pytest.mark.parametrize("source", ["f/*.png", "in"])
def test_sources_in_the_folder_to_be_replaced_survive(
    clip: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("calibrate", clip, "-o", "f", "--count", 8).code == 0
    Path("in").mkdir()
    for path in Path("f").glob("*.png"):
        Path("in", path.name).hardlink_to(path)
    before = digest(Path("f"))
    done = command("calibrate", source, clip, "-o", "f", "--count", 8, "--overwrite")
    assert "f holds the source" in done.complaint
    assert digest(Path("f")) == before
