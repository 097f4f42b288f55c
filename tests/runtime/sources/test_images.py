"""Images as frames: one, a folder, a glob; torn ones and those that are turned."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.errors import SourceError, UsageError
from depthrt.frame import to_rgb
from depthrt.sources.images import read_image
from depthrt.sources.open import open_source


def _write_images(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        image = np.full((20 + number, 30, 3), 10 * number, np.uint8)
        assert cv2.imwrite(str(folder / name), image)


def test_a_folder_is_read_in_natural_order_with_mixed_sizes(tmp_path: Path) -> None:
    _write_images(tmp_path, ["f1.png", "f2.png", "f10.png", "F3.PNG", "1²2.png"])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._f0.png").write_bytes(b"resource fork")
    source = open_source(tmp_path)
    frames = list(source.frames())
    assert [frame.stream for frame in frames] == [
        "1²2.png",
        "F3.PNG",
        "f1.png",
        "f2.png",
        "f10.png",
    ]
    assert [frame.pixels.shape[0] for frame in frames] == [24, 23, 20, 21, 22]
    assert [frame.exact_time_s for frame in frames] == [Fraction(i, 25) for i in range(5)]
    assert source.losses.sentence() == ""


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif"])
def test_a_torn_image_is_an_error_that_prints_nothing(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    content = cv2.imencode(suffix, noise)[1].tobytes()
    path = tmp_path / f"torn{suffix}"
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SourceError, match="is no image that can be decoded"):
        open_source(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("broken", ["a.png", "b.png", "c.png"])
def test_one_broken_image_of_a_folder_is_left_out_and_named(tmp_path: Path, broken: str) -> None:
    _write_images(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / broken).write_bytes((tmp_path / broken).read_bytes()[:40])
    source = open_source(tmp_path)
    assert [frame.stream for frame in source.frames()] == sorted(
        {"a.png", "b.png", "c.png"} - {broken}
    )
    assert source.losses.sentence().startswith("1 frame missing, ")
    assert broken in source.losses.sentence()


def test_a_glob_takes_the_images_and_one_video(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    _write_images(tmp_path, ["f1.png", "f2.png", "g1.png"])
    found = open_source(str(tmp_path / "f*.png"))
    assert [frame.stream for frame in found.frames()] == ["f1.png", "f2.png"]
    (tmp_path / "one.mp4").write_bytes(make_clip().read_bytes())
    assert open_source(str(tmp_path / "*.mp4")).info.frame_count == 25
    (tmp_path / "two.mp4").write_bytes(b"x")
    with pytest.raises(UsageError, match="matches 2 files"):
        open_source(str(tmp_path / "*.mp4"))
    with pytest.raises(SourceError, match="no file matches"):
        open_source(str(tmp_path / "*.mkv"))


def test_a_name_with_glob_characters_is_a_name_first(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / "clip[1].mp4"
    path.write_bytes(make_clip().read_bytes())
    assert open_source(str(path)).info.frame_count == 25


def test_bytes_behind_a_png_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = np.full((20, 30, 3), 90, np.uint8)
    assert cv2.imwrite(str(path), image)
    path.write_bytes(path.read_bytes() + b"a program's own" * 20)
    assert (read_image(path) == image).all()


def test_a_glob_of_images_and_videos_is_refused(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copy(make_clip(), tmp_path / "a.mp4")
    for name in ("b.png", "c.png"):
        assert cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match=r"matches images and videos \(b.png, a.mp4\)"):
        open_source(f"{tmp_path}/*")


def test_an_image_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, :16] = 255
    _, content = cv2.imencode(".jpg", image)
    # EXIF with orientation 6: to be turned a quarter clockwise.
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    head = b"\xff\xd8\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path = tmp_path / "phone.jpg"
    path.write_bytes(head + content.tobytes()[2:])
    (frame,) = open_source(path).frames()
    assert frame.pixels.shape[:2] == (32, 16)
    assert to_rgb(frame.pixels)[:10].mean() > 200
