"""Cameras by number, read with OpenCV, which knows every platform's capture interface."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from depthrt.errors import SourceError
from depthrt.sources.base import RECONNECT_S, Losses, Selection
from depthrt.sources.images import quiet_opencv
from depthrt.sources.live.live_source import LiveSource, Taken

_MAX_NUMBER = 100  # from here on OpenCV takes the hundreds for capture interfaces
_USUAL_RATE = Fraction(30)


def open_camera(
    number: int, selection: Selection, *, reconnect_s: float = RECONNECT_S
) -> LiveSource:
    """A live camera; frames carry the time since the first one.

    Raises:
        SourceError: no such camera, or it gives no picture.
    """
    name = f"camera {number}"
    return LiveSource(name, lambda: Camera(number), selection, reconnect_s=reconnect_s)


class Camera:
    """A camera that is plugged in.

    Raises:
        SourceError: there is none of this number.
    """

    def __init__(self, number: int) -> None:
        with quiet_opencv():
            known = number < _MAX_NUMBER
            self._capture = cv2.VideoCapture(number) if known else cv2.VideoCapture()
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(f"there is no camera {number}: `depthrt doctor` lists those found")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.notes: list[str] = []
        self.rate = Fraction(rate).limit_denominator(1001) if rate > 0 else _USUAL_RATE

    def pictures(self, losses: Losses) -> Iterator[Taken]:
        """The pictures until it is unplugged."""
        while True:
            try:
                ok, image = self._capture.read()
                if not ok:
                    return
                captured_s = time.monotonic()
                rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
            except cv2.error as error:
                raise SourceError(f"its pictures cannot be read ({error.err})") from error
            yield Taken(rgb, captured_s)

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()
