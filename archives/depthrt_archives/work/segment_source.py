"""The frames of one segment of a video, as reading all of it would give them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from depthrt.frame import Frame, Image, YuvImage, image_size
from depthrt.model.preprocess import network_size
from depthrt.sources.base import Losses, Selection, SourceInfo
from depthrt.sources.video import VideoSource
from depthrt.spec import InputSpec

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


class Groups:
    """Tells where groups of frames begin, as the pipeline takes them together from one stream.

    Args:
        size: frames of a group; fewer where the network's input changes its size.
        spec: of the network's input.
    """

    def __init__(self, size: int, spec: InputSpec) -> None:
        self._most, self._spec = size, spec
        self._size: tuple[int, int] | None = None
        self._count = 0

    def begins_with(self, frame: Frame) -> bool:
        """Whether a group begins with a frame; to be asked in order, once for each."""
        size = network_size(image_size(frame.pixels), self._spec)
        if size != self._size or self._count == self._most:
            self._size, self._count = size, 0
        self._count += 1
        return self._count == 1


class SegmentSource:
    """The frames of a video from one time to another; the numbers of frames count from 0.

    Args:
        path: the file.
        begin_s: time of the first frame, in seconds; None is the beginning of the file.
        end_s: time of the frame after the last one; None is the end of the file.
        groups: the last of them is given whole, with frames from beyond the end; None: each frame
            is one.
        taken: frames at the beginning that the segment before has given already.

    Once all frames were read:

    - ``first``, ``beyond``: marks of the first frames, and of those after the last one;
    - ``taken_beyond``: how many of the latter were given already, here or before.

    Raises:
        SourceError: it cannot be read.
    """

    def __init__(
        self,
        path: Path,
        begin_s: Fraction | None,
        end_s: Fraction | None,
        groups: Groups | None = None,
        taken: int = 0,
    ) -> None:
        selection = (
            Selection() if begin_s is None else _From(start_s=float(begin_s), exact_s=begin_s)
        )
        self._source = VideoSource(str(path), selection)
        self._end_s, self._groups, self._taken = end_s, groups, taken
        # Outputs are those of the whole video.
        self.info: SourceInfo = replace(
            self._source.info, selection=Selection(), frame_count=None, blocks=False
        )
        self.first: list[Mark] = []
        self.beyond: list[Mark] = []
        self.taken_beyond = 0

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
        index, skip, is_over = 0, self._taken, False
        for frame in self._source.frames():
            is_beyond = self._end_s is not None and frame.exact_time_s >= self._end_s
            marks = self.beyond if is_beyond else self.first
            if len(marks) < _LOOK_BEYOND:
                marks.append(_mark(frame))
            if skip:
                skip -= 1
                self.taken_beyond += is_beyond
                continue
            if not is_over:
                begins = self._groups is None or self._groups.begins_with(frame)
                is_over = is_beyond and begins
            if not is_over:
                self.taken_beyond += is_beyond
                yield replace(frame, index=index)
                index += 1
            elif len(self.beyond) == _LOOK_BEYOND:
                return


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
