"""NYU Depth V2 (Silberman et al., ECCV 2012).

- ``nyu_depth_v2_labeled.mat`` (MATLAB v7.3, which is HDF5: ``images`` N,3,640,480 uint8 and
  ``depths`` N,640,480 in metres, as h5py shows them), with ``splits.mat`` (``testNdxs``, from 1)
  beside it for the 654 test images, else all 1449; DATASET is the .mat or its folder. Needs h5py.
- PNG in millimetres, as others ship it: ``SCENE/rgb_0001.png`` with ``SCENE/depth_0001.png``
  (Marigold), ``SCENE/rgb_00045.jpg`` with ``SCENE/sync_depth_00045.png`` (BTS, ZoeDepth), or
  ``00000_colors.png`` with ``00000_depth.png`` (DenseDepth's nyu2_test).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt_benchmarks.evaluation.datasets.base import (
    INVALID,
    SCALE,
    Dataset,
    Item,
    Pair,
    ReadOptions,
    lone_warning,
    missing_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import (
    MILLIMETRE,
    AnyCase,
    clean,
    read_pair,
)
from depthrt_benchmarks.evaluation.datasets.formats.matlab import (
    h5py_module,
    load_mat,
    require_shapes,
)
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "nyu"
MAT = "nyu_depth_v2_labeled.mat"
CUSTOMS = Customs(1e-3, 10.0, "nyu-eigen")
_DEPTH = re.compile(r"(sync_)?depth_\d{4,5}\.png|\d{5}_depth\.png", re.IGNORECASE)
_PICTURE = re.compile(r"rgb_(\d{4,5})\.(png|jpe?g)|(\d{5})_colors\.png", re.IGNORECASE)


def is_here(folder: Path) -> bool:
    """Whether this is the .mat, its folder, or one of the PNG trees."""
    if _mat(folder) is not None:
        return True
    names = AnyCase()
    return folder.is_dir() and any(_depth_of(p, names) for p in _pictures(folder))


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: a broken .mat, or no pair.
        UsageError: h5py or scipy is needed and missing.
    """
    mat = _mat(folder)
    if mat is not None:
        return _open_mat(mat)
    unit_m = options.depth_scale or MILLIMETRE
    items, missing, names = [], [], AnyCase()
    pictures = _pictures(folder)
    for picture in pictures:
        name = picture.relative_to(folder).with_suffix("").as_posix()
        depth = _depth_of(picture, names)
        if depth is None:
            missing.append(name)
            continue
        read = partial(read_pair, picture, depth, unit_m, options.invalid)
        items.append(Item(name, (picture, depth), read))
    require_items(items, folder, "rgb_0001.png with depth_0001.png in a folder for each scene")
    warnings = missing_warning(missing, "depth of their number", len(pictures))
    known = {(picture.parent, _number(picture)) for picture in pictures}
    depths = [p for p in folder.rglob("*") if _DEPTH.fullmatch(p.name)]
    lone = sorted(p.name for p in depths if (p.parent, _number(p)) not in known)
    warnings += lone_warning(lone)
    left_out = len(missing) + len(lone)
    return Dataset(
        "NYUv2",
        LAYOUT,
        items,
        CUSTOMS,
        warnings,
        left_out=left_out,
        assumed=() if options.depth_scale else ("depth files are in millimetres, as NYUv2's are",),
        uses_options=(SCALE, INVALID),
    )


def _number(path: Path) -> str:
    return "".join(c for c in path.stem if c.isdecimal())


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if _PICTURE.fullmatch(p.name))


def _depth_of(picture: Path, files: AnyCase) -> Path | None:
    found = _PICTURE.fullmatch(picture.name)
    if found is None:
        return None
    if found[3]:
        names = [f"{found[3]}_depth.png"]
    else:
        names = [f"{kind}_{found[1]}.png" for kind in ("depth", "sync_depth")]
    return next((p for n in names if (p := files.find(picture.with_name(n))) is not None), None)


def _mat(place: Path) -> Path | None:
    path = place if place.suffix.lower() == ".mat" else place / MAT
    return path if path.is_file() else None


def _open_mat(path: Path) -> Dataset:
    h5py = h5py_module(path)
    try:
        with h5py.File(path, "r") as file:
            count = int(file["images"].shape[0])
            fits = file["depths"].shape[0] == count
    except Exception as error:  # of a damaged file h5py raises what HDF5 met
        raise SourceError(f"{path} is no nyu_depth_v2_labeled.mat ({error})") from error
    if not fits:
        raise SourceError(f"{path} has not one depth map for each image")
    splits = path.with_name("splits.mat")
    warnings: tuple[str, ...] = ()
    numbers = np.arange(count)
    if splits.is_file():
        numbers = _test_numbers(splits)
        if numbers.size == 0 or numbers.min() < 0 or numbers.max() >= count:
            raise SourceError(f"{splits} names images that {path.name} does not hold")
    elif count > 1:
        warnings = (
            f"{splits.name} is not beside {path.name}: all {count} images are used, not the test "
            "split alone",
        )
    items = [Item(f"{n + 1:04d}", (path,), partial(_read_mat, path, int(n))) for n in numbers]
    return Dataset("NYUv2", LAYOUT, items, CUSTOMS, warnings, files=(splits,), uses_options=())


def _test_numbers(splits: Path) -> NDArray[np.intp]:
    """Which images are the test's, from 0."""
    try:
        return np.asarray(load_mat(splits)["testNdxs"]).ravel().astype(np.intp) - 1
    except (KeyError, ValueError, TypeError) as error:
        raise SourceError(f"{splits} has no testNdxs as NYUv2's has ({error})") from error


def _read_mat(path: Path, number: int) -> Pair:
    h5py: Any = h5py_module(path)
    try:
        with h5py.File(path, "r") as file:
            image = np.ascontiguousarray(file["images"][number].transpose(2, 1, 0))
            depth = np.ascontiguousarray(file["depths"][number].T)
    except Exception as error:  # of a damaged file h5py raises what HDF5 met
        raise SourceError(f"{path} cannot be read at image {number + 1} ({error})") from error
    return require_shapes(Pair(image.astype(np.uint8, copy=False), clean(depth)), path)
