"""What every source of frames offers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, isfinite
from pathlib import Path
from typing import Protocol, runtime_checkable

from depthrt.errors import UsageError
from depthrt.frame import Frame
from depthrt.sources.read_options import Reading

_MOST_DENOMINATOR = 1_000_000
RECONNECT_S = 60.0  # how long a live source that goes away is tried again


@dataclass(frozen=True)
class Selection:
    """Which frames of a source are wanted.

    - ``start_s``, ``end_s``: times in seconds from the source's time 0, start included, end not;
    - ``stride``: every stride-th of them;
    - ``max_frames``: at most so many;
    - ``reading``: how they are read, where the source leaves a choice.
    """

    start_s: float = 0.0
    end_s: float | None = None
    stride: int = 1
    max_frames: int | None = None
    reading: Reading = field(default_factory=Reading)

    def __post_init__(self) -> None:
        for option, time_s in (("--start", self.start_s), ("--end", self.end_s)):
            if time_s is not None and not (isfinite(time_s) and time_s >= 0):
                raise UsageError(f"{option} {time_s:g} is no time in seconds from 0 on")
        if self.end_s is not None and not self.end_s > self.start_s:
            raise UsageError(f"--end {self.end_s:g} is not after --start {self.start_s:g}")
        if self.stride < 1:
            raise UsageError(f"--stride {self.stride} is less than 1")
        if self.max_frames is not None and self.max_frames < 1:
            raise UsageError(f"--max-frames {self.max_frames} is less than 1")

    @property
    def begin_s(self) -> Fraction:
        """``start_s`` as the decimal that was typed: 0.08 is two frames at 25/s, not more."""
        return Fraction(str(self.start_s))

    @property
    def finish_s(self) -> Fraction | None:
        """``end_s`` likewise."""
        return None if self.end_s is None else Fraction(str(self.end_s))

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out on purpose."""
        return replace(self, reading=Reading()) == Selection()

    def count(self, frames: int, rate: Fraction) -> int:
        """How many frames are to be expected of so many at this rate (1/s)."""
        finish_s = self.finish_s
        first = min(frames, ceil(self.begin_s * rate))
        last = frames if finish_s is None else min(frames, ceil(finish_s * rate))
        wanted = -(-max(0, last - first) // self.stride)
        return wanted if self.max_frames is None else min(wanted, self.max_frames)


@dataclass
class Losses:
    """What a source could not give; filled while it is read.

    ``gaps_s``: how long a live source was away, each time that it came back, in seconds.
    """

    corrupt_packets: int = 0
    corrupt_frames: int = 0
    missing_frames: int = 0
    first_missing: str = ""
    broke_off: str = ""
    gaps_s: list[float] = field(default_factory=list)

    def sentence(self) -> str:
        """What was lost, in words; empty when nothing was."""
        parts = [
            f"{count} {noun if count == 1 else noun + 's'} {what}"
            for count, noun, what in (
                (self.missing_frames, "frame", "missing"),
                (self.corrupt_packets, "corrupt packet", "skipped"),
                (self.corrupt_frames, "frame", "damaged"),
            )
            if count
        ]
        if self.first_missing:
            parts.append(self.first_missing)
        if self.broke_off:
            parts.append(f"reading broke off ({self.broke_off})")
        return ", ".join(parts)


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source before it is read.

    - ``size``: height and width of its first frame in pixels;
    - ``rate``: mean frame rate in 1/s, exact; None when frames have no times of their own;
    - ``time_base_s``: the unit of its time stamps in seconds;
    - ``frame_count``: frames to expect after selection, None when unknown (live);
    - ``live``: frames that are not taken in time are lost;
    - ``path``: the file that it is read from;
    - ``sound``: file or URL that its sound can be copied from;
    - ``pixel_aspect``: width over height of a pixel of its frames;
    - ``blocks``: reading it may wait for a device, a network or a user's code, so it is read in a
      thread of its own;
    - ``owns_pictures``: every frame has a picture of its own, that nobody writes to later; else the
      pipeline copies those it keeps;
    - ``notes``: what was chosen, assumed or changed, in sentences.
    """

    name: str
    size: tuple[int, int]
    rate: Fraction | None = None
    time_base_s: Fraction = Fraction(1, 90000)
    frame_count: int | None = None
    live: bool = False
    path: Path | None = None
    sound: str | None = None
    pixel_aspect: Fraction = Fraction(1)
    selection: Selection = field(default_factory=Selection)
    blocks: bool = True
    owns_pictures: bool = False
    notes: tuple[str, ...] = ()

    @property
    def selected_rate(self) -> Fraction:
        """Mean rate of the selected frames in 1/s, in numbers that FFmpeg's 32 bits hold."""
        rate = (self.rate or Fraction(1)) / self.selection.stride
        return rate.limit_denominator(_MOST_DENOMINATOR)


@runtime_checkable
class FrameSource(Protocol):
    """What a user's own source of frames must have; see :class:`Source`."""

    @property
    def info(self) -> SourceInfo:
        """What is known of it."""

    @property
    def losses(self) -> Losses:
        """What could not be read so far."""

    def frames(self) -> Iterator[Frame]:
        """The selected frames; closing the iterator releases the source."""


@runtime_checkable
class Stoppable(Protocol):
    """What can be asked to end."""

    def stop(self) -> None:
        """Let ``frames()`` end soon. Called from whatever thread; waits for nobody."""


@runtime_checkable
class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Release what is open, where no frames are wanted."""


@runtime_checkable
class Source(FrameSource, Stoppable, Closable, Protocol):
    """A thing that gives frames once, in order."""


class OwnSource:
    """Somebody's own source, which may lack ``stop`` or ``close``."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source

    @property
    def info(self) -> SourceInfo:
        """What is known of it."""
        return self._source.info

    @property
    def losses(self) -> Losses:
        """What could not be read so far."""
        return self._source.losses

    def frames(self) -> Iterator[Frame]:
        """Its frames."""
        return self._source.frames()

    def stop(self) -> None:
        """Ask it to end, if it can be asked."""
        if isinstance(self._source, Stoppable):
            self._source.stop()

    def close(self) -> None:
        """Close it, if it can be closed."""
        if isinstance(self._source, Closable):
            self._source.close()


def select(frames: Iterator[Frame], selection: Selection) -> Iterator[Frame]:
    """The selected ones of frames that come in order of time."""
    taken = 0
    seen = 0
    begin_s, finish_s = selection.begin_s, selection.finish_s
    for frame in frames:
        if finish_s is not None and frame.exact_time_s >= finish_s:
            return
        if frame.exact_time_s < begin_s:
            continue
        if seen % selection.stride == 0:
            yield frame
            taken += 1
            if taken == selection.max_frames:
                return
        seen += 1
