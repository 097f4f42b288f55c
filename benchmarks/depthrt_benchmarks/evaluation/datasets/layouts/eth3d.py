"""ETH3D high-resolution multi-view (Schöps et al., CVPR 2017).

``SCENE/images/dslr_images/DSC_0001.JPG`` and ``SCENE/ground_truth_depth/dslr_images/DSC_0001.JPG``;
the second is, despite its name, raw float32 (little-endian, row by row, the picture's size), in
metres, infinite where unknown. Marigold's tree, with ``rgb/`` and ``depth/SCENE_dslr_depth/`` above
the scenes, is found as well. Depth is capped at 72 m, as in MiDaS' evaluation.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from depthrt.errors import SourceError
from depthrt.frame import RgbImage
from depthrt.sources.images import quiet_opencv
from depthrt_benchmarks.evaluation.datasets.base import (
    Dataset,
    Item,
    Pair,
    ReadOptions,
    lone_depths,
    lone_warning,
    missing_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import clean, files_of
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "eth3d"
_PICTURES = "images/dslr_images"
_DEPTHS = "ground_truth_depth/dslr_images"
_SUFFIXES = (".jpg", ".jpeg")


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return next(folder.rglob(f"{_DEPTHS}/*"), None) is not None


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: there is no pair.
    """
    root = folder.resolve()  # the folder itself may be the scene that gives its name
    depths = {_key(p): p for p in files_of(root, _SUFFIXES, f"**/{_DEPTHS}/*")}
    pictures = files_of(root, _SUFFIXES, f"**/{_PICTURES}/*")
    items, missing = [], []
    for picture in pictures:
        scene, name = _key(picture)
        depth = depths.get((scene, name))
        if depth is None:
            missing.append(f"{scene}/{picture.name}")
            continue
        read = partial(_read, picture, depth, options.depth_scale or 1.0)
        items.append(Item(f"{scene}/{picture.stem}", (picture, depth), read))
    require_items(items, folder, f"SCENE/{_PICTURES} with SCENE/{_DEPTHS}")
    warnings = missing_warning(missing, "ground_truth_depth", len(pictures))
    lone = lone_depths(depths.values(), items)
    warnings += lone_warning(lone)
    left_out = len(missing) + len(lone)
    return Dataset("ETH3D", LAYOUT, items, Customs(1e-3, 72.0), warnings, left_out=left_out)


def _key(path: Path) -> tuple[str, str]:
    return path.parts[-4], path.stem


def _stored(path: Path) -> RgbImage:
    """The picture as it lies in the file, not turned by its EXIF entry: so lies the truth."""
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error})") from error
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    with quiet_opencv():
        image = cv2.imdecode(content, flags) if content.size else None
    if image is None:
        raise SourceError(f"{path} is no image that can be decoded")
    return np.ascontiguousarray(image[..., ::-1], np.uint8)


def _read(picture: Path, depth: Path, unit_m: float) -> Pair:
    image = _stored(picture)
    height, width = image.shape[:2]
    try:
        values = np.fromfile(depth, "<f4")
    except OSError as error:
        raise SourceError(f"{depth} cannot be read ({error.strerror or error})") from error
    if values.size != height * width:
        raise SourceError(
            f"{depth} holds {values.size} values, but its picture has {height}x{width} pixels"
        )
    return Pair(image, clean(values.reshape(height, width), unit_m))
