"""KITTI (Geiger et al. 2013; annotated depth of Uhrig et al., 3DV 2017): PNG/256 m, 0 unknown.

- The Eigen split, or any drives: pictures of the raw data ``DATE/DRIVE_sync/image_02/data/N.png``
  (or .jpg) and annotated depth ``DRIVE_sync/proj_depth/groundtruth/image_02/N.png``, each anywhere
  below DATASET (also under ``raw/``, ``train/``, ``val/``, ``gts/``). A list at the top of DATASET
  restricts it to its lines: that of BTS (``kitti_eigen_test_files_with_gt.txt``: picture, depth or
  ``None``, focal length) or of monodepth2 (``test_files.txt``: ``DATE/DRIVE_sync``, frame, ``l`` or
  ``r``). Without one, all depth maps with a picture are used.
- The selected validation images of the depth benchmark: ``val_selection_cropped/image`` and
  ``val_selection_cropped/groundtruth_depth``, already 352x1216.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from depthrt.sources.images import read_image
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
from depthrt_benchmarks.evaluation.datasets.formats.files import read_depth, read_number_lines
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "kitti"
UNIT_M = 1 / 256
EIGEN = Customs(1e-3, 80.0, "garg")
BENCHMARK = Customs(1e-3, 80.0)
_SIDES = {"l": "image_02", "r": "image_03"}
_SELECTION = "val_selection_cropped"


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return _selection(folder) is not None or next(_truths(folder), None) is not None


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: there is no pair.
    """
    unit_m = options.depth_scale or UNIT_M
    selection = _selection(folder)
    if selection is not None:
        return _benchmark(selection, unit_m)
    pictures = {_key(p, -4): p for p in _raw_pictures(folder)}
    listed = _list(folder)
    truths = {_key(p, -5): p for p in _truths(folder)}
    keys = sorted(truths) if listed is None else [key for key in listed if key]
    items, missing = [], []
    for key in keys:
        picture, depth = pictures.get(key), truths.get(key)
        if picture is None or depth is None:
            missing.append("/".join(key))
            continue
        read = partial(_read, picture, depth, unit_m)
        items.append(Item("/".join(key), (picture, depth), read))
    require_items(
        items, folder, "DATE/DRIVE_sync/image_02/data/N.png with proj_depth/groundtruth/image_02"
    )
    noun = "picture" if listed is None else "picture or depth map here"
    warnings = missing_warning(missing, noun, len(keys))
    if listed is not None and None in listed:
        count = sum(key is None for key in listed)
        warnings = (*warnings, f"{count} lines of the list have no ground truth (None)")
    name = "KITTI" if listed is None else "KITTI Eigen"
    return Dataset(name, LAYOUT, items, EIGEN, warnings, left_out=len(missing))


def _read(picture: Path, depth: Path, unit_m: float) -> Pair:
    return Pair(read_image(picture), read_depth(depth, unit_m))


Key = tuple[str, str, str]  # drive, camera, frame


def _key(path: Path, drive: int) -> Key:
    camera = path.parts[-3] if path.parts[-2] == "data" else path.parts[-2]
    return path.parts[drive], camera, path.stem


def _raw_pictures(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*_sync/image_0?/data/*") if p.suffix in (".png", ".jpg")]


def _truths(folder: Path) -> Iterator[Path]:
    return folder.rglob("*_sync/proj_depth/groundtruth/image_0?/*.png")


def _list(folder: Path) -> list[Key | None] | None:
    """The keys of the list's lines, None for a line without ground truth; None: no list."""
    for path in sorted(folder.glob("*.txt")):
        lines = read_number_lines(path)
        if lines and all(len(words) >= 2 and "image_0" in words[0] for words in lines):
            return [_listed(words) for words in lines]
        if lines and all(len(words) == 3 and words[2] in _SIDES for words in lines):
            return [
                (PurePosixPath(drive).name, _SIDES[side], frame.zfill(10))
                for drive, frame, side in lines
            ]
    return None


def _listed(words: list[str]) -> Key | None:
    if words[1] == "None":
        return None
    parts = PurePosixPath(words[0]).parts
    return parts[-4], parts[-3], PurePosixPath(words[0]).stem


def _selection(folder: Path) -> Path | None:
    places = (folder, folder / _SELECTION, folder / "depth_selection" / _SELECTION)
    return next((p for p in places if (p / "groundtruth_depth").is_dir()), None)


def _benchmark(folder: Path, unit_m: float) -> Dataset:
    pictures = sorted((folder / "image").glob("*.png"))
    items, missing = [], []
    for picture in pictures:
        depth = (
            folder
            / "groundtruth_depth"
            / picture.name.replace("_sync_image_", "_sync_groundtruth_depth_")
        )
        if not depth.is_file():
            missing.append(picture.name)
            continue
        read = partial(_read, picture, depth, unit_m)
        items.append(Item(picture.stem, (picture, depth), read))
    require_items(items, folder, "image/*.png with groundtruth_depth/*.png")
    warnings = missing_warning(missing, "groundtruth_depth", len(pictures))
    lone = lone_depths((folder / "groundtruth_depth").glob("*.png"), items)
    warnings += lone_warning(lone)
    left_out = len(missing) + len(lone)
    name = "KITTI depth benchmark"
    return Dataset(name, LAYOUT, items, BENCHMARK, warnings, left_out=left_out)
