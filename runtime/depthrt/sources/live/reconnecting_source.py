"""Live sources: what they have in common, whatever the pictures come through.

A source that goes away is tried again, with pauses that double, for as long as is wanted. Nothing
is invented for the time it was away: the gap is recorded, and times go on by the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from depthrt.errors import SourceError
from depthrt.frame import Frame, Image, image_size
from depthrt.sources.base import RECONNECT_S, Losses, Selection, SourceInfo, select

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0
_CLOCKS_AGREE_S = 3  # the sender's clock against ours: it jumped when they differ by more
_STALE_S = 0.2
_LOOK_S = 0.05  # that a pause lasts without a look at whether it is to end
_MICROSECOND = Fraction(1, 1_000_000)
# Of outputs: MP4 holds no step of 2^31 ticks, and a camera may be away for a night and a day.
_TICK_S = Fraction(1, 10_000)


@dataclass(frozen=True, eq=False)
class Taken:
    """A picture as it arrived.

    - ``captured_s``: when, on ``time.monotonic()``'s clock;
    - ``sent_s``: the sender's own time stamp, where it has one to be believed.
    """

    image: Image
    captured_s: float
    sent_s: Fraction | None = None


class Connection(Protocol):
    """A camera or server that gives pictures until it goes away.

    - ``rate``: pictures a second;
    - ``notes``: what was chosen, assumed or changed, in sentences; whole with the first picture.
    """

    rate: Fraction
    notes: list[str]

    def pictures(self, losses: Losses) -> Iterator[Taken]:
        """The pictures; ends, or raises a SourceError with the reason, when it is gone."""

    def close(self) -> None:
        """Let go of it."""


class LiveSource:
    """The frames of a camera or a network stream, as they come.

    Args:
        name: what it is called.
        connect: opens it; raises SourceError when it is not there.
        reconnect_s: how long to try again when it goes away, in seconds; 0 takes that as its end.

    Raises:
        SourceError: not there, or no picture comes.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        selection: Selection,
        *,
        reconnect_s: float = RECONNECT_S,
        connection: Connection | None = None,
    ) -> None:
        self.losses = Losses()
        self._name, self._connect, self._reconnect_s = name, connect, reconnect_s
        self._stopped = False  # no Event: a finaliser may set it while this waits for it
        self._connection = connection or connect()
        self._pictures = self._connection.pictures(self.losses)
        try:
            first = next(self._pictures, None)
            if first is None:
                raise SourceError(f"{name} opens but gives no picture: is it in use?")
        except BaseException:
            self._connection.close()
            raise
        self._first: Taken | None = first
        self._clock = _Clock()
        self.info = SourceInfo(
            name=name,
            size=image_size(first.image),
            rate=self._connection.rate,
            time_base_s=_TICK_S,
            live=True,
            selection=selection,
            owns_pictures=True,
            notes=tuple(self._connection.notes),
        )

    def frames(self) -> Iterator[Frame]:
        """The frames until the source is gone for good; that is recorded as a loss."""
        try:
            yield from select(self._numbered(), self.info.selection)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the camera or the server."""
        self._connection.close()

    def stop(self) -> None:
        """End ``frames()`` soon, from whatever thread: no more tries, no more pauses."""
        self._stopped = True

    def _numbered(self) -> Iterator[Frame]:
        for index, taken in enumerate(self._taken()):
            if index == 0 and time.monotonic() - taken.captured_s > _STALE_S:
                continue  # it was taken to see whether there is one, and a model was loaded since
            time_s = self._clock.time_s(taken)
            yield Frame(taken.image, index, time_s, self._name, None, taken.captured_s)

    def _taken(self) -> Iterator[Taken]:
        if self._first is not None:
            last, self._first = self._first, None
            yield last
        lost_s: float | None = None  # when the source was noticed to be away
        pause_s = _FIRST_PAUSE_S
        while not self._stopped:
            reason = ""
            try:
                for taken in self._pictures:
                    if lost_s is not None:
                        self.losses.gaps_s.append(round(taken.captured_s - last.captured_s, 3))
                        lost_s, pause_s = None, _FIRST_PAUSE_S
                    last = taken
                    yield taken
                    if self._stopped:
                        return
            except SourceError as error:
                reason = f" ({error})"
            self._connection.close()
            lost_s = lost_s or time.monotonic()
            while True:
                left_s = lost_s + self._reconnect_s - time.monotonic()
                if left_s <= 0:
                    self.losses.broke_off = self._ended(reason)
                    return
                if self._is_stopped_within(min(pause_s, left_s)):
                    return
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                try:
                    self._connection = self._connect()
                except SourceError as error:
                    reason = f" ({error})"
                    continue
                self._pictures = self._connection.pictures(self.losses)
                self._clock.restart()
                break

    def _is_stopped_within(self, seconds: float) -> bool:
        end_s = time.monotonic() + seconds
        while not self._stopped and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(_LOOK_S, left_s))
        return self._stopped

    def _ended(self, reason: str) -> str:
        what = f"it stopped giving pictures{reason}"
        return (
            f"{what} and did not come back in {self._reconnect_s:g} s"
            if self._reconnect_s
            else what
        )


class _Clock:
    """Times since the first picture: the sender's own steps, on our clock, always growing."""

    def __init__(self) -> None:
        self._start_s: float | None = None
        self._offset_s: Fraction | None = None
        self._last_s: Fraction | None = None

    def restart(self) -> None:
        """A new connection counts from anywhere."""
        self._offset_s = None

    def time_s(self, taken: Taken) -> Fraction:
        """The time of a picture, exact in the sender's steps."""
        if self._start_s is None:
            self._start_s = taken.captured_s
        arrived_s = max(Fraction(0), _microseconds(taken.captured_s - self._start_s))
        time_s = arrived_s
        if taken.sent_s is not None:
            if self._offset_s is not None:
                time_s = taken.sent_s + self._offset_s
            if self._offset_s is None or abs(time_s - arrived_s) > _CLOCKS_AGREE_S:
                time_s = arrived_s
                self._offset_s = arrived_s - taken.sent_s
        if self._last_s is not None and time_s <= self._last_s:
            time_s = self._last_s + _MICROSECOND
            if taken.sent_s is not None:
                self._offset_s = time_s - taken.sent_s
        self._last_s = time_s
        return time_s


def _microseconds(seconds: float) -> Fraction:
    return Fraction(round(seconds * 1e6), 1_000_000)
