"""Which model serves, and how a new one takes over: one actor, which all fronts ask.

Plain Python: Ray makes an actor of the class, and tests use it as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from depthrt_serving.cluster.judge import Record, Seen, has_seen_enough, reason_to_return
from depthrt_serving.cluster.options import Gates

_GONE_S = 15.0  # a front that has not asked for so long is gone
SECOND_SHARE = 0.5
"""The share between the first one and all."""

State = Literal["none", "running", "promoted", "returned"]


@dataclass(frozen=True)
class Routing:
    """Where batches go.

    - ``stable``, ``canary``: SHA-256 of the models; canary None: there is none;
    - ``share``: of the batches that the canary gets.
    """

    stable: str
    canary: str | None = None
    share: float = 0.0


@dataclass(frozen=True)
class Progress:
    """How a roll-over stands: its state, where batches go, and why it was returned."""

    state: State
    routing: Routing
    reason: str = ""
    batches: int = 0
    p99_ms: tuple[float, float] = (0.0, 0.0)


@dataclass(eq=False)
class Rollout:
    """The state of a cluster that serves. All calls come one after the other.

    Args:
        stable: SHA-256 of the model that serves.
        files: the bytes of model files by SHA-256, for the replicas: no disk is shared.
        clock: seconds; tests set it.
    """

    stable: str
    files: dict[str, bytes] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    _canary: str | None = None
    _shares: list[float] = field(default_factory=list)
    _gates: Gates = field(default_factory=Gates)
    _state: State = "none"
    _reason: str = ""
    _records: dict[str, Record] = field(default_factory=dict)
    _fronts: dict[str, float] = field(default_factory=dict)

    def put_file(self, sha256: str, content: bytes) -> None:
        """Keep a file for the replicas."""
        self.files[sha256] = content

    def file(self, sha256: str) -> bytes | None:
        """The bytes of a model file."""
        return self.files.get(sha256)

    def routing(self) -> Routing:
        """Where batches go now."""
        if self._canary is None or not self._shares:
            return Routing(self.stable)
        return Routing(self.stable, self._canary, self._shares[0])

    def exchange(self, front: str, seen: Sequence[Seen]) -> Routing:
        """Note what a front has seen since it last asked, judge, and say where batches go."""
        self._fronts[front] = self.clock()
        for each in seen:
            if each.sha256 in (self.stable, self._canary):
                self._records.setdefault(each.sha256, Record()).add(each)
        self._judge()
        return self.routing()

    def leave(self, front: str) -> int:
        """Forget a front; how many others there are."""
        self._fronts.pop(front, None)
        now_s = self.clock()
        self._fronts = {k: v for k, v in self._fronts.items() if now_s - v < _GONE_S}
        return len(self._fronts)

    def begin(self, canary: str, share: float, gates: Gates) -> str:
        """Give a new model its first share of the batches; a sentence where that cannot be."""
        if self._canary is not None:
            return f"another model ({self._canary[:8]}) is taking over already"
        if canary == self.stable:
            return "it is the model that serves already"
        steps = [share, *([SECOND_SHARE] if share < SECOND_SHARE else [])]
        self._canary, self._shares, self._gates = canary, steps, replace(gates)
        self._state, self._reason = "running", ""
        self._records = {}
        return ""

    def give_back(self, reason: str) -> None:
        """Take the new model's share from it."""
        if self._canary is not None:
            self._end("returned", reason)

    def progress(self) -> Progress:
        """How the roll-over stands; the last one, if there is none."""
        new, old = self._record(self._canary), self._record(self.stable)
        return Progress(
            self._state,
            self.routing(),
            self._reason,
            new.batches,
            (1e3 * new.p99_s, 1e3 * old.p99_s),
        )

    def _judge(self) -> None:
        if self._canary is None:
            return
        new, old = self._record(self._canary), self._record(self.stable)
        reason = reason_to_return(new, old, self._gates)
        if reason:
            self._end("returned", reason)
        elif has_seen_enough(new, self._gates):
            self._records = {}
            self._shares.pop(0)
            if not self._shares:
                self.stable = self._canary
                self._end("promoted", "")

    def _record(self, sha256: str | None) -> Record:
        return self._records.get(sha256 or "", Record())

    def _end(self, state: State, reason: str) -> None:
        self._canary, self._shares, self._records = None, [], {}
        self._state, self._reason = state, reason
