"""Interlaced pictures without combs."""

from __future__ import annotations

import cv2
import numpy as np

from depthrt.frame import Image, Plane, YuvImage


def deinterlaced(image: Image) -> Image:
    """An interlaced picture as the upper field saw it.

    Each pixel of the lower field becomes the median of itself and of the pixels above and below it,
    which belong to the upper field: the vertical-temporal median filter (G. de Haan and E. Bellers,
    "Deinterlacing - an overview", Proceedings of the IEEE 86(9), 1998). What stands still keeps
    nearly all of its detail, so that film in an interlaced stream is hardly touched.
    """
    if isinstance(image, YuvImage):
        return image.with_planes(_filtered)
    return _filtered(image)


def full_height(field: Image) -> Image:
    """A single field, every second line of a picture, with the lines between interpolated."""
    if isinstance(field, YuvImage):
        return field.with_planes(_doubled)
    return _doubled(field)


def _doubled(plane: Plane) -> Plane:
    """A plane (h,w) or picture (h,w,3) of twice the height."""
    height, width = plane.shape[:2]
    return cv2.resize(plane, (width, 2 * height))


def _filtered(plane: Plane) -> Plane:
    """A plane (h,w) or picture (h,w,3); the upper field is its even lines."""
    lower = np.ascontiguousarray(plane[1::2])
    if not len(lower):
        return plane
    above = np.ascontiguousarray(plane[0::2])[: len(lower)]
    below = np.ascontiguousarray(plane[2::2])
    if len(below) < len(lower):  # the last line has none below it
        below = np.concatenate([below, above[-1:]])
    least, most = cv2.min(above, below), cv2.max(above, below)
    out: Plane = plane.copy()
    out[1::2] = cv2.max(least, cv2.min(lower, most))
    return out
