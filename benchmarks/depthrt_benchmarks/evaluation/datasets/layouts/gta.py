"""Captures of GTA V: 8-bit RGBA pictures and the game's depth buffer.

``rgba/NAME.png`` and ``depth/NAME`` as .npy or .tiff (float32, the buffer's own 0..1), .raw
(float32, little-endian, row by row, the picture's size) or 16-bit .png (buffer times 65535); or, in
one folder as GTAVisionExport writes them, ``NAME.png`` (or .jpg, .tiff) with ``NAME-depth``.
``camera.json``, if there: ``near_m`` and ``far_m``, for all frames, or by name under ``frames``;
``--near`` and ``--far`` win over it. Without either: 0.15 m and 10003.815 m, the game's own camera
(captures by scripted cameras often have a near plane of 1.5 m: say so).

The buffer is reversed and nonlinear: 1 at the near plane, 0 at the far plane (sky), and for a
point z metres in front of the camera, along the optical axis, with near n and far f,

    d = n (f - z) / (z (f - n))     so that     z = n f / (d (f - n) + n)

which is the usual Direct3D perspective depth with n and f in each other's place. Alpha is dropped.
A buffer of 0 is sky and has no depth.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError
from depthrt.files.json_file import JsonObject, read_object
from depthrt.sources.images import read_image
from depthrt_benchmarks.evaluation.datasets.base import (
    FAR,
    NEAR,
    Dataset,
    Item,
    Pair,
    ReadOptions,
    Truth,
    lone_warning,
    missing_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import AnyCase, clean, read_values
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "gta"
CAMERA_FILE = "camera.json"
_PICTURES = (".png", ".tiff", ".tif", ".jpg")
_DEPTHS = (".npy", ".tiff", ".tif", ".exr", ".raw", ".png")


@dataclass(frozen=True)
class ClipPlanes:
    """The camera's clip planes in metres."""

    near_m: float = 0.15
    far_m: float = 10003.815

    def __post_init__(self) -> None:
        if not 0 < self.near_m < self.far_m:
            raise UsageError(
                f"a near plane of {self.near_m:g} m and a far plane of {self.far_m:g} m: they must "
                "be 0 < near < far"
            )


def metres_of_buffer(buffer: NDArray[Any], clip: ClipPlanes) -> NDArray[np.float64]:
    """Depth along the optical axis, in metres, of a reversed depth buffer (1 near, 0 far)."""
    d = buffer.astype(np.float64)
    return clip.near_m * clip.far_m / (d * (clip.far_m - clip.near_m) + clip.near_m)


def buffer_of_metres(depth_m: NDArray[Any], clip: ClipPlanes) -> NDArray[np.float64]:
    """What the game writes for depth along the optical axis: the inverse of the above."""
    z = depth_m.astype(np.float64)
    return clip.near_m * (clip.far_m - z) / (z * (clip.far_m - clip.near_m))


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return (folder / "rgba").is_dir() or next(folder.glob("*-depth.*"), None) is not None


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: a camera.json that cannot be read, or no pair.
        UsageError: clip planes that are not 0 < near < far.
    """
    facts = _camera_facts(folder / CAMERA_FILE)
    if (folder / "rgba").is_dir():
        pictures = sorted(p for p in (folder / "rgba").glob("*") if p.suffix.lower() in _PICTURES)
        places = [folder / "depth" / p.stem for p in pictures]
    else:
        pictures = sorted(
            p
            for p in folder.glob("*")
            if p.suffix.lower() in _PICTURES and not p.stem.endswith(("-depth", "-stencil"))
        )
        places = [p.with_name(f"{p.stem}-depth") for p in pictures]
    items, missing, names = [], [], AnyCase()
    for picture, place in zip(pictures, places, strict=True):
        files = (names.find(place.with_name(f"{place.name}{suffix}")) for suffix in _DEPTHS)
        depth = next(filter(None, files), None)
        if depth is None:
            missing.append(picture.name)
            continue
        clip = _clip(facts, picture.stem, options)
        items.append(Item(picture.stem, (picture, depth), partial(_read, picture, depth, clip)))
    require_items(items, folder, "rgba/NAME.png with the depth buffer depth/NAME.npy (or .tiff)")
    warnings = missing_warning(missing, "depth buffer", len(pictures))
    known = {place.name for place in places}
    buffers = (
        (folder / "depth").glob("*") if (folder / "rgba").is_dir() else folder.glob("*-depth.*")
    )
    lone = sorted(p.name for p in buffers if p.suffix.lower() in _DEPTHS and p.stem not in known)
    return Dataset(
        folder.resolve().name,
        LAYOUT,
        items,
        Customs(1e-3, 80.0),
        warnings + lone_warning(lone),
        files=(folder / CAMERA_FILE,),
        left_out=len(missing) + len(lone),
        assumed=_assumed(facts, options),
        uses_options=(NEAR, FAR),
    )


def _read(picture: Path, depth: Path, clip: ClipPlanes) -> Pair:
    image = read_image(picture)
    buffer = _raw(depth, image.shape[:2]) if depth.suffix.lower() == ".raw" else read_values(depth)
    return Pair(image, truth_of_buffer(buffer, clip, depth))


def truth_of_buffer(buffer: NDArray[Any], clip: ClipPlanes, path: Path) -> Truth:
    """Metres (float32), 0 for sky.

    Raises:
        SourceError: values outside 0..1, so no depth buffer.
    """
    if buffer.dtype == np.uint16:
        buffer = buffer / 65535
    elif not np.issubdtype(buffer.dtype, np.floating):
        raise SourceError(f"{path} is {buffer.dtype}: a depth buffer is float32, or 16-bit PNG")
    low, high = float(np.nanmin(buffer)), float(np.nanmax(buffer))
    if not (low >= 0 and high <= 1):
        raise SourceError(
            f"{path} holds values from {low:g} to {high:g}, but a depth buffer lies in 0..1: if "
            "they are metres, use --layout pairs"
        )
    return clean(np.where(buffer > 0, metres_of_buffer(buffer, clip), 0))


def _raw(path: Path, size: tuple[int, ...]) -> NDArray[np.float32]:
    try:
        values = np.fromfile(path, "<f4")
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error})") from error
    if values.size != size[0] * size[1]:
        raise SourceError(
            f"{path} holds {values.size} values, but its picture has {size[0]}x{size[1]} pixels"
        )
    return values.reshape(size[0], size[1]).astype(np.float32)


def _camera_facts(path: Path) -> JsonObject:
    if not os.path.lexists(path):
        return JsonObject({}, str(path))
    return read_object(path)


def _clip(facts: JsonObject, name: str, options: ReadOptions) -> ClipPlanes:
    said = [facts]
    if "frames" in facts.content:
        frames = facts.object("frames")
        said = [frames.object(name), facts] if name in frames.content else said
    return ClipPlanes(
        options.near_m or _plane("near_m", said, ClipPlanes.near_m),
        options.far_m or _plane("far_m", said, ClipPlanes.far_m),
    )


def _assumed(facts: JsonObject, options: ReadOptions) -> tuple[str, ...]:
    """That the clip planes are the game's own, where neither the options nor the file say them."""
    told = {
        f"near plane {ClipPlanes.near_m:g} m ({NEAR})": (options.near_m, "near_m"),
        f"far plane {ClipPlanes.far_m:g} m ({FAR})": (options.far_m, "far_m"),
    }
    guessed = [
        words
        for words, (option, key) in told.items()
        if option is None and key not in facts.content and "frames" not in facts.content
    ]
    return (f"{' and '.join(guessed)}: the game's own camera",) if guessed else ()


def _plane(key: str, said: Sequence[JsonObject], standard: float) -> float:
    """The plane of this frame, else that of all frames, else the game's own."""
    return next((each.number(key) for each in said if key in each.content), standard)
