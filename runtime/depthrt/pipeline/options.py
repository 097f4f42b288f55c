"""How frames are taken through the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

from depthrt.errors import UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.monitor.watch import Watch
from depthrt.sources.base import SourceInfo
from depthrt.sources.live.live_limits import LiveLimits
from depthrt.temporal.frame_reuse import Reuse
from depthrt.temporal.keyframes import Keyframes

LIVE_WAIT_S = 0.005  # for the frames of other streams, before an inference
RECORDED_WAIT_S = 0.5  # a recording that stalls must not hold up the others
_FEWEST_AHEAD, _MOST_AHEAD = 4, 16  # frames of one recording that are under way
_AHEAD_BYTES = 1 << 23  # that their pictures take, beyond the fewest


@dataclass(frozen=True)
class FramesAhead:
    """How far recordings are read ahead.

    - ``waiting``: frames of one recording that wait for the network at most;
    - ``under_way``: frames of all that were begun and whose results were not taken, at most.
    """

    waiting: int
    under_way: int


@dataclass(frozen=True)
class StreamOptions:
    """What is wanted of a run of streams; see :func:`depthrt.stream` for most fields.

    ``watches`` gives the watch of a stream, by its name, and a model; None: nothing is watched.

    Raises:
        UsageError: a batch of less than 1.
    """

    batch: int | None = None
    wait_s: float | None = None
    limits: LiveLimits = field(default_factory=LiveLimits)
    stabilise: bool = False
    reuse: Reuse | None = None
    pictures: bool = True
    keyframes: Keyframes | None = None
    watches: Callable[[str, DepthModel], Watch] | None = None

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"--batch {self.batch} is less than 1")

    def batch_wait_s(self, infos: Sequence[SourceInfo]) -> float | None:
        """How long frames wait for others to fill a batch; None is as long as it takes."""
        if self.wait_s is not None:
            return self.wait_s
        if any(info.live for info in infos):
            return LIVE_WAIT_S
        return RECORDED_WAIT_S if len(infos) > 1 else None

    def frames_ahead(self, infos: Sequence[SourceInfo], batch: int, parallel: int) -> FramesAhead:
        """How far recordings are read ahead.

        Args:
            infos: of the sources.
            batch: frames that are taken together at most: of one inference, or of a gap.
            parallel: inferences that run at a time.
        """
        if self.keyframes is not None:
            return FramesAhead(
                batch * (2 if len(infos) == 1 else 1), batch * (len(infos) + parallel + 1)
            )
        if len(infos) > 1:
            waiting = max(2, -(-2 * batch // len(infos)))
            return FramesAhead(waiting, len(infos) * waiting + parallel * batch)
        picture_bytes = prod(infos[0].size) * 3 // 2  # as YUV 4:2:0
        fitting = _AHEAD_BYTES // max(1, picture_bytes) if self.pictures else _MOST_AHEAD
        ahead = max(2 * batch, min(max(_FEWEST_AHEAD, fitting), _MOST_AHEAD))
        return FramesAhead(ahead, ahead)


def default_batch(model: DepthModel, streams: int, *, live: bool) -> int:
    """Frames per inference that suit a model and so many streams.

    Live frames on a CPU go one by one: a batch takes nearly as long there as its frames in turn,
    and each would wait for all of it.
    """
    if model.fixed_batch is not None:
        return model.fixed_batch
    if not live:
        return model.batch
    return 1 if model.provider == "cpu" else streams
