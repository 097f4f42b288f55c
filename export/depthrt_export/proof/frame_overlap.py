"""Frames that calibration and validation share: a judgement on them would flatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from depthrt_calibration.frame_folder import pixel_hash
from depthrt_calibration.frames import Sample
from depthrt_calibration.image_features import NEAR_DUPLICATE, distances, feature


@dataclass(frozen=True)
class SharedFrame:
    """A validation frame that calibration has seen, by the labels of both.

    ``distance`` of their features; ``same``: equal pixel by pixel.
    """

    calibration: str
    validation: str
    distance: float
    same: bool


def overlap(
    calibration: Sequence[Sample],
    validation: Sequence[Sample],
    threshold: float = NEAR_DUPLICATE,
) -> list[SharedFrame]:
    """The validation frames that are in the calibration set too, or as good as.

    Pixels are compared by hash, so two samples of one frame are found wherever their files are;
    other codings, crops of a pixel or neighbours in a video are found by their features, at a
    distance below ``threshold``. One entry for each such validation frame, its nearest calibration
    frame. Both sets must be prepared by one spec.
    """
    if not calibration:
        return []
    hashes = {pixel_hash(sample.pixels): sample.label for sample in reversed(calibration)}
    known = np.stack([feature(sample.pixels) for sample in calibration])
    found = []
    for sample in validation:
        same = hashes.get(pixel_hash(sample.pixels))
        if same is not None:
            found.append(SharedFrame(same, sample.label, 0.0, True))
            continue
        apart = distances(known, feature(sample.pixels))
        nearest = int(np.argmin(apart))
        if apart[nearest] < threshold:
            label = calibration[nearest].label
            found.append(SharedFrame(label, sample.label, float(apart[nearest]), False))
    return found
