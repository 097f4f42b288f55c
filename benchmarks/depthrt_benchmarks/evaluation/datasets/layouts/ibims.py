"""iBims-1 (Koch et al., ECCVW 2018): 100 indoor images with laser-scanned depth.

``imagelist.txt`` with, below DATASET or ``ibims1_core_mat``, ``NAME.mat`` (before v7.3; struct
``data`` with ``rgb``, ``depth`` in metres, ``mask_invalid`` and ``mask_transp``, 1 where good); or
``ibims1_core_raw`` with PNG files in ``rgb``, ``depth`` (65535 is 50 m), ``mask_invalid`` and
``mask_transp``. A pixel counts where both masks are above 0, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from depthrt.errors import SourceError
from depthrt.sources.images import read_image
from depthrt_benchmarks.evaluation.datasets.base import (
    Dataset,
    Item,
    Pair,
    ReadOptions,
    missing_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import (
    AnyCase,
    clean,
    files_of,
    read_number_lines,
    read_values,
)
from depthrt_benchmarks.evaluation.datasets.formats.matlab import load_mat, require_shapes
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "ibims"
LIST = "imagelist.txt"
RAW_UNIT_M = 50 / 65535
_MASKS = ("mask_invalid", "mask_transp")


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return (folder / LIST).is_file()


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: there is no pair.
    """
    names = [word for words in read_number_lines(folder / LIST) for word in words]
    places = (folder, folder / "ibims1_core_mat")
    mats = next((p for p in places if p.is_dir() and files_of(p, (".mat",))), None)
    raw = next((p for p in (folder / "ibims1_core_raw", folder) if (p / "rgb").is_dir()), None)
    items, missing, bare, files = [], [], 0, AnyCase()
    for name in names:
        mat = None if mats is None else files.find(mats / f"{name}.mat")
        depth = None if raw is None else files.find(raw / "depth" / f"{name}.png")
        if mat is not None:
            items.append(Item(name, (mat,), partial(_read_mat, mat)))
        elif raw is not None and depth is not None:
            place = raw / "rgb" / f"{name}.png"
            picture = files.find(place) or place
            unit_m = options.depth_scale or RAW_UNIT_M
            sides = [_mask(depth, kind) for kind in _MASKS]
            masks = tuple(files.find(path) or path for path in sides)
            bare += not all(path.is_file() for path in masks)
            read = partial(_read_raw, picture, depth, masks, unit_m)
            items.append(Item(name, (picture, depth, *masks), read))
        else:
            missing.append(name)
    require_items(items, folder, f"{LIST} with ibims1_core_mat/NAME.mat")
    warnings = missing_warning(missing, ".mat", len(names))
    if bare:
        warnings += (f"{bare} of {len(items)} images lack a mask: all of their pixels count",)
    return Dataset(
        "iBims-1",
        LAYOUT,
        items,
        Customs(1e-3, 50.0),
        warnings,
        files=(folder / LIST,),
        left_out=len(missing),
    )


def _mask(depth: Path, kind: str) -> Path:
    return depth.parent.parent / kind / depth.name


def _read_mat(path: Path) -> Pair:
    content = load_mat(path)
    try:
        data = content["data"]
        image, depth, *masks = (data[key][0, 0] for key in ("rgb", "depth", *_MASKS))
        valid = np.logical_and(*(mask > 0 for mask in masks))
        pair = Pair(np.ascontiguousarray(image, np.uint8), clean(np.where(valid, depth, 0)))
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise SourceError(f"{path} does not hold data as iBims-1 has it ({error})") from error
    return require_shapes(pair, path)


def _read_raw(picture: Path, depth: Path, masks: Sequence[Path], unit_m: float) -> Pair:
    values = read_values(depth)
    for mask in masks:
        if mask.is_file():
            valid = read_values(mask)
            if valid.shape != values.shape:
                raise SourceError(f"{depth} is {values.shape}, but its {mask} {valid.shape}")
            values = np.where(valid > 0, values, 0)
    return Pair(read_image(picture), clean(values, unit_m))
