"""Disparity of a rectified stereo pair, and where it is valid."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from depthrt_training.data.label_cache import ByteImage, FloatMap

Mask = npt.NDArray[np.bool_]

STEREO_DISPARITIES = 128


def match_stereo(left: ByteImage, right: ByteImage) -> tuple[FloatMap, Mask]:
    """Disparity in pixels (H,W) and where it is valid.

    Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual Information", PAMI 2008,
    as OpenCV implements it; valid where the right image's disparity agrees within one pixel.
    """
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=STEREO_DISPARITIES,
        blockSize=5,
        P1=8 * 3 * 25,
        P2=32 * 3 * 25,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_HH,
    )
    pad = ((0, 0), (STEREO_DISPARITIES, 0), (0, 0))  # so that the left border is matched too

    def run(a: ByteImage, b: ByteImage) -> FloatMap:
        fixed = matcher.compute(np.pad(a, pad, mode="edge"), np.pad(b, pad, mode="edge"))
        fixed_point = np.asarray(fixed[:, STEREO_DISPARITIES:], dtype=np.float32)
        disparity: FloatMap = fixed_point / np.float32(16)  # four fractional bits
        return disparity

    flip = (slice(None), slice(None, None, -1))
    forward = run(left, right)
    backward = run(right[flip], left[flip])[flip]
    height, width = forward.shape
    columns = np.arange(width)[None] - np.round(forward).astype(np.int64)
    inside = (columns >= 0) & (forward > 0.5)
    rows = np.arange(height)[:, None]
    seen = backward[rows, np.clip(columns, 0, width - 1)]
    valid = inside & (np.abs(seen - forward) <= 1)
    return np.asarray(forward, dtype=np.float32), valid
