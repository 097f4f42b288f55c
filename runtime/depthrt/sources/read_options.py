"""How a source is read, where it leaves a choice."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite

from depthrt.errors import UsageError

UNUSED_FPS = "it has times of its own, so --source-fps is not used"
UNUSED_VIDEO_STREAM = "it is no video, so --video-stream is not used"


@dataclass(frozen=True)
class CameraFormat:
    """What a camera is asked for; None is what its driver chooses.

    - ``size``: width and height in pixels;
    - ``fps``: pictures a second;
    - ``pixel_format``: four letters, such as MJPG or YUYV.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise UsageError(f"--camera-size {self.size[0]}x{self.size[1]} is no size in pixels")
        if self.fps is not None and not (isfinite(self.fps) and self.fps > 0):
            raise UsageError(f"--camera-fps {self.fps:g} is not above 0")
        letters = self.pixel_format
        if letters is not None and not (len(letters) == 4 and letters.isascii()):
            raise UsageError(
                f"--camera-format {letters} is no pixel format of four letters, as MJPG or YUYV"
            )

    @classmethod
    def of(cls, size: str | None, fps: float | None, pixel_format: str | None) -> CameraFormat:
        """From the words of a command line, the size as ``1280x720``.

        Raises:
            UsageError: one of them is not understood.
        """
        if size is None:
            return cls(None, fps, pixel_format)
        found = re.fullmatch(r"(\d{1,6})[xX*](\d{1,6})", size.strip())
        if found is None:
            raise UsageError(f"--camera-size {size} is no size like 1280x720")
        return cls((int(found[1]), int(found[2])), fps, pixel_format)


@dataclass(frozen=True)
class Reading:
    """How sources are read.

    - ``video_stream``: which video stream of a file, from 0; None is the best one;
    - ``fps``: frames a second of sources without times of their own: bare streams, images;
    - ``camera``: what cameras are asked for.
    """

    video_stream: int | None = None
    fps: float | None = None
    camera: CameraFormat = field(default_factory=CameraFormat)

    def __post_init__(self) -> None:
        if self.video_stream is not None and self.video_stream < 0:
            raise UsageError(f"--video-stream {self.video_stream} is less than 0")
        if self.fps is not None and not (isfinite(self.fps) and self.fps > 0):
            raise UsageError(f"--source-fps {self.fps:g} is not above 0")
