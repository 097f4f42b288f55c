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

from depthrt_benchmarks.evaluation.datasets.base import (
    INVALID,
    SCALE,
    Dataset,
    Item,
    ReadOptions,
    lone_depths,
    lone_warning,
    missing_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import (
    AnyCase,
    files_of,
    read_number_lines,
    read_pair,
)
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
        return _benchmark(selection, unit_m, options)
    pictures = {_key(p, -4): p for p in _raw_pictures(folder)}
    place, listed = _list(folder)
    truths = {_key(p, -5): p for p in _truths(folder)}
    keys = sorted(truths) if listed is None else [key for key in listed if key]
    items, missing = [], []
    for key in keys:
        picture, depth = pictures.get(key), truths.get(key)
        if picture is None or depth is None:
            missing.append("/".join(key))
            continue
        read = partial(read_pair, picture, depth, unit_m, options.invalid)
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
    return Dataset(
        name,
        LAYOUT,
        items,
        EIGEN,
        warnings,
        left_out=len(missing),
        assumed=() if listed is None else (f"the images are those of {place.name}",),
        uses_options=(SCALE, INVALID),
    )


Key = tuple[str, str, str]  # drive, camera, frame


def _key(path: Path, drive: int) -> Key:
    camera = path.parts[-3] if path.parts[-2] == "data" else path.parts[-2]
    return path.parts[drive], camera, path.stem


def _raw_pictures(folder: Path) -> list[Path]:
    return files_of(folder, (".png", ".jpg", ".jpeg"), "**/*_sync/image_0?/data/*")


def _truths(folder: Path) -> Iterator[Path]:
    found = folder.rglob("*_sync/proj_depth/groundtruth/image_0?/*")
    return (path for path in found if path.suffix.lower() == ".png")


def _list(folder: Path) -> tuple[Path, list[Key | None] | None]:
    """The list and the keys of its lines, None for a line without ground truth; None: no list."""
    for path in sorted(folder.glob("*.txt")):
        lines = read_number_lines(path)
        if lines and all(len(words) >= 2 and "image_0" in words[0] for words in lines):
            return path, [_listed(words) for words in lines]
        if lines and all(len(words) == 3 and words[2] in _SIDES for words in lines):
            return path, [
                (PurePosixPath(drive).name, _SIDES[side], frame.zfill(10))
                for drive, frame, side in lines
            ]
    return folder, None


def _listed(words: list[str]) -> Key | None:
    if words[1] == "None":
        return None
    parts = PurePosixPath(words[0]).parts
    return parts[-4], parts[-3], PurePosixPath(words[0]).stem


def _selection(folder: Path) -> Path | None:
    places = (folder, folder / _SELECTION, folder / "depth_selection" / _SELECTION)
    return next((p for p in places if (p / "groundtruth_depth").is_dir()), None)


def _benchmark(folder: Path, unit_m: float, options: ReadOptions) -> Dataset:
    pictures = files_of(folder / "image", (".png",))
    items, missing, files = [], [], AnyCase()
    for picture in pictures:
        name = picture.name.replace("_sync_image_", "_sync_groundtruth_depth_")
        depth = files.find(folder / "groundtruth_depth" / name)
        if depth is None:
            missing.append(picture.name)
            continue
        read = partial(read_pair, picture, depth, unit_m, options.invalid)
        items.append(Item(picture.stem, (picture, depth), read))
    require_items(items, folder, "image/*.png with groundtruth_depth/*.png")
    warnings = missing_warning(missing, "groundtruth_depth", len(pictures))
    lone = lone_depths(files_of(folder / "groundtruth_depth", (".png",)), items)
    warnings += lone_warning(lone)
    left_out = len(missing) + len(lone)
    name = "KITTI depth benchmark"
    return Dataset(
        name, LAYOUT, items, BENCHMARK, warnings, left_out=left_out, uses_options=(SCALE, INVALID)
    )
