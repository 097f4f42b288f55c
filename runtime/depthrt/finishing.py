"""From what the network gave for a group of frames to the results of their streams."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.lane import End, Lane, Prepared
from depthrt.results import Finisher, Result
from depthrt.reuse import Reuse, ReuseGate

Group: TypeAlias = list[tuple[Prepared, bool]]  # frames of one inference; whether unchanged


@dataclass(frozen=True, eq=False)
class Done:
    """Depth maps N,h,w and the seconds they took."""

    maps: NDArray[np.float32]
    busy_s: float


class Finishing:
    """Makes the results of several streams, and the end of one whose frame the network cannot do.

    Args:
        lanes: the streams.
        stabilise: take the flicker out of the depth of each stream.
        reuse: frames that did not change take no part in an inference.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        stabilise: bool = False,
        reuse: Reuse | None = None,
    ) -> None:
        self._finishers = {
            lane.name: Finisher(lane.stats, stabilise, ReuseGate(reuse) if reuse else None)
            for lane in lanes
        }
        self._failed_streams: set[str] = set()  # groups with frames of theirs may be under way

    def unchanged(self, item: Prepared) -> bool:
        """Whether a frame can do without inference; to be asked in order, once for each frame."""
        finisher = self._finishers[item.lane.name]
        return finisher.unchanged(item.frame, item.pixels, item.model)

    def results(self, group: Group, outcome: Done | Exception) -> Iterator[Result | End]:
        """The results of a group in order; the frames marked as unchanged were not computed."""
        if isinstance(outcome, InferenceError):
            yield from self._failed(group, outcome)
            return
        if isinstance(outcome, Exception):
            raise outcome
        for item, unchanged in group:
            if not unchanged:
                item.lane.stats.add("infer", outcome.busy_s / len(outcome.maps))
        maps = iter(outcome.maps)
        for item, unchanged in group:
            values = None if unchanged else next(maps)
            if item.lane.name in self._failed_streams:
                continue
            finisher = self._finishers[item.lane.name]
            yield finisher.finish(item.frame, item.pixels, values, item.model)

    def _failed(self, group: Group, error: InferenceError) -> Iterator[Result | End]:
        """One by one, those that are well get their depth; the stream of the other one ends."""
        if len(group) == 1:
            item, _ = group[0]
            if item.lane.name in self._failed_streams:
                return
            self._failed_streams.add(item.lane.name)
            said = InferenceError(f"frame {item.frame.index}: {error}")
            said.__cause__ = error
            yield End(item.lane.name, said)
            return
        for member in group:
            if member[0].lane.name not in self._failed_streams:
                yield from self.results([member], attempt([member]))


def attempt(group: Group) -> Done | Exception:
    """Run the network for those frames of a group that changed."""
    changed = [item for item, unchanged in group if not unchanged]
    if not changed:
        return Done(np.empty((0, 0, 0), np.float32), 0.0)
    start_s = time.perf_counter()
    try:
        maps = changed[0].model.infer(np.stack([item.pixels for item in changed]))
    except Exception as error:  # each group has its own, told when its turn comes
        return error
    return Done(maps, time.perf_counter() - start_s)
