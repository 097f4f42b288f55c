"""A plain folder of pictures and depth files that belong together by name.

Either two folders side by side (``rgb``, ``images``, ``image``, ``color`` or ``colour``; ``depth``,
``depths``, ``gt`` or ``ground_truth``), sub-folders included, with one stem: ``rgb/a/1.jpg`` and
``depth/a/1.png``; or one folder with ``NAME.jpg`` and ``NAME_depth.png`` (also ``NAME-depth``,
``NAME.depth``) or ``NAME.npy``. Depth is .npy, .npz, PFM, TIFF or PNG, of several the first in this
order; whole numbers are millimetres and floating point metres, unless ``--depth-scale`` says
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from depthrt.sources.images import IMAGE_SUFFIXES, natural_order
from depthrt_benchmarks.evaluation.datasets.base import (
    INVALID,
    SCALE,
    Dataset,
    Item,
    ReadOptions,
    lone_warning,
    missing_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import DEPTH_SUFFIXES, read_pair
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "pairs"
_PICTURE_FOLDERS = ("rgb", "images", "image", "color", "colour")
_DEPTH_FOLDERS = ("depth", "depths", "gt", "ground_truth")
_ENDINGS = ("_depth", "-depth", ".depth")
_ARRAYS = (".npy", ".npz", ".pfm", ".exr")  # never pictures, so NAME alone is enough
_CAP_M = 80.0


@dataclass(frozen=True)
class _Files:
    """Pictures with their depth files, the best first; ``lone``: depth files of no picture."""

    root: Path
    pairs: Sequence[tuple[Path, Sequence[Path]]]
    lone: Sequence[str]
    assumed: tuple[str, ...] = ()


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    if _folders(folder, _PICTURE_FOLDERS) and _folders(folder, _DEPTH_FOLDERS):
        return True
    return folder.is_dir() and any(depths for _, depths in _in_one(folder).pairs)


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: there is no pair.
    """
    pictures, depths = _folders(folder, _PICTURE_FOLDERS), _folders(folder, _DEPTH_FOLDERS)
    found = _side_by_side(pictures, depths) if pictures and depths else _in_one(folder)
    items = [
        Item(
            _stem(picture, found.root),
            (picture, own[0]),
            partial(read_pair, picture, own[0], options.depth_scale, options.invalid),
        )
        for picture, own in found.pairs
        if own
    ]
    require_items(
        items, folder, "rgb/NAME.jpg with depth/NAME.png, or NAME.jpg with NAME_depth.png"
    )
    missing = [str(picture.relative_to(folder)) for picture, own in found.pairs if not own]
    warnings = missing_warning(missing, "depth file of their name", len(found.pairs))
    return Dataset(
        folder.resolve().name,
        LAYOUT,
        items,
        Customs(1e-3, _CAP_M),
        warnings + lone_warning(found.lone) + _several(found),
        left_out=len(missing) + len(found.lone),
        assumed=found.assumed,
        unit_assumed=options.depth_scale is None,
        uses_options=(SCALE, INVALID),
    )


def _several(found: _Files) -> tuple[str, ...]:
    """The warning about pictures that have more than one depth file."""
    first = next((own for _, own in found.pairs if len(own) > 1), None)
    if first is None:
        return ()
    count = sum(len(own) > 1 for _, own in found.pairs)
    return (
        f"{count} of {len(found.pairs)} pictures have several depth files, of which one was taken "
        f"(first: {first[0].name}, not {first[1].name})",
    )


def _folders(folder: Path, names: Sequence[str]) -> list[Path]:
    return [folder / name for name in names if (folder / name).is_dir()]


def _side_by_side(pictures_in: Sequence[Path], depths_in: Sequence[Path]) -> _Files:
    root, depth_root = pictures_in[0], depths_in[0]
    by_stem: dict[str, list[Path]] = {}
    for path in _best_first(p for p in depth_root.rglob("*") if _is_depth(p)):
        by_stem.setdefault(_stem(path, depth_root), []).append(path)
    pictures = sorted((p for p in root.rglob("*") if _is_picture(p)), key=lambda p: p.as_posix())
    stems = {_stem(picture, root) for picture in pictures}
    others = [path.name for path in (*pictures_in[1:], *depths_in[1:])]
    return _Files(
        root,
        [(picture, by_stem.get(_stem(picture, root), ())) for picture in pictures],
        sorted(own[0].name for stem, own in by_stem.items() if stem not in stems),
        (f"{root.name} and {depth_root.name} are read, not {', '.join(others)}",) if others else (),
    )


def _in_one(folder: Path) -> _Files:
    files = [p for p in folder.iterdir() if p.is_file()]
    by_stem: dict[str, list[Path]] = {}
    for path in _best_first(filter(_is_depth, files)):
        stem, ending = _without_ending(path.stem)
        if ending or path.suffix.lower() in _ARRAYS:
            by_stem.setdefault(stem, []).append(path)
    pictures = sorted(
        (p for p in files if _is_picture(p) and not p.stem.endswith(_ENDINGS)), key=natural_order
    )
    stems = {picture.stem for picture in pictures}
    lone = [
        path.name
        for stem, own in by_stem.items()
        if stem not in stems
        for path in own
        if path.stem.endswith(_ENDINGS)
    ]
    return _Files(folder, [(p, by_stem.get(p.stem, ())) for p in pictures], sorted(lone))


def _without_ending(stem: str) -> tuple[str, str]:
    """A stem without ``_depth`` and its like, and that ending; empty where there is none."""
    ending = next((e for e in _ENDINGS if stem.endswith(e)), "")
    return stem.removesuffix(ending), ending


def _best_first(files: Iterable[Path]) -> list[Path]:
    """By how exact their form is, then by name."""
    return sorted(files, key=lambda p: (DEPTH_SUFFIXES.index(p.suffix.lower()), p.as_posix()))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _is_depth(path: Path) -> bool:
    return path.suffix.lower() in DEPTH_SUFFIXES and path.is_file()


def _stem(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()
