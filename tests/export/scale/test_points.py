"""Measured distances as they are given: --at, CSV, LiDAR pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.errors import DepthrtError, SourceError, UsageError
from depthrt_export.scale.points import MOST_OF_A_MAP, Point, parse_at, read_lidar, read_points

IMAGE = Path("a/room.jpg")
OTHER = Path("b/hall.jpg")


def table(folder: Path, text: str) -> Path:
    path = folder / "tape.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_pixel_and_its_distance() -> None:
    assert parse_at("640,410=2.35", IMAGE) == Point(IMAGE, 640, 410, 2.35)
    assert parse_at(" 3.5 , 0 = 1e1", IMAGE) == Point(IMAGE, 3.5, 0, 10)
    assert parse_at("640,410=2.35", IMAGE).place == "room.jpg (640, 410)"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("640,410", "is not X,Y=METRES"),
        ("640=2", "is not X,Y=METRES"),
        ("640;410=2", "is not X,Y=METRES"),
        ("640,410=2m", "is not X,Y=METRES"),
        ("640,410=0", "0 is no distance in metres above 0"),
        ("640,410=-1", "-1 is no distance in metres above 0"),
        ("640,410=nan", "nan is no distance"),
        ("640,410=inf", "inf is no distance"),
        ("nan,410=1", "(nan, 410) is no pixel"),
    ],
)
def test_what_is_no_point(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_at(text, IMAGE)
    assert sentence in str(refused.value)


def test_a_table_of_one_picture(tmp_path: Path) -> None:
    path = table(tmp_path, "\ufeffX, metres,note,Y\n3,1.5,door,4\n5, 2 ,,6\n")
    assert read_points(path, [IMAGE]) == [Point(IMAGE, 3, 4, 1.5), Point(IMAGE, 5, 6, 2)]


def test_a_table_of_several_pictures(tmp_path: Path) -> None:
    path = table(tmp_path, "image,x,y,metres\nroom.jpg,1,2,3\nb/hall.jpg,1,2,4\nyard.jpg,1,2,5\n")
    found = read_points(path, [IMAGE, OTHER])
    assert [point.image for point in found] == [IMAGE, OTHER, tmp_path / "yard.jpg"]


@pytest.mark.parametrize(
    ("text", "images", "sentence"),
    [
        ("x,y\n1,2\n", [IMAGE], "has no column metres: its first line names the columns"),
        ("", [IMAGE], "has no column x or y or metres"),
        ("x,y,metres\n", [IMAGE], "holds no point"),
        ("x,y,metres\n1,2,3\n", [], "has no column image: name the one picture"),
        ("x,y,metres\n1,2,3\n", [IMAGE, OTHER], "has no column image: name the one picture"),
        ("x,y,metres\n1,2,3\n1,zwei,3\n", [IMAGE], "tape.csv, line 3: y is 'zwei'"),
        ("x,y,metres\n1,2\n", [IMAGE], "tape.csv, line 2: metres is None"),
        ("x,y,metres\n1,2,-3\n", [IMAGE], "tape.csv, line 2: -3 is no distance"),
        ("image,x,y,metres\n,1,2,3\n", [IMAGE], "a line without the name of an image"),
    ],
)  # fmt: skip
def test_tables_that_are_none(tmp_path: Path, text: str, images: list[Path], sentence: str) -> None:
    with pytest.raises(DepthrtError) as refused:
        read_points(table(tmp_path, text), images)
    assert sentence in str(refused.value)


def test_a_table_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read as CSV"):
        read_points(tmp_path / "none.csv", [IMAGE])
    (tmp_path / "picture.csv").write_bytes(b"\xff\xfe\x00\x01\x02")
    with pytest.raises(SourceError, match="cannot be read as CSV"):
        read_points(tmp_path / "picture.csv", [IMAGE])


def test_lidar_of_half_the_size(tmp_path: Path) -> None:
    depth = np.zeros((24, 32), np.uint16)
    depth[0, 0], depth[10, 20], depth[23, 31] = 1500, 65535, 4000
    path = tmp_path / "lidar.png"
    cv2.imwrite(str(path), depth)
    found = read_lidar(path, IMAGE, 0.001, lambda _: (48, 64))
    assert [(p.x, p.y) for p in found] == [(0.5, 0.5), (62.5, 46.5)]
    assert [p.metres for p in found] == pytest.approx([1.5, 4.0])
    assert read_lidar(path, IMAGE, 0.01, lambda _: (48, 64))[0].metres == pytest.approx(15)


def test_dense_depth_is_thinned(tmp_path: Path) -> None:
    path = tmp_path / "depth.npy"
    np.save(path, np.full((100, 100), 2.0, np.float32))
    found = read_lidar(path, IMAGE, 1.0, lambda _: (100, 100))
    assert len(found) == MOST_OF_A_MAP
    assert (found[0].x, found[0].y) == (0, 0)
    assert (found[-1].x, found[-1].y) == (99, 99)


@pytest.mark.parametrize(
    ("depth", "sentence"),
    [
        (np.zeros((24, 32), np.uint16), "holds no depth above 0"),
        (np.ones((32, 32), np.uint16), "is 32x32, of another shape than room.jpg (64x48)"),
    ],
)
def test_lidar_that_is_none(tmp_path: Path, depth: np.ndarray, sentence: str) -> None:
    path = tmp_path / "lidar.png"
    cv2.imwrite(str(path), depth)
    with pytest.raises(SourceError) as refused:
        read_lidar(path, IMAGE, 0.001, lambda _: (48, 64))
    assert sentence in str(refused.value)
