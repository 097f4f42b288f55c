"""DIODE (Vasiljevic et al. 2019): ``NAME.png``, ``NAME_depth.npy`` and ``NAME_depth_mask.npy``.

Below ``{indoors,outdoor}/scene_*/scan_*``; depth is float32 768,1024,1 in metres, the mask is 1
where it is valid. Range 0.6-350 m, as in Marigold's evaluation; indoor and outdoor are better
evaluated apart: give ``val/indoors`` and ``val/outdoor``.
"""

from __future__ import annotations

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
    lone_warning,
    missing_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import (
    AnyCase,
    clean,
    files_of,
    read_values,
)
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "diode"


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return any(p.suffix.lower() == ".npy" for p in folder.rglob("*_depth_mask.*"))


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: there is no pair.
    """
    pictures = files_of(folder, (".png",), "**/*")
    items, missing, files = [], [], AnyCase()
    for picture in pictures:
        depth, mask = (
            files.find(picture.with_name(f"{picture.stem}_{what}.npy"))
            for what in ("depth", "depth_mask")
        )
        name = picture.relative_to(folder).with_suffix("").as_posix()
        if depth is None or mask is None:
            missing.append(name)
            continue
        read = partial(_read, picture, depth, mask, options.depth_scale or 1.0)
        items.append(Item(name, (picture, depth, mask), read))
    require_items(items, folder, "NAME.png with NAME_depth.npy and NAME_depth_mask.npy")
    warnings = missing_warning(missing, "depth or mask", len(pictures))
    part = folder.resolve().name
    name = f"DIODE {part}" if part in ("indoors", "outdoor") else "DIODE"
    depths = files_of(folder, (".npy",), "**/*_depth.*")
    lone = [p.name for p in depths if files.find(_picture_of(p)) is None]
    warnings += lone_warning(lone)
    left_out = len(missing) + len(lone)
    return Dataset(name, LAYOUT, items, Customs(0.6, 350.0), warnings, left_out=left_out)


def _picture_of(depth: Path) -> Path:
    return depth.with_name(f"{depth.stem.removesuffix('_depth')}.png")


def _read(picture: Path, depth: Path, mask: Path, unit_m: float) -> Pair:
    values, valid = read_values(depth), read_values(mask)
    if values.shape != valid.shape:
        raise SourceError(f"{depth} is {values.shape}, but its mask {valid.shape}")
    return Pair(read_image(picture), clean(np.where(valid > 0, values, 0), unit_m))
