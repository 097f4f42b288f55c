"""Reads the label cache that `prepare.py` writes: samples by source, some held out."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

ByteImage = npt.NDArray[np.uint8]
FloatMap = npt.NDArray[np.float32]
HalfMap = npt.NDArray[np.float16]

TARGET_SCALE = 5.0
"""Targets are the teacher's relative inverse depth times this."""

SHORT_SIDE = 256
"""Pixels of the short side that pictures are reduced to."""

UNORDERED = ("photographs", "rooms", "clips", "middlebury", "oak_d", "eth3d", "virtual_kitti2")
"""Sources whose neighbouring samples show different scenes; every tenth one is held out."""

LABELLED_BY_NETWORKS = ("photographs", "driving", "clips", "rooms", "roads", "kitti00")
"""Sources without ground truth; networks label them."""


@dataclass(frozen=True)
class Sample:
    """One cached image: rgb H,W,3 uint8; target H,W, about 0..10, zero where invalid.

    mask: H,W, one where valid; None: valid everywhere. horizon: the target's value at infinite
    distance; NaN if unknown. weight: H,W, how much a pixel counts, 255: fully; None: all do.
    """

    rgb: ByteImage
    target: HalfMap
    mask: ByteImage | None
    horizon: float
    weight: ByteImage | None = None


@dataclass(frozen=True)
class Split:
    """Samples by source."""

    training: dict[str, list[Sample]]
    validation: dict[str, list[Sample]]


def shrink(rgb: ByteImage) -> ByteImage:
    """Reduce by area to a short side of at most `SHORT_SIDE`."""
    height, width = rgb.shape[:2]
    scale = SHORT_SIDE / min(height, width)
    if scale >= 1:
        return rgb
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def load_cache(folder: Path, sources: list[str]) -> Split:
    """Read `<source>.npz` for each source and split it.

    The split is fixed. Of sources in frame order (cameras, renders) the last tenth is held out, so
    that few validation images have a neighbour in training; of the others every tenth sample is.
    """
    split = Split({}, {})
    for source in sources:
        samples = _read(folder / f"{source}.npz")
        if source in UNORDERED:
            held_out = set(range(7, len(samples), 10))
        else:
            held_out = set(range(len(samples) - len(samples) // 10, len(samples)))
        split.training[source] = [s for i, s in enumerate(samples) if i not in held_out]
        split.validation[source] = [s for i, s in enumerate(samples) if i in held_out]
    return split


def _read(file: Path) -> list[Sample]:
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: run depthrt_training.prepare first")
    samples: list[Sample] = []
    with zipfile.ZipFile(file) as archive:  # np.load searches a list for every name: minutes
        keys = sorted({name.split(".")[0] for name in archive.namelist()})
        for key in keys:
            image, target, valid, horizon = (
                np.lib.format.read_array(archive.open(f"{key}.{part}.npy"))
                for part in ("image", "target", "valid", "horizon")
            )
            weight = None if valid.dtype == np.bool_ else valid
            valid = valid > 0
            target[~valid] = 0
            mask = None if valid.all() else valid.view(np.uint8)
            samples.append(Sample(image, target, mask, float(horizon), weight))
    return samples


def without_labels(split: Split) -> str:
    """The first source without any valid pixel (`prepare.py --unlabelled`); empty if none."""
    for name, samples in split.training.items():
        if samples and not any(s.mask is None or s.mask.any() for s in samples):
            return name
    return ""
