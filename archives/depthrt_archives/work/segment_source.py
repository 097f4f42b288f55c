"""The frames of one segment of a video, as reading all of it would give them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from depthrt.frame import Frame, Image, YuvImage
from depthrt.sources.base import Losses, Selection, SourceInfo
from depthrt.sources.video import VideoSource

_LOOK_BEYOND = 3  # frames after the end, by which the next segment is compared

Mark = tuple[Fraction, int]
"""Time in seconds of a frame, and the CRC-32 of its picture."""


@dataclass(frozen=True)
class _From(Selection):
    """The frames from an exact time on; a float would miss it."""

    exact_s: Fraction = field(default=Fraction(0), kw_only=True)

    @property
    def begin_s(self) -> Fraction:
        return self.exact_s


class SegmentSource:
    """The frames of a video from one time to another; the numbers of frames count from 0.

    Args:
        path: the file.
        begin_s: time of the first frame, in seconds; None is the beginning of the file.
        end_s: time of the frame after the last one; None is the end of the file.

    ``first``, ``beyond``: marks of the first frames, and of those after the last one, once all
    frames were read.

    Raises:
        SourceError: it cannot be read.
    """

    def __init__(self, path: Path, begin_s: Fraction | None, end_s: Fraction | None) -> None:
        selection = (
            Selection() if begin_s is None else _From(start_s=float(begin_s), exact_s=begin_s)
        )
        self._source = VideoSource(str(path), selection)
        self._end_s = end_s
        # Outputs are those of the whole video.
        self.info: SourceInfo = replace(
            self._source.info, selection=Selection(), frame_count=None, blocks=False
        )
        self.first: list[Mark] = []
        self.beyond: list[Mark] = []

    @property
    def losses(self) -> Losses:
        """What could not be read so far."""
        return self._source.losses

    def stop(self) -> None:
        """A file gives its next frame soon."""

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def frames(self) -> Iterator[Frame]:
        """The frames of the segment."""
        index = 0
        for frame in self._source.frames():
            if self._end_s is not None and frame.exact_time_s >= self._end_s:
                self.beyond.append(_mark(frame))
                if len(self.beyond) == _LOOK_BEYOND:
                    return
                continue
            if len(self.first) < _LOOK_BEYOND:
                self.first.append(_mark(frame))
            yield replace(frame, index=index)
            index += 1


def follows(beyond: Sequence[Mark], first: Sequence[Mark]) -> bool:
    """Whether a segment begins with the pictures that the one before it saw beyond its end."""
    count = min(len(beyond), len(first))
    return count > 0 and list(beyond[:count]) == list(first[:count])


def _mark(frame: Frame) -> Mark:
    return frame.exact_time_s, _crc(frame.pixels)


def _crc(image: Image) -> int:
    planes = (image.y, image.u, image.v) if isinstance(image, YuvImage) else (image,)
    crc = 0
    for plane in planes:
        crc = zlib.crc32(np.ascontiguousarray(plane).data, crc)
    return crc
