"""Cameras by number or device file, read with OpenCV, which knows every platform's interface."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from depthrt.errors import SourceError
from depthrt.sources.base import RECONNECT_S, Losses, Selection
from depthrt.sources.images import quiet_opencv
from depthrt.sources.live.reconnecting_source import LiveSource, Taken
from depthrt.sources.read_options import CameraFormat

_MAX_NUMBER = 100  # from here on OpenCV takes the hundreds for capture interfaces
_USUAL_RATE = Fraction(30)
_SAME_RATE = 0.02  # 29.97 for 30 is what was asked for


def open_camera(
    camera: str | int, selection: Selection, *, reconnect_s: float = RECONNECT_S
) -> LiveSource:
    """A live camera, by its number or device file; frames carry the time since the first one.

    Raises:
        SourceError: no such camera, or it gives no picture.
    """
    name = f"camera {camera}" if str(camera).isdecimal() else str(camera)
    wanted = selection.reading.camera
    return LiveSource(name, lambda: Camera(str(camera), wanted), selection, reconnect_s=reconnect_s)


class Camera:
    """A camera that is plugged in.

    Raises:
        SourceError: there is none of this number or device file.
    """

    def __init__(self, camera: str, wanted: CameraFormat | None = None) -> None:
        with quiet_opencv():
            self._capture = _capture(camera)
        if not self._capture.isOpened():
            self._capture.release()
            what = f"there is no camera {camera}"
            if not camera.isdecimal():
                what = f"{camera} cannot be opened as a camera"
            raise SourceError(f"{what}: `depthrt doctor` lists those found")
        self.notes = _request(self._capture, wanted or CameraFormat())
        rate = self._capture.get(cv2.CAP_PROP_FPS)
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


def _capture(camera: str) -> cv2.VideoCapture:
    if not camera.isdecimal():
        # With no interface named, OpenCV would take any file for a video.
        return cv2.VideoCapture(camera, cv2.CAP_V4L2)
    number = int(camera)
    return cv2.VideoCapture(number) if number < _MAX_NUMBER else cv2.VideoCapture()


def _request(capture: cv2.VideoCapture, wanted: CameraFormat) -> list[str]:
    """Ask a camera for a format; a sentence for each part of it that the camera does not take.

    The pixel format comes first: it decides which sizes and rates there are.
    """
    notes = []
    if wanted.pixel_format is not None:
        letters = wanted.pixel_format.upper()
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*letters))
        taken = _letters(int(capture.get(cv2.CAP_PROP_FOURCC)))
        if taken != letters:
            notes.append(f"it was asked for the format {letters} and gives {taken or 'another'}")
    if wanted.size is not None:
        width, height = wanted.size
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        given = tuple(
            round(capture.get(side))
            for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if given != wanted.size:
            notes.append(f"it was asked for {width}x{height} and gives {given[0]}x{given[1]}")
    if wanted.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, wanted.fps)
        rate = capture.get(cv2.CAP_PROP_FPS)
        if rate <= 0:
            notes.append(f"it was asked for {wanted.fps:g}/s and does not say what it gives")
        elif abs(rate - wanted.fps) > _SAME_RATE * wanted.fps:
            notes.append(f"it was asked for {wanted.fps:g}/s and gives {rate:g}/s")
    return notes


def _letters(code: int) -> str:
    """A FOURCC as text; empty where it is none."""
    letters = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))
    return letters.strip() if letters.isascii() and letters.isprintable() else ""
