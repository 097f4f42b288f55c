"""Views of single frames: an image file, or a window."""

from __future__ import annotations

import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError, WriteError
from depthrt.frame import rgb_matrix
from depthrt.render.views import Canvas, Planes, View, compose
from depthrt.result import Result
from depthrt.sinks.base import Sink
from depthrt.sinks.one_file import OneFileSink
from depthrt.sources.images import quiet_opencv
from depthrt.system.process_settings import Borrowed, default_variables

_ESCAPE, _QUIT = 27, ord("q")


def draw(result: Result, view: View, colormap: str) -> NDArray[np.uint8]:
    """A view of a result as a BGR picture (H,W,3), as OpenCV shows and saves it."""
    canvas = Canvas.of(result.frame.image, view, colormap)
    height, width = canvas.size
    y = np.empty((height, width), np.uint8)
    u = np.empty((height // 2, width // 2), np.uint8)
    v = np.empty_like(u)
    compose(result.frame.image, result.depth, result.display_range, canvas, (y, u, v))
    return to_bgr((y, u, v), canvas)


def to_bgr(planes: Planes, canvas: Canvas) -> NDArray[np.uint8]:
    """Convert the YUV planes of a canvas to a BGR picture (H,W,3)."""
    y, u, v = planes
    size = (y.shape[1], y.shape[0])
    chroma = [np.asarray(cv2.resize(plane, size), np.uint8) for plane in (u, v)]
    matrix = rgb_matrix(canvas.matrix, canvas.full_range)[::-1]
    return np.asarray(cv2.transform(cv2.merge([y, *chroma]), matrix), np.uint8)


class ImageSink(OneFileSink):
    """The view of a single image as an image file."""

    def __init__(self, target: Path, view: View, colormap: str, *, overwrite: bool = False) -> None:
        more = (
            "holds one picture, but the source has more: write .mp4, .mkv, .npz or a folder, or "
            "take --max-frames 1"
        )
        super().__init__(target, more, overwrite=overwrite)
        self._view, self._colormap = view, colormap

    def content(self, result: Result) -> bytes:
        """The view of a frame, encoded."""
        picture = draw(result, self._view, self._colormap)
        with quiet_opencv():
            encoded, content = cv2.imencode(self._target.suffix, picture)
        if not encoded:
            size = f"{picture.shape[1]}x{picture.shape[0]}"
            raise WriteError(f"{self._target.name} cannot hold a picture of {size}: try .png")
        return content.tobytes()


def has_display() -> bool:
    """Whether windows can be shown: Windows and macOS say nothing of their displays."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


# Qt in OpenCV's wheel warns of fonts that the wheel lacks. It reads this at its first window.
_quiet_qt = Borrowed(lambda: default_variables({"QT_LOGGING_RULES": "default.warning=false"}))


class WindowSink(Sink):
    """The view in a window; the keys q and Escape, or closing it, end the run.

    Args:
        title: of the window.
        view: what is shown.
        colormap: the colours of depth.
        paced: show a recording no faster than it was recorded.

    Raises:
        UsageError: there is no display, or OpenCV was built without windows.
    """

    def __init__(self, title: str, view: View, colormap: str, *, paced: bool = False) -> None:
        if not has_display():
            raise UsageError("--show needs a display and there is none: write a file with -o")
        if not cv2.currentUIFramework():
            raise UsageError(
                "--show needs windows, and this OpenCV (opencv-python-headless) has none: write a "
                "file with -o, or install opencv-python in its place"
            )
        self._title = f"depthrt: {title}"
        self._view, self._colormap = view, colormap
        self._paced = paced
        self._start_s: float | None = None
        self._is_open = False

    def write(self, result: Result) -> bool:
        """Show one frame."""
        picture = draw(result, self._view, self._colormap)
        with nullcontext() if self._is_open else _quiet_qt():
            cv2.imshow(self._title, picture)
        self._is_open = True
        start_s = time.monotonic()
        key = cv2.waitKey(self._wait_ms(result.frame.time_s)) & 0xFF
        self.paused_s += time.monotonic() - start_s
        closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        return not closed and key not in (_ESCAPE, _QUIT)

    def _wait_ms(self, time_s: float) -> int:
        if not self._paced:
            return 1
        now_s = time.monotonic()
        if self._start_s is None:
            self._start_s = now_s - time_s
        return max(1, round(1e3 * (self._start_s + time_s - now_s)))

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Close the window."""
        cv2.destroyAllWindows()
        return None
