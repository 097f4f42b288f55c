"""Depth files of common formats, read exactly, in metres."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.sources.images import quiet_opencv, read_image
from depthrt_benchmarks.evaluation.datasets.base import Pair, PairFacts, Truth
from depthrt_benchmarks.evaluation.datasets.formats.picture_facts import picture_notes

MILLIMETRE = 0.001
# Of several files for one picture, the first in this order is taken: the most exact.
DEPTH_SUFFIXES = (".npy", ".npz", ".pfm", ".exr", ".tiff", ".tif", ".png")
FARTHEST_M = 1e6  # what lies beyond is a code (1e10, the largest float), no distance
_TIFF = (".tif", ".tiff")


def read_values(path: Path) -> NDArray[Any]:
    """The numbers of a depth file as they are: PNG, TIFF, PFM, .npy, or the one array of .npz.

    EXR is tried with OpenCV, of which few builds read it.

    Returns:
        an array H,W of the file's own type, integer or floating point.

    Raises:
        SourceError: missing, unreadable, not of one channel and one page, or of no numbers.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        elif suffix == ".npz":
            values = _one_array(path)
        elif suffix == ".pfm":
            values = read_pfm(path)
        else:
            with quiet_opencv():
                content = np.fromfile(path, np.uint8)
                values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    except (OSError, ValueError, IndexError, EOFError, zipfile.BadZipFile, cv2.error) as error:
        if isinstance(error, cv2.error) and suffix == ".exr":
            raise SourceError(_no_exr(path)) from error
        raise SourceError(f"{path} cannot be read as depth ({error})") from error
    if values is None and suffix == ".exr":
        raise SourceError(_no_exr(path))
    if values is None:
        raise SourceError(f"{path} is no depth file that can be decoded")
    values = np.squeeze(np.asarray(values))
    if values.ndim != 2:
        raise SourceError(
            f"{path} has shape {tuple(values.shape)}, but depth has one channel: is it a coloured "
            "picture of depth?"
        )
    if not (np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)):
        raise SourceError(f"{path} holds {values.dtype}, but depth is whole or real numbers")
    if suffix in _TIFF and (pages := _pages(path)) > 1:
        raise SourceError(f"{path} has {pages} pages, but depth is one: save the one that it is")
    return values


def _one_array(path: Path) -> NDArray[Any]:
    """The array ``depth`` of an .npz, or the only one."""
    with np.load(path, allow_pickle=False) as archive:
        names = archive.files
        if "depth" not in names and len(names) > 1:
            raise ValueError(f"it holds {', '.join(names)}: name the one that is depth 'depth'")
        return np.asarray(archive["depth" if "depth" in names else names[0]])


def _pages(path: Path) -> int:
    with quiet_opencv():
        return int(cv2.imcount(str(path)))


def _no_exr(path: Path) -> str:
    return (
        f"{path} is EXR, which OpenCV {cv2.__version__} could not decode: its wheels are built "
        "without OpenEXR, or read it with OPENCV_IO_ENABLE_OPENEXR=1 in the environment alone; "
        "save depth as .npy, .tiff or .pfm"
    )


def read_pair(
    picture: Path, depth: Path, unit_m: float | None, invalid: tuple[float, ...] = ()
) -> Pair:
    """A picture with the depth file of its own.

    Args:
        picture: any image that `depthrt run` reads.
        depth: any file that :func:`read_values` reads.
        unit_m: metres of one unit; None: 0.001 for whole numbers, 1 for floating point.
        invalid: numbers that mean unknown. Besides them, these always do: 0 and less, NaN,
            infinity, what lies beyond 1000 km, and the largest whole number of the file's type
            (65535), which sensors write where nothing was measured, or nothing so far away.

    Raises:
        SourceError: one of them cannot be read.
    """
    image, values = read_image(picture), read_values(depth)
    scale = (MILLIMETRE if is_whole(values.dtype) else 1.0) if unit_m is None else unit_m
    most = np.iinfo(values.dtype).max if is_whole(values.dtype) else None
    codes = invalid if most is None else (*invalid, float(most))
    facts = PairFacts(
        str(values.dtype),
        0 if most is None else int(np.count_nonzero(values == most)),
        picture_notes(picture, image),
    )
    return Pair(image, clean(values, scale, codes), facts)


def is_whole(numbers: np.dtype[Any] | str) -> bool:
    """Whether numbers of a type are whole."""
    return bool(np.issubdtype(np.dtype(numbers), np.integer))


def clean(values: NDArray[Any], unit_m: float = 1.0, invalid: tuple[float, ...] = ()) -> Truth:
    """Values in metres as float32.

    What is not finite, not above 0, beyond :data:`FARTHEST_M` or marked invalid becomes 0.
    """
    with np.errstate(over="ignore"):  # of float64 beyond float32
        depth = values.astype(np.float32) * np.float32(unit_m)
    good = np.isfinite(depth) & (depth > 0) & (depth < FARTHEST_M)
    if invalid:
        good &= ~np.isin(values, invalid)
    return np.asarray(np.where(good, depth, 0), np.float32)


def read_pfm(path: Path) -> NDArray[np.float32]:
    """A one-channel portable float map (Debevec's PFM): rows from the bottom up."""
    content = path.read_bytes()
    parts = content.split(b"\n", 3)
    if len(parts) < 4 or parts[0].strip() != b"Pf":
        raise ValueError("no one-channel PFM")
    width, height = (int(number) for number in parts[1].split())
    scale = float(parts[2])
    if not math.isfinite(scale) or len(parts[3]) < 4 * width * height:
        raise ValueError("the PFM is cut off")
    order = "<f4" if scale < 0 else ">f4"
    values = np.frombuffer(parts[3], order, width * height).reshape(height, width)
    return np.ascontiguousarray(values[::-1]).astype(np.float32)


def files_of(folder: Path, suffixes: Collection[str], pattern: str = "*") -> list[Path]:
    """Files below a folder that match a pattern and end so, in upper or lower case, sorted."""
    return sorted(p for p in folder.glob(pattern) if p.suffix.lower() in suffixes)


class AnyCase:
    """Finds files by name, also where a name is in other letters (``1.PNG`` for ``1.png``)."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, Path]] = {}

    def find(self, path: Path) -> Path | None:
        """The file, else one whose name differs by upper and lower case alone, else None."""
        if path.is_file():
            return path
        folder = path.parent
        if folder not in self._folders:
            inside = sorted(folder.iterdir()) if folder.is_dir() else []
            self._folders[folder] = {p.name.lower(): p for p in inside if p.is_file()}
        return self._folders[folder].get(path.name.lower())


def read_number_lines(path: Path) -> list[list[str]]:
    """The words of each line that is neither empty nor a comment.

    Raises:
        SourceError: the file cannot be read as text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as text ({error})") from error
    return [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
