"""Depth of the frames of one source, or of several."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any

from depthrt.errors import UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.ladder.model_ladder import Ladder
from depthrt.pipeline.options import StreamOptions
from depthrt.pipeline.scheduling.scheduler import Scheduler
from depthrt.pipeline.stream_state import End, StreamState
from depthrt.result import Result, Stats
from depthrt.sources.base import Selection
from depthrt.sources.live.live_limits import LiveLimits
from depthrt.sources.open_many import SourceLike, open_many, open_one
from depthrt.temporal.frame_reuse import Reuse
from depthrt.temporal.keyframes import Keyframes, keyframes_of

OnFailure = Callable[[str, BaseException], None]


class Results(Generator[Result, None, None]):
    """Results as they come.

    Closing it, leaving its ``with`` block or a loop that reaches the end closes every source. Left
    to the garbage collector, it ends by itself, and nobody waits for it.

    Args:
        scheduler: gives the results and the ends of streams.
        ends: streams that have ended before they began.
        on_failure: told of a stream that fails; None raises the first failure at the end of all,
            that of a single stream at once.
    """

    def __init__(
        self, scheduler: Scheduler, ends: Sequence[End] = (), on_failure: OnFailure | None = None
    ) -> None:
        self._scheduler = scheduler
        self._ends, self._on_failure = list(ends), on_failure
        self._first_failure: BaseException | None = None

    def send(self, value: None) -> Result:
        """The next result.

        Raises:
            StopIteration: all streams have ended.
            BaseException: what ended a stream, as itself.
        """
        try:
            while True:
                event = self._ends.pop(0) if self._ends else self._scheduler.next_event()
                if event is None:
                    break
                if not isinstance(event, End):
                    return event
                if event.error is not None:
                    self._fail(event.stream, event.error)
        except BaseException:
            self.close()
            raise
        self.close()
        failure, self._first_failure = self._first_failure, None
        if failure is not None:
            raise failure
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Result:
        """End with an error, as a generator does."""
        self.close()
        return super().throw(kind, value, trace)

    def close(self) -> None:
        """End every stream; it takes a second at most, whatever a source is doing."""
        self._scheduler.close()

    def stop(self) -> None:
        """Ask all streams to end, from whatever thread, and wait for nobody."""
        self._scheduler.cancel()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._scheduler.abandon()

    def _fail(self, name: str, error: BaseException) -> None:
        if self._on_failure is not None:
            self._on_failure(name, error)
        else:
            self._first_failure = self._first_failure or error


def stream(
    source: SourceLike,
    model: DepthModel | Ladder | None = None,
    *,
    selection: Selection | None = None,
    batch: int = 1,
    wait_s: float | None = None,
    stats: Stats | None = None,
    limits: LiveLimits | None = None,
    stabilise: bool = False,
    reuse: Reuse | None = None,
    pictures: bool = True,
    keyframes: Keyframes | float | None = None,
) -> Results:
    """Depth of every frame of a source, in order.

    >>> with stream("clip.mp4", DepthModel.load()) as results:
    ...     for result in results:
    ...         result.frame.time_s, result.depth.values

    Reading, preparing and inference run side by side, a few frames ahead. A file never drops a
    frame; a live source keeps the newest and counts the others in ``stats.dropped``. Closing the
    iterator, or leaving its ``with`` block, ends every thread; it takes a second at most. Left to
    the garbage collector, it ends by itself.

    Args:
        source: what :func:`depthrt.open_source` takes, a source, or uint8 RGB images (H,W,3).
            Images are copied: the same buffer may be filled again for the next one. An iterable of
            images is read in a thread of its own.
        model: the model, or a ladder of them; None is the built-in one.
        selection: which frames; not for a source that is open already.
        batch: frames per inference; more than one pays with int8 models and on a GPU.
        wait_s: how long frames wait for later ones to fill a batch; None is 5 ms where the source
            is live, else as long as it takes.
        stats: filled while the frames pass.
        limits: what is taken of a live source.
        stabilise: take the flicker out of the depth (:mod:`depthrt.temporal.stabiliser`); else it
            is exactly what the model gave.
        reuse: give frames that did not change the depth before them, without inference.
        pictures: frames keep their pixels; False, where only depth is wanted, makes them all zero
            once the network has them, which saves the memory of a dozen decoded frames.
        keyframes: run the network on some frames of a recording and carry depth over to the others
            by optical flow; a number is the error allowed, as a share of the depth's spread.

    Raises:
        DepthrtError: from opening the source at once; from any stage when its frame is due.
        UsageError: a batch of less than 1.
    """
    options = StreamOptions(
        batch, wait_s, limits or LiveLimits(), stabilise, reuse, pictures, keyframes_of(keyframes)
    )
    opened = open_one(source, selection, options.limits)
    state = StreamState(opened.info.name, opened, stats or Stats())
    return Results(Scheduler([state], model or DepthModel.load(objective="live"), options))


def stream_many(
    sources: Sequence[SourceLike] | Mapping[str, SourceLike],
    model: DepthModel | Ladder | None = None,
    *,
    selection: Selection | None = None,
    batch: int | None = None,
    wait_s: float | None = None,
    stats: dict[str, Stats] | None = None,
    limits: LiveLimits | None = None,
    stabilise: bool = False,
    reuse: Reuse | None = None,
    keyframes: Keyframes | float | None = None,
    on_failure: OnFailure | None = None,
) -> Results:
    """Depth of the frames of several sources, batched through one session.

    >>> for result in stream_many({"front": 0, "yard": "rtsp://camera/stream"}):
    ...     result.frame.stream, result.depth.values

    Streams take turns; results of each come in its order, and say in ``frame.stream`` whose they
    are. Frames may differ in size: those that are of one size once prepared go together. A stream
    that fails, whatever it raises, ends alone.

    Args:
        sources: as for :func:`stream`; in a mapping under their names, else under their own,
            numbered where they agree.
        model: the model, or a ladder of them; None is the built-in one.
        selection: which frames of each; not for sources that are open already.
        batch: frames per inference at most; None is what suits model and sources. Depth does not
            depend on it, but for ``int8_dynamic`` models, whose ranges are those of a whole batch.
        wait_s: how long frames wait for those of other streams to fill a batch; None is 5 ms where
            a source is live, else 0.5 s.
        stats: filled under the streams' names while the frames pass.
        limits: what is taken of live sources.
        stabilise, reuse, keyframes: as for :func:`stream`, each stream by itself.
        on_failure: called with name and error of a stream that fails, also when it cannot be
            opened. None: the first of these errors is raised when all others have ended.

    Raises:
        DepthrtError: no source could be opened; a stream failed and there is no ``on_failure``.
        UsageError: no source, or a batch of less than 1.
    """
    if not sources:
        raise UsageError("there is no source")
    options = StreamOptions(
        batch, wait_s, limits or LiveLimits(), stabilise, reuse, keyframes=keyframes_of(keyframes)
    )
    states: list[StreamState] = []
    failures: list[End] = []
    kept = {} if stats is None else stats
    for name, opened in open_many(sources, selection, options.limits):
        if isinstance(opened, BaseException):
            failures.append(End(name, opened))
        else:
            states.append(StreamState(name, opened, kept.setdefault(name, Stats())))
    if not states and failures[0].error is not None:
        raise failures[0].error
    scheduler = Scheduler(states, model or DepthModel.load(objective="live"), options)
    return Results(scheduler, failures, on_failure)
