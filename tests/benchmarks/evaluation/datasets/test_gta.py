"""The depth buffer of GTA V against a camera built from matrices, as Direct3D does it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError
from depthrt_benchmarks.evaluation.datasets.base import Dataset, ReadOptions
from depthrt_benchmarks.evaluation.datasets.layouts.gta import (
    ClipPlanes,
    buffer_of_metres,
    metres_of_buffer,
)
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from helpers.files.labelled import write_png16

SIZE = (6, 8)
RANDOM = np.random.default_rng(7)
METRES = (2 * 150 ** RANDOM.random(SIZE)).astype(np.float32)


def rendered(depth_m: NDArray[np.floating], near_m: float, far_m: float) -> NDArray[np.float64]:
    """What a renderer with reversed depth stores for points at this depth along the axis.

    The projection matrix of Direct3D (row vectors, left-handed) with near and far exchanged, the
    point projected with homogeneous coordinates and divided by w.
    """
    n, f = far_m, near_m
    projection = np.array(
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, f / (f - n), 1], [0, 0, -n * f / (f - n), 0]]
    )
    zero = np.zeros_like(depth_m, np.float64)
    points = np.stack([zero, zero, depth_m.astype(np.float64), zero + 1], axis=-1)
    clip = points @ projection
    return np.asarray(clip[..., 2] / clip[..., 3], np.float64)


@pytest.mark.parametrize(("near_m", "far_m"), [(0.15, 10003.815), (1.5, 10003.815), (0.1, 50.0)])
def test_the_formula_is_the_cameras(near_m: float, far_m: float) -> None:
    depth_m = np.geomspace(near_m, far_m, 50)
    buffer = rendered(depth_m, near_m, far_m)
    assert buffer[0] == pytest.approx(1)  # near is 1
    assert buffer[-1] == pytest.approx(0, abs=1e-12)  # far is 0
    assert (np.diff(buffer) < 0).all()
    clip = ClipPlanes(near_m, far_m)
    np.testing.assert_allclose(metres_of_buffer(buffer, clip), depth_m, rtol=1e-9)
    np.testing.assert_allclose(buffer_of_metres(depth_m, clip), buffer, atol=1e-12)


def write_rgba(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    alpha = RANDOM.integers(0, 256, (*SIZE, 1)).astype(np.uint8)
    assert cv2.imwrite(str(path), np.concatenate([image[..., ::-1], alpha], axis=-1))


def only(place: Path, **options: float) -> Dataset:
    (found,) = open_datasets(place, None, ReadOptions(**options))
    assert found.layout == "gta"
    return found


def capture(folder: Path, near_m: float = 0.15) -> NDArray[np.uint8]:
    """One frame with sky in its first row, the buffer as float32 .npy."""
    image = RANDOM.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    write_rgba(folder / "rgba/0001.png", image)
    buffer = rendered(METRES, near_m, 10003.815).astype(np.float32)
    buffer[0] = 0
    (folder / "depth").mkdir(exist_ok=True)
    np.save(folder / "depth/0001.npy", buffer)
    return image


def truth() -> NDArray[np.float32]:
    return np.where(np.arange(SIZE[0])[:, None] == 0, 0, METRES).astype(np.float32)


def test_rgba_and_float_buffer(tmp_path: Path) -> None:
    image = capture(tmp_path)
    pair = only(tmp_path).items[0].read()
    np.testing.assert_array_equal(pair.image, image)  # alpha dropped, colours untouched
    np.testing.assert_allclose(pair.depth_m, truth(), rtol=1e-5)


def test_clip_planes_come_from_the_file_and_the_options(tmp_path: Path) -> None:
    capture(tmp_path, near_m=1.5)
    wrong = only(tmp_path).items[0].read().depth_m
    assert wrong.max() == pytest.approx(METRES[1:].max() / 10, rel=0.05)
    np.testing.assert_allclose(only(tmp_path, near_m=1.5).items[0].read().depth_m, truth(), 1e-5)
    camera = {"near_m": 9.0, "frames": {"0001": {"near_m": 1.5}}}
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    np.testing.assert_allclose(only(tmp_path).items[0].read().depth_m, truth(), 1e-5)
    with pytest.raises(UsageError, match="0 < near < far"):
        only(tmp_path, near_m=5.0, far_m=2.0)


@pytest.mark.parametrize("suffix", ["tiff", "raw", "png"])
def test_other_files_of_the_buffer(tmp_path: Path, suffix: str) -> None:
    capture(tmp_path)
    buffer = np.load(tmp_path / "depth/0001.npy")
    (tmp_path / "depth/0001.npy").unlink()
    place = tmp_path / f"depth/0001.{suffix}"
    if suffix == "tiff":
        assert cv2.imwrite(str(place), buffer)
    elif suffix == "raw":
        buffer.astype("<f4").tofile(place)
    else:
        write_png16(place, np.rint(buffer * 65535).astype(np.uint16))
    depth_m = only(tmp_path).items[0].read().depth_m
    if suffix != "png":
        np.testing.assert_allclose(depth_m, truth(), rtol=1e-5)
        return
    near = (METRES < 10) & (truth() > 0)  # sixteen bits are enough close by only
    np.testing.assert_allclose(depth_m[near], METRES[near], rtol=5e-3)


def test_names_as_gtavisionexport_writes_them(tmp_path: Path) -> None:
    image = capture(tmp_path / "x")
    write_rgba(tmp_path / "y/shot.png", image)
    (tmp_path / "x/depth/0001.npy").rename(tmp_path / "y/shot-depth.npy")
    found = only(tmp_path / "y")
    assert [item.name for item in found.items] == ["shot"]
    np.testing.assert_allclose(found.items[0].read().depth_m, truth(), rtol=1e-5)


def test_metres_are_no_buffer(tmp_path: Path) -> None:
    capture(tmp_path)
    np.save(tmp_path / "depth/0001.npy", METRES)
    with pytest.raises(SourceError, match="a depth buffer lies in"):
        only(tmp_path).items[0].read()
