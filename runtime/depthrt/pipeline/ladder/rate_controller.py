"""Which model of a ladder holds a rate: a controller that only does sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_S = 1.0  # what is looked at before anything is decided
_FEWEST, _LONGEST_WINDOW_S = 5, 4.0  # frames that make a rate, unless they take too long
_ENOUGH = 0.95  # of the rate that is wanted
_MARGIN = 0.85  # of a frame's time, that a heavier model must fit into
_WORTH_IT = 0.05  # of a frame's time, that a lighter model must save
_FIRST_HOLD_S, _LONGEST_HOLD_S = 2.0, 64.0
_FLAP_S = 10.0  # a step up that lasts no longer than this was a mistake


@dataclass(frozen=True)
class Switch:
    """A step on the ladder: when, in seconds since the start, and at what rate it was decided."""

    time_s: float
    before: int
    after: int
    rate_fps: float


class RateController:
    """Steps down a ladder of models when a rate is not held, and up again when there is room.

    The time of a frame on another rung is what it is now, less the network's share of it, plus the
    other network's: its share now, times the ratio of what both took when they were measured. A
    step down goes straight to the heaviest model that fits. A step up goes one rung, when that rung
    would fit with 15% to spare for some time without a break; that time doubles whenever such a
    step had to be taken back within 10 s, so that the ladder does not flap.

    Args:
        costs_s: what a frame took on each rung, in seconds, heaviest first, measured in turn.
    """

    def __init__(self, costs_s: Sequence[float]) -> None:
        self.level = 0
        self.switches: list[Switch] = []
        self._costs_s = tuple(costs_s)
        self._hold_s = _FIRST_HOLD_S
        self._room_since_s: float | None = None
        self._rose_s: float | None = None
        self._starved = True
        self._begin(0.0)

    def observe(
        self,
        now_s: float,
        *,
        level: int,
        frames: int,
        busy_s: float,
        idle_s: float,
        starved: bool,
        wanted_fps: float,
    ) -> bool:
        """Take in an inference; whether ``level`` has changed.

        Args:
            now_s: seconds since the start, when it ended.
            level: the rung it ran on; what was on its way at a switch is passed over.
            frames: how many it had.
            busy_s: how long it took.
            idle_s: how long it was waited for, because there was no frame.
            starved: whether the sources give all they have: then they are the limit, not we.
            wanted_fps: frames a second that are wanted, of all streams together.
        """
        if level != self.level:
            self._begin(now_s)
            return False
        if not self._frames:
            self._begin(now_s - busy_s - idle_s)
        self._frames += frames
        self._busy_s += busy_s
        self._idle_s += idle_s
        self._starved = self._starved and starved
        took_s = now_s - self._since_s
        if took_s < WINDOW_S or (self._frames < _FEWEST and took_s < _LONGEST_WINDOW_S):
            return False
        after = self._decide(now_s, took_s, wanted_fps)
        rate_fps = self._frames / took_s
        self._begin(now_s)
        if after == self.level:
            return False
        self.switches.append(Switch(now_s, self.level, after, rate_fps))
        self.level = after
        self._room_since_s = None
        return True

    def _begin(self, now_s: float) -> None:
        self._since_s = now_s
        self._frames, self._busy_s, self._idle_s, self._starved = 0, 0.0, 0.0, True

    def _decide(self, now_s: float, took_s: float, wanted_fps: float) -> int:
        frame_s, network_s = took_s / self._frames, self._busy_s / self._frames
        free_s = self._idle_s / self._frames
        factor = network_s / self._costs_s[self.level]  # of load now over load when measured
        if 1 / frame_s < _ENOUGH * wanted_fps and not self._starved:
            self._room_since_s = None
            return self._lower(now_s, frame_s, network_s, factor, 1 / wanted_fps)
        if self._rose_s is not None and now_s - self._rose_s > _FLAP_S:
            self._rose_s, self._hold_s = None, _FIRST_HOLD_S
        if self.level == 0:
            return 0
        heavier_s = self._costs_s[self.level - 1] * factor
        if frame_s - free_s - network_s + heavier_s > _MARGIN / wanted_fps:
            self._room_since_s = None
            return self.level
        if self._room_since_s is None:
            self._room_since_s = now_s
        if now_s - self._room_since_s < self._hold_s:
            return self.level
        self._rose_s = now_s
        return self.level - 1

    def _lower(
        self, now_s: float, frame_s: float, network_s: float, factor: float, wanted_s: float
    ) -> int:
        if self._rose_s is not None:
            if now_s - self._rose_s <= _FLAP_S:
                self._hold_s = min(2 * self._hold_s, _LONGEST_HOLD_S)
            self._rose_s = None
        best, best_s = self.level, frame_s * (1 - _WORTH_IT)
        for lower in range(self.level + 1, len(self._costs_s)):
            lighter_s = frame_s - network_s + self._costs_s[lower] * factor
            if lighter_s <= wanted_s:
                return lower
            if lighter_s < best_s:
                best, best_s = lower, lighter_s
        return best
