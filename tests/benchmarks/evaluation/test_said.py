"""What can change a figure is said in one line, and is in the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from helpers.commands import Command
from helpers.files.labelled import (
    exact_depth_m,
    grey_picture,
    write_picture,
    write_png16,
    write_set,
)
from helpers.models.small_model import SIZE


def write_pair(folder: Path, name: str, scale: float = 1000, dtype: str = "uint16") -> None:
    """A picture and its depth as 16-bit or 8-bit PNG, or .npy of floating point."""
    picture = grey_picture(0)
    write_picture(folder / f"rgb/{name}.png", picture)
    values = exact_depth_m(picture) * scale
    place = folder / "depth" / name
    place.parent.mkdir(exist_ok=True)
    if dtype.startswith("float"):
        np.save(place.with_suffix(".npy"), values.astype(dtype))
    else:
        assert cv2.imwrite(str(place.with_suffix(".png")), np.rint(values).astype(dtype))


def evaluated(command: Command, model: Path, folder: Path, *more: object) -> dict[str, Any]:
    done = command("eval", model, folder, *more, "--json")
    assert done.code == 0, done.err
    (found,) = done.document["evaluations"]
    name = f"depthrt: tiny float32 on {found['dataset']}: "
    assert done.err.splitlines() == [name + warning for warning in found["warnings"]]
    assert isinstance(found, dict)
    return found


def test_the_unit_is_assumed_aloud(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder, page = tmp_path / "set", tmp_path / "r.html"
    write_pair(folder, "1")
    found = evaluated(command, model_path, folder)
    line = "depth files of uint16 are in millimetres, as whole numbers are (--depth-scale)"
    assert found["assumed"] == [line]
    assert found["truth"]["numbers"] == {"uint16": 1}
    shown = command("eval", model_path, folder, "--report", page).out
    assert f"assumed: {line}" in shown
    assert f"Assumed: {line}." in page.read_text()
    assert evaluated(command, model_path, folder, "--depth-scale", 0.001)["assumed"] == []
    own = write_set(tmp_path / "desk", 1)  # whose dataset.json says the unit
    assert evaluated(command, model_path, own)["assumed"] == []


def test_two_kinds_of_numbers_may_be_two_units(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    write_pair(tmp_path / "set", "1")
    write_pair(tmp_path / "set", "2", 1, "float32")
    found = evaluated(command, model_path, tmp_path / "set")
    assert found["warnings"] == [
        "depth files are of whole and of real numbers (1 of uint16, 1 of float32): they may be of "
        "two units"
    ]
    assert len(found["assumed"]) == 2


def test_metres_beside_millimetres(command: Command, model_path: Path, tmp_path: Path) -> None:
    write_pair(tmp_path / "set", "1", 1, "float32")
    write_pair(tmp_path / "set", "2", 1000, "float32")
    write_pair(tmp_path / "set", "3", 1, "float32")
    found = evaluated(command, model_path, tmp_path / "set", "--max-depth", 5000)
    assert any("it seems that the files are of two units" in line for line in found["warnings"])


def test_eight_bits_are_a_picture(command: Command, model_path: Path, tmp_path: Path) -> None:
    write_pair(tmp_path / "set", "1", 100, "uint8")
    found = evaluated(command, model_path, tmp_path / "set", "--depth-scale", 0.01)
    (line,) = found["warnings"]
    assert line.startswith("the depth of 1 of 1 images has 8 bits (first: 1)")


def test_what_reading_changes_in_pictures(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder, picture = write_set(tmp_path / "desk", 4), grey_picture(0)
    clear = np.full((*SIZE, 1), 9, np.uint8)
    assert cv2.imwrite(str(folder / "rgb/000000.png"), np.concatenate([picture, clear], axis=2))
    deep = picture.astype(np.uint16) * 257
    assert cv2.imwrite(str(folder / "rgb/000001.png"), deep)
    (folder / "rgb/000002.png").unlink()
    (folder / "rgb/000002.jpg").write_bytes(turned_jpeg(picture))
    found = evaluated(command, model_path, folder)
    assert found["warnings"] == [
        "1 of 4 pictures have an alpha channel, which is dropped",
        "1 of 4 pictures have 16 bits a channel, of which the upper 8 are used",
        "1 of 4 pictures are turned as their EXIF entry says, but depth is taken as it lies in its "
        "file",
    ]


def turned_jpeg(picture: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """A JPEG with the EXIF entry "turned by 180 degrees"."""
    plain = cv2.imencode(".jpg", picture)[1].tobytes()
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x03\x00\x00"
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    body = b"Exif\x00\x00" + tiff
    return plain[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + plain[2:]


def test_one_of_several_depth_files(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write_pair(folder, "1", 1, "float32")
    assert cv2.imwrite(str(folder / "depth/1.png"), grey_picture(0)[..., 0])  # a preview
    write_pair(folder, "2")
    (folder / "images").mkdir()
    found = evaluated(command, model_path, folder)
    assert (
        "1 of 2 pictures have several depth files, of which one was taken (first: 1.npy, not 1.png)"
        in found["warnings"]
    )
    assert found["metrics"]["abs_rel"]["value"] < 2e-3
    assert "rgb and depth are read, not images" in found["assumed"]


def test_images_that_say_nothing_are_said(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk", 3)
    write_png16(folder / "depth/000001.png", np.full(SIZE, 9000, np.uint16))
    found = evaluated(command, model_path, folder)
    assert found["warnings"] == [
        "the figures of 1 of 3 images say nothing about the model, but are in the mean (first: "
        "000001: its true depth is one value, which least squares fit with anything)"
    ]


def test_a_crop_of_another_size(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 2)
    found = evaluated(command, model_path, folder, "--crop", "nyu-eigen")
    assert found["warnings"] == [
        "the crop nyu-eigen is of 480x640 and was scaled for 2 of 2 images (to 48x64)"
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--near", 1), "no effect on the layout dataset-json: --near"),
        (("--near", 1, "--far", 9), "no effect on the layout dataset-json: --near, --far"),
        (("--invalid", "7"), ""),
        (("--depth-scale", 1e-4), ""),
    ],
)
def test_options_without_effect(
    command: Command, model_path: Path, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    found = evaluated(command, model_path, write_set(tmp_path / "desk", 2), *options)
    assert found["warnings"] == ([said] if said else [])


def test_the_games_own_camera_is_assumed(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "gta"
    write_picture(folder / "rgba/1.png", grey_picture(0))
    (folder / "depth").mkdir()
    near_m, far_m, depth_m = 0.15, 10003.815, exact_depth_m(grey_picture(0)).astype(np.float64)
    buffer = near_m * (far_m - depth_m) / (depth_m * (far_m - near_m))
    np.save(folder / "depth/1.npy", buffer.astype(np.float32))
    found = evaluated(command, model_path, folder)
    assert found["assumed"] == [
        "near plane 0.15 m (--near) and far plane 10003.8 m (--far): the game's own camera"
    ]
    (folder / "camera.json").write_text(json.dumps({"near_m": 0.15}))
    found = evaluated(command, model_path, folder, "--far", 10003.815)
    assert found["assumed"] == []


def test_a_clip_that_is_cut(command: Command, model_path: Path) -> None:
    done = command("eval", model_path, "demo", "--max-images", 3, "--json")
    assert done.code == 0, done.err
    assert "measured on its first 3 frames (--max-images)" in done.complaint
    (found,) = done.document["clips"]
    assert found["frames"] == 3
