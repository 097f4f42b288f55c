"""MPI Sintel with depth (Butler et al., ECCV 2012).

Pictures are ``training/{final,clean}/SCENE/frame_0001.png``.

Depth is ``training/depth/SCENE/frame_0001.dpt``: the float32 tag 202021.25, width and height as
int32, then float32 metres, little-endian. Cameras are
``training/camdata_left/SCENE/frame_0001.cam``: the same tag, 3x3 float64 intrinsics, 3x4 float64
world to camera. ``final`` is used where both passes are there. Capped at 70 m, as in
Video-Depth-Anything's evaluation.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.sources.images import read_image
from depthrt_benchmarks.evaluation.datasets.base import (
    Dataset,
    Item,
    Pair,
    ReadOptions,
    lone_depths,
    lone_warning,
    missing_warning,
    pose_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import AnyCase, clean, files_of
from depthrt_benchmarks.evaluation.metrics.tae import Intrinsics
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "sintel"
TAG = 202021.25
_PASSES = ("final", "clean")


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return any(p.suffix.lower() == ".dpt" for p in (_root(folder) / "depth").glob("*/*"))


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: there is no pair.
    """
    root = _root(folder)
    pictures_in = next((root / p for p in _PASSES if (root / p).is_dir()), root / _PASSES[0])
    pictures = files_of(pictures_in, (".png",), "*/frame_*")
    items, missing, lost, files = [], [], [], AnyCase()
    for picture in pictures:
        scene, stem = picture.parts[-2], picture.stem
        depth = files.find(root / "depth" / scene / f"{stem}.dpt")
        if depth is None:
            missing.append(f"{scene}/{picture.name}")
            continue
        place = root / "camdata_left" / scene / f"{stem}.cam"
        file = files.find(place) or place
        camera, pose = _camera(file)
        lost += [f"{scene}/{stem}"] * (camera is not None and pose is None)
        read = partial(_read, picture, depth, options.depth_scale or 1.0)
        items.append(Item(f"{scene}/{stem}", (picture, depth, file), read, scene, pose, camera))
    require_items(items, folder, "training/final/SCENE/frame_0001.png with training/depth")
    warnings = missing_warning(missing, "depth", len(pictures)) + pose_warning(lost, len(items))
    lone = lone_depths(files_of(root / "depth", (".dpt",), "*/*"), items)
    warnings += lone_warning(lone)
    name, left_out = f"Sintel {pictures_in.name}", len(missing) + len(lone)
    return Dataset(name, LAYOUT, items, Customs(1e-3, 70.0), warnings, left_out=left_out)


def _root(folder: Path) -> Path:
    return folder / "training" if (folder / "training").is_dir() else folder


def read_dpt(path: Path) -> NDArray[np.float32]:
    """The values of a .dpt file, H,W.

    Raises:
        SourceError: another tag, or cut off.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error})") from error
    if len(content) < 12 or np.frombuffer(content, "<f4", 1)[0] != TAG:
        raise SourceError(f"{path} is no .dpt file of Sintel (its tag is not {TAG})")
    width, height = (int(n) for n in np.frombuffer(content, "<i4", 2, 4))
    if width < 1 or height < 1 or len(content) != 12 + 4 * width * height:
        raise SourceError(f"{path} is cut off: it says {height}x{width} pixels")
    return np.frombuffer(content, "<f4", offset=12).reshape(height, width).astype(np.float32)


def _camera(path: Path) -> tuple[Intrinsics | None, NDArray[np.float64] | None]:
    """Intrinsics and pose (camera to world); no pose where the numbers give none."""
    if not path.is_file():
        return None, None
    content = path.read_bytes()
    if len(content) != 4 + 8 * 21 or np.frombuffer(content, "<f4", 1)[0] != TAG:
        raise SourceError(f"{path} is no .cam file of Sintel")
    numbers = np.frombuffer(content, "<f8", offset=4)
    matrix, world_to_camera = numbers[:9].reshape(3, 3), np.eye(4)
    world_to_camera[:3] = numbers[9:].reshape(3, 4)
    fx, fy, cx, cy = (float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    camera = Intrinsics(fx, fy, cx, cy)
    if not np.isfinite(numbers).all() or np.linalg.det(world_to_camera[:3, :3]) == 0:
        return camera, None
    return camera, np.asarray(np.linalg.inv(world_to_camera), np.float64)


def _read(picture: Path, depth: Path, unit_m: float) -> Pair:
    return Pair(read_image(picture), clean(read_dpt(depth), unit_m))
