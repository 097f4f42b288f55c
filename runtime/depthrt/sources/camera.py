"""Cameras by number, read with OpenCV, which knows every platform's capture interface."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from depthrt.errors import SourceError
from depthrt.frame import Frame
from depthrt.sources.base import Losses, Selection, SourceInfo, select
from depthrt.sources.images import quiet_opencv

_MAX_NUMBER = 100  # from here on OpenCV takes the hundreds for capture interfaces
_MICROSECOND = Fraction(1, 1_000_000)


class CameraSource:
    """A live camera; frames carry the time since the first one.

    Raises:
        SourceError: no such camera, or it gives no picture.
    """

    def __init__(self, number: int, selection: Selection) -> None:
        self.losses = Losses()
        self._capture = _open(number)
        ok, first = self._capture.read()
        if not ok:
            self._capture.release()
            raise SourceError(f"camera {number} opens but gives no picture: is it in use?")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.info = SourceInfo(
            name=f"camera {number}",
            size=(first.shape[0], first.shape[1]),
            rate=Fraction(rate).limit_denominator(1001) if rate > 0 else Fraction(30),
            time_base_s=_MICROSECOND,
            live=True,
            selection=selection,
        )

    def frames(self) -> Iterator[Frame]:
        """The newest frames until the camera goes away; that is recorded as a loss."""
        try:
            yield from select(self._read(), self.info.selection)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()

    def _read(self) -> Iterator[Frame]:
        start = time.monotonic()
        index = 0
        while True:
            ok, image = self._capture.read()
            if not ok:
                self.losses.broke_off = f"{self.info.name} stopped giving pictures"
                return
            time_s = Fraction(round((time.monotonic() - start) * 1e6), 1_000_000)
            rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
            yield Frame(rgb, index, time_s, self.info.name)
            index += 1


def _open(number: int) -> cv2.VideoCapture:
    with quiet_opencv():
        capture = cv2.VideoCapture(number) if number < _MAX_NUMBER else cv2.VideoCapture()
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"there is no camera {number}: `depthrt doctor` lists those found")
    return capture
