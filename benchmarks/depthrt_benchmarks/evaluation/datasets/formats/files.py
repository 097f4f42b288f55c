"""Depth files of common formats, read exactly, in metres."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.sources.images import quiet_opencv
from depthrt_benchmarks.evaluation.datasets.base import Truth

MILLIMETRE = 0.001
DEPTH_SUFFIXES = (".png", ".npy", ".npz", ".tif", ".tiff", ".pfm", ".exr")


def read_values(path: Path) -> NDArray[Any]:
    """The numbers of a depth file as they are: PNG, TIFF, PFM, .npy, or the one array of .npz.

    EXR is tried with OpenCV, of which few builds read it.

    Returns:
        an array H,W of the file's own type.

    Raises:
        SourceError: missing, unreadable, or with more than one channel.
    """
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                values = archive["depth" if "depth" in archive.files else archive.files[0]]
        elif path.suffix == ".pfm":
            values = read_pfm(path)
        else:
            with quiet_opencv():
                content = np.fromfile(path, np.uint8)
                values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    except (OSError, ValueError, IndexError, EOFError, zipfile.BadZipFile, cv2.error) as error:
        if isinstance(error, cv2.error) and path.suffix == ".exr":
            raise SourceError(_no_exr(path)) from error
        raise SourceError(f"{path} cannot be read as depth ({error})") from error
    if values is None and path.suffix == ".exr":
        raise SourceError(_no_exr(path))
    if values is None:
        raise SourceError(f"{path} is no depth file that can be decoded")
    values = np.squeeze(np.asarray(values))
    if values.ndim != 2:
        raise SourceError(
            f"{path} has shape {tuple(values.shape)}, but depth has one channel: is it a coloured "
            "picture of depth?"
        )
    return values


def _no_exr(path: Path) -> str:
    return (
        f"{path} is EXR, which OpenCV {cv2.__version__} could not decode: its wheels are built "
        "without OpenEXR, or read it with OPENCV_IO_ENABLE_OPENEXR=1 in the environment alone; "
        "save depth as .npy, .tiff or .pfm"
    )


def read_depth(path: Path, unit_m: float | None, invalid: tuple[float, ...] = ()) -> Truth:
    """A depth file in metres, 0 where unknown.

    Args:
        unit_m: metres of one unit; None: 0.001 for whole numbers, 1 for floating point.
        invalid: values that mean unknown, besides 0, NaN and infinity.
    """
    values = read_values(path)
    whole = np.issubdtype(values.dtype, np.integer)
    scale = (MILLIMETRE if whole else 1.0) if unit_m is None else unit_m
    return clean(values, scale, invalid)


def clean(values: NDArray[Any], unit_m: float = 1.0, invalid: tuple[float, ...] = ()) -> Truth:
    """Values in metres as float32; what is not finite, not above 0 or marked invalid becomes 0."""
    depth = values.astype(np.float32) * np.float32(unit_m)
    good = np.isfinite(depth) & (depth > 0)
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
