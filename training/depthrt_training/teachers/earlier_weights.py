"""Self-training: labels by earlier weights of depthrt-s, where they are better than the teacher.

After the fourth run the error of depthrt-s on held-out ground truth is 0.6 times that of
TCMonoDepth-small, whose labels of photographs would hold it back. As in Xie et al., "Self-training
with Noisy Student improves ImageNet classification", CVPR 2020, the network in training sees
distorted pictures. The labels are means over flips and sizes, which are a little better.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from depthrt_training.data.label_cache import ByteImage, FloatMap
from depthrt_training.model.network import MULTIPLE_OF, normalise
from depthrt_training.model.weights_file import load_weights
from depthrt_training.teachers.tcmonodepth import Teacher

AREAS = (192 * 256, 224 * 288, 256 * 352)
"""Pixels of the sizes that are averaged; each has the image's aspect."""
LAYOUT_SIGMA = 1 / 32
"""Sigma, as a share of the short side, that smooths the difference of two networks."""


def share_layout(own: FloatMap, other: FloatMap) -> FloatMap:
    """Move `own` half-way to the layout of `other`, keeping its edges; H,W each.

    `other` is aligned by least squares, and half of the smoothed difference is added. Networks of
    different training make different errors, and their mean errs less than either (Hinton et al.,
    "Distilling the Knowledge in a Neural Network", 2015). A plain mean would blur the edges.
    """
    scale, shift = np.polyfit(other.ravel(), own.ravel(), 1)
    difference = (scale * other + shift - own).astype(np.float32)
    smooth = cv2.GaussianBlur(difference, (0, 0), LAYOUT_SIGMA * min(own.shape))
    return np.asarray(own + smooth / 2, dtype=np.float32)


class EarlierWeights:
    """Labels pictures with a weights file: relative inverse depth on training's scale.

    With a teacher the labels move half-way to its layout (`share_layout`).
    """

    def __init__(self, weights: Path, teacher: Teacher | None = None) -> None:
        network = load_weights(weights)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._teacher = teacher

    def label(self, rgb: ByteImage) -> FloatMap:
        """rgb: H,W,3 -> H,W: the mean over sizes and the horizontal flip."""
        own = self._own_label(rgb)
        return share_layout(own, self._teacher.label(rgb)) if self._teacher else own

    def _own_label(self, rgb: ByteImage) -> FloatMap:
        height, width = rgb.shape[:2]
        labels = []
        for area in AREAS:
            rows, columns = (
                max(1, round((area * ratio) ** 0.5 / MULTIPLE_OF)) * MULTIPLE_OF
                for ratio in (height / width, width / height)
            )
            small = np.asarray(cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_LINEAR))
            both = np.stack([small, small[:, ::-1]]).transpose(0, 3, 1, 2)  # 2,3,h,w
            with torch.inference_mode():
                pixels = normalise(torch.from_numpy(both.copy()))
                pixels = pixels.to(memory_format=torch.channels_last)
                plain, flipped = self._network(pixels).numpy()
            mean = np.ascontiguousarray((plain + flipped[:, ::-1]) / 2)
            labels.append(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR))
        return np.asarray(np.mean(labels, axis=0), dtype=np.float32)
