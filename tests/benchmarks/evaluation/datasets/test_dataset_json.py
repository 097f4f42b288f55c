"""What `dataset.json` says is heeded, or refused in a sentence; and sets at `.`."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.errors import SourceError, UsageError
from depthrt_benchmarks.evaluation.datasets.base import Dataset, ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from depthrt_benchmarks.evaluation.metrics.tae import Intrinsics
from helpers.commands import Command
from helpers.files.labelled import (
    exact_depth_m,
    grey_picture,
    write_picture,
    write_png16,
    write_set,
)
from helpers.models.small_model import SIZE

CAMERA = {"fx": 60.0, "fy": 66.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48}


def only(place: Path) -> Dataset:
    (found,) = open_datasets(place, None, ReadOptions())
    return found


def moving(folder: Path, shrink: int = 1) -> Path:
    """One picture from three places, 5 cm apart; depth maps smaller by ``shrink``."""
    write_set(folder, 3, fps=10, intrinsics=CAMERA)
    size = (SIZE[1] // shrink, SIZE[0] // shrink)
    depth_m = cv2.resize(exact_depth_m(grey_picture(0)), size, interpolation=cv2.INTER_AREA)
    for number in range(3):
        write_picture(folder / f"rgb/{number:06d}.png", grey_picture(0))
        codes = np.rint(depth_m * 1e4).astype(np.uint16)
        write_png16(folder / f"depth/{number:06d}.png", codes)
    lines = [f"{number:06d} {0.05 * number} 0 0 0 0 0 1" for number in range(3)]
    (folder / "poses.txt").write_text("\n".join(lines))
    return folder


def test_the_folder_we_are_in(
    command: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(moving(tmp_path / "walk"))
    said = ("--align", "sequence-disparity-lsq", "--json")
    done = command("eval", model_path, ".", *said)
    assert done.code == 0, done.err
    (found,) = done.document["evaluations"]
    assert found["dataset"] == "walk"
    assert found["video"]["flicker"]["pairs"] == 2
    assert list(found["video"]["tae_percent"]) == ["walk"]


def test_readers_that_take_names_from_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.zeros((6, 8, 3), np.uint8)
    write_picture(tmp_path / "office/images/dslr_images/A.JPG", picture)
    depth = tmp_path / "office/ground_truth_depth/dslr_images/A.JPG"
    depth.parent.mkdir(parents=True)
    np.ones((6, 8), "<f4").tofile(depth)
    monkeypatch.chdir(tmp_path / "office")
    assert [item.name for item in only(Path()).items] == ["office/A"]
    assert [item.name for item in only(tmp_path).items] == ["office/A"]
    write_picture(tmp_path / "indoors/1.png", picture)
    for part in ("depth", "depth_mask"):
        np.save(tmp_path / f"indoors/1_{part}.npy", np.ones((6, 8), np.float32))
    monkeypatch.chdir(tmp_path / "indoors")
    assert only(Path()).name == "DIODE indoors"


def test_intrinsics_are_scaled_to_the_depth_map() -> None:
    camera = Intrinsics(60, 66, 31.5, 23.5, 64, 48)
    half = camera.at(24, 32)
    # The middle of the picture stays its middle: (w - 1) / 2.
    assert half == Intrinsics(30, 33, 15.5, 11.5, 32, 24)
    assert half.at(48, 64) == camera
    assert Intrinsics(60, 66, 31.5, 23.5).at(24, 32) == Intrinsics(60, 66, 31.5, 23.5)


def test_tae_is_the_same_whatever_the_size_of_the_depth_maps(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    whole, half = (
        command("eval", model_path, folder, "--json").document["evaluations"][0]["video"]
        for folder in (moving(tmp_path / "whole"), moving(tmp_path / "half", shrink=2))
    )
    expected = whole["tae_percent"]["whole"]
    assert expected == pytest.approx(5.3, abs=0.2)  # 3 pixels of 1.75%, were all depth 1 m
    assert half["tae_percent"]["half"] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("intrinsics", "word"),
    [
        ({"fx": 60, "fy": 66, "cx": 31.5}, "give fx, fy"),
        ({**CAMERA, "fx": 0}, "give fx, fy"),
        ({**CAMERA, "cy": "middle"}, "give fx, fy"),
        ({**CAMERA, "width": 0}, "give fx, fy"),
        ({**CAMERA, "height": None}, "both or neither"),
        ([60, 66, 31.5, 23.5], "give fx, fy"),
        ({**CAMERA, "height": 64}, "for 64x64, but 000000.png is 64x48, of another shape"),
    ],
)
def test_cameras_that_are_none(tmp_path: Path, intrinsics: object, word: str) -> None:
    with pytest.raises(SourceError, match=word):
        only(write_set(tmp_path / "desk", 1, intrinsics=intrinsics))


def test_one_invalid_value_alone(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 1, invalid=65535)
    codes = np.full(SIZE, 9000, np.uint16)
    codes[5, 6] = 65535
    write_png16(folder / "depth/000000.png", codes)
    depth_m = only(folder).items[0].read().depth_m
    assert depth_m[5, 6] == 0
    assert np.count_nonzero(depth_m) == codes.size - 1


@pytest.mark.parametrize("invalid", ["65535", [0, "none"], {"value": 0}, None, True])
def test_invalid_values_that_are_none(tmp_path: Path, invalid: object) -> None:
    with pytest.raises(SourceError, match=r'"invalid": .*: give a number or a list of them'):
        only(write_set(tmp_path / "desk", 1, invalid=invalid))


@pytest.mark.parametrize("unit_m", [0, -0.001, float("nan"), float("inf")])
def test_units_that_are_none(tmp_path: Path, unit_m: float) -> None:
    with pytest.raises(SourceError, match="depth_unit_m"):
        only(write_set(tmp_path / "desk", 1, depth_unit_m=unit_m))
    with pytest.raises(UsageError, match="--depth-scale"):
        ReadOptions(depth_scale=unit_m)


def test_a_list_is_no_set(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 1)
    (folder / "dataset.json").write_text(json.dumps([1]))
    with pytest.raises(SourceError, match="does not say depth_unit_m"):
        only(folder)
