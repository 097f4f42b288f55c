"""A plain folder of pictures and depth files that belong together by name.

Either two folders side by side (``rgb``, ``images``, ``image``, ``color`` or ``colour``; ``depth``,
``depths``, ``gt`` or ``ground_truth``), sub-folders included, with one stem: ``rgb/a/1.jpg`` and
``depth/a/1.png``; or one folder with ``NAME.jpg`` and ``NAME_depth.png`` (also ``NAME-depth``,
``NAME.depth``) or ``NAME.npy``. Depth is PNG, TIFF, PFM, .npy or .npz; whole numbers are
millimetres and floating point metres, unless ``--depth-scale`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from depthrt.sources.images import IMAGE_SUFFIXES, natural_order, read_image
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
from depthrt_benchmarks.evaluation.datasets.formats.files import DEPTH_SUFFIXES, read_depth
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "pairs"
_PICTURE_FOLDERS = ("rgb", "images", "image", "color", "colour")
_DEPTH_FOLDERS = ("depth", "depths", "gt", "ground_truth")
_ENDINGS = ("_depth", "-depth", ".depth")
_CAP_M = 80.0


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return _folders(folder) is not None or any(_in_one(folder)[1])


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: there is no pair.
    """
    sides = _folders(folder)
    if sides is None:
        pictures, partners = _in_one(folder)
        root = folder
        found = [p for p in folder.iterdir() if p.stem.endswith(_ENDINGS) and _is_depth(p)]
    else:
        root = sides[0]
        pictures = [p for p in _files(root) if p.suffix.lower() in IMAGE_SUFFIXES]
        depths = {_stem(p, sides[1]): p for p in _files(sides[1]) if p.suffix in DEPTH_SUFFIXES}
        partners = [depths.get(_stem(p, root)) for p in pictures]
        found = list(depths.values())
    items, missing = [], []
    for picture, depth in zip(pictures, partners, strict=True):
        if depth is None:
            missing.append(str(picture.relative_to(folder)))
            continue
        read = partial(_read, picture, depth, options.depth_scale)
        items.append(Item(_stem(picture, root), (picture, depth), read))
    require_items(
        items, folder, "rgb/NAME.jpg with depth/NAME.png, or NAME.jpg with NAME_depth.png"
    )
    warnings = missing_warning(missing, "depth file of their name", len(pictures))
    lone = lone_depths(found, items)
    return Dataset(
        folder.resolve().name,
        LAYOUT,
        items,
        Customs(1e-3, _CAP_M),
        warnings + lone_warning(lone),
        left_out=len(missing) + len(lone),
    )


def _read(picture: Path, depth: Path, unit_m: float | None) -> Pair:
    return Pair(read_image(picture), read_depth(depth, unit_m))


def _folders(folder: Path) -> tuple[Path, Path] | None:
    picture = next((folder / n for n in _PICTURE_FOLDERS if (folder / n).is_dir()), None)
    depth = next((folder / n for n in _DEPTH_FOLDERS if (folder / n).is_dir()), None)
    return None if picture is None or depth is None else (picture, depth)


def _in_one(folder: Path) -> tuple[list[Path], list[Path | None]]:
    files = [p for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
    depths = {p.name: p for p in files if p.suffix in DEPTH_SUFFIXES}
    pictures = sorted(
        (p for p in files if p.suffix.lower() in IMAGE_SUFFIXES and not p.stem.endswith(_ENDINGS)),
        key=natural_order,
    )
    return pictures, [_beside(p, depths) for p in pictures]


def _beside(picture: Path, depths: dict[str, Path]) -> Path | None:
    names = [f"{picture.stem}{e}{s}" for e in (*_ENDINGS, "") for s in DEPTH_SUFFIXES]
    found = (depths[name] for name in names if name in depths and name != picture.name)
    return next((p for p in found if p.stem != picture.stem or p.suffix in _ARRAYS), None)


_ARRAYS = (".npy", ".npz", ".pfm", ".exr")


def _files(folder: Path) -> Iterable[Path]:
    return sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.as_posix())


def _is_depth(path: Path) -> bool:
    return path.suffix in DEPTH_SUFFIXES and path.is_file()


def _stem(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()
