"""Labels by weights that were trained before, where they are better than the teacher's.

After the fourth run depthrt-s errs 0.6 times as much as TCMonoDepth-small on held-out ground truth,
so that the teacher's labels of photographs hold it back (self-training, as in Xie et al.,
"Self-training with Noisy Student improves ImageNet classification", CVPR 2020). The mean over flips
and sizes is a little better than the network itself, and the student sees the picture distorted.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from network import MULTIPLE_OF, normalise
from teacher import ByteImage, FloatMap
from weights_file import load_weights

AREAS = (192 * 256, 224 * 288, 256 * 352)
"""Pixels of the sizes that are averaged, each of the image's own aspect."""


class Student:
    """Relative inverse depth on the scale that training uses, larger is nearer."""

    def __init__(self, weights: Path) -> None:
        self._network = load_weights(weights)

    def label(self, rgb: ByteImage) -> FloatMap:
        """rgb: H,W,3 -> H,W: the mean over sizes and the horizontal flip."""
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
                plain, flipped = self._network(normalise(torch.from_numpy(both.copy()))).numpy()
            mean = np.ascontiguousarray((plain + flipped[:, ::-1]) / 2)
            labels.append(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR))
        return np.asarray(np.mean(labels, axis=0), dtype=np.float32)
