"""The way of a frame: source -> prepare -> infer -> result.

One recording on a CPU is worked on by as many threads as there are cores, the caller's among them
(:mod:`depthrt.carried`). Else each source is decoded and prepared in a thread of its own
(:mod:`depthrt.lanes`), and one runs the network for all (:mod:`depthrt.inference`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import chain
from math import prod
from threading import Semaphore
from typing import Any

from depthrt.buffered import buffered
from depthrt.carried import Carried, can_carry
from depthrt.errors import DepthrtError, UsageError
from depthrt.finishing import Finishing
from depthrt.inference import Inference
from depthrt.ladder import Ladder
from depthrt.lane import End, Lane
from depthrt.lanes import Lanes
from depthrt.limits import LiveLimits
from depthrt.model import DepthModel
from depthrt.opening import SourceLike, open_many, open_one
from depthrt.results import Result, Stats
from depthrt.reuse import Reuse
from depthrt.session import usable_cores
from depthrt.sources import Selection

__all__ = ["End", "Result", "Stats", "Streams", "default_batch", "stream", "stream_many"]

LEAST_QUEUE, MOST_QUEUE = 8, 32  # frames between two stages, which work off half of it at a time
_QUEUE_BYTES = 1 << 24  # that pictures in a queue take, beyond the least
LIVE_WAIT_S = 0.005  # for the frames of other streams, before an inference
RECORDED_WAIT_S = 0.5  # a recording that stalls must not hold up the others


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
) -> Generator[Result, None, None]:
    """Depth of every frame of a source, in order.

    >>> for result in stream("clip.mp4", DepthModel.load()):
    ...     result.frame.time_s, result.depth.values

    Decoding, preparing and inference run side by side over short queues. A file never drops a
    frame; a live source keeps the newest and counts the others in ``stats.dropped``. Closing the
    iterator, or leaving it to the garbage collector, ends every stage.

    Args:
        source: what :func:`depthrt.open_source` takes, a source, or uint8 RGB images (H,W,3).
        model: the model, or a ladder of them; None is the built-in one.
        selection: which frames; not for a source that is open already.
        batch: frames per inference; more than one pays with int8 models and on a GPU.
        wait_s: how long frames wait for later ones to fill a batch; None is 5 ms where the source
            is live, else as long as it takes.
        stats: filled while the frames pass.
        limits: what is taken of a live source.
        stabilise: take the flicker out of the depth (:mod:`depthrt.stabilise`); else it is exactly
            what the model gave.
        reuse: give frames that did not change the depth before them, without inference.
        pictures: frames keep their pixels; False, where only depth is wanted, makes them all zero
            once the network has them, which saves the memory of a dozen decoded frames.

    Raises:
        DepthrtError: from opening the source at once; from any stage when its frame is due.
    """
    if batch < 1:
        raise UsageError(f"--batch {batch} is less than 1")
    limits = limits or LiveLimits()
    opened = open_one(source, selection, limits)
    lane = Lane(opened.info.name, opened, stats or Stats())
    streams = Streams(
        [lane],
        model or DepthModel.load(objective="live"),
        batch,
        wait_s=wait_s,
        limits=limits,
        stabilise=stabilise,
        reuse=reuse,
        pictures=pictures,
    )
    return Running(streams, _raising(streams))


class Running(Generator[Result, None, None]):
    """Results as they come; closing it, or leaving it to the garbage collector, ends all stages."""

    def __init__(self, streams: Streams, results: Generator[Result, None, None]) -> None:
        self._streams, self._results = streams, results

    def send(self, value: None) -> Result:
        """The next result."""
        return self._results.send(value)

    def throw(self, *raised: Any) -> Result:
        """End with an error, as a generator does."""
        return self._results.throw(*raised)

    def close(self) -> None:
        """End every stage; also of one that was never begun."""
        self._results.close()
        self._streams.close()

    def stop(self) -> None:
        """Let it end soon, from whatever thread: no more frames are read."""
        self._streams.cancel()

    def __del__(self) -> None:
        self.close()


def _raising(streams: Streams) -> Generator[Result, None, None]:
    with closing(streams):
        for event in streams:
            if not isinstance(event, End):
                yield event
            elif event.error is not None:
                raise event.error


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
    on_failure: Callable[[str, BaseException], None] | None = None,
) -> Generator[Result, None, None]:
    """Depth of the frames of several sources, batched through one session.

    >>> for result in stream_many({"front": 0, "yard": "rtsp://camera/stream"}):
    ...     result.frame.stream, result.depth.values

    Streams take turns; results of each come in its order, and say in ``frame.stream`` whose they
    are. Frames may differ in size: those that are of one size once prepared go together. A stream
    that fails ends alone.

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
        stabilise, reuse: as for :func:`stream`, each stream by itself.
        on_failure: called with name and error of a stream that fails, also when it cannot be
            opened. None: the first of these errors is raised when all others have ended.

    Raises:
        DepthrtError: no source could be opened; a stream failed and there is no ``on_failure``.
        UsageError: no source, or a batch less than 1.
    """
    if not sources:
        raise UsageError("there is no source")
    lanes: list[Lane] = []
    failures: list[End] = []
    kept = {} if stats is None else stats
    limits = limits or LiveLimits()
    for name, opened in open_many(sources, selection, limits):
        if isinstance(opened, DepthrtError):
            failures.append(End(name, opened))
        else:
            lanes.append(Lane(name, opened, kept.setdefault(name, Stats())))
    if not lanes and failures[0].error is not None:
        raise failures[0].error
    streams = Streams(
        lanes, model or DepthModel.load(objective="live"), batch,
        wait_s=wait_s, limits=limits, stabilise=stabilise, reuse=reuse,
    )  # fmt: skip
    return Running(streams, _telling(streams, failures, on_failure))


def _telling(
    streams: Streams,
    failures: list[End],
    on_failure: Callable[[str, BaseException], None] | None,
) -> Generator[Result, None, None]:
    first: BaseException | None = None
    with closing(streams):
        for event in chain(failures, streams):
            if not isinstance(event, End):
                yield event
            elif event.error is None:
                continue
            elif on_failure is not None:
                on_failure(event.stream, event.error)
            else:
                first = first or event.error
    if first is not None:
        raise first


class Streams:
    """The results of several open sources, one after the other, and the end of each."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        model: DepthModel | Ladder,
        batch: int | None = None,
        *,
        wait_s: float | None = None,
        limits: LiveLimits | None = None,
        stabilise: bool = False,
        reuse: Reuse | None = None,
        pictures: bool = True,
    ) -> None:
        """The lanes are read from the first result on.

        Raises:
            UsageError: a batch less than 1.
        """
        if batch is not None and batch < 1:
            raise UsageError(f"--batch {batch} is less than 1")
        live = any(lane.live for lane in lanes)
        ladder = model if isinstance(model, Ladder) else None
        first = model.model if isinstance(model, Ladder) else model
        most = batch or default_batch(first, len(lanes), live=live)
        if wait_s is None and (live or len(lanes) > 1):
            wait_s = LIVE_WAIT_S if live else RECORDED_WAIT_S
        queue = LEAST_QUEUE if live or ladder else _queue_frames(lanes, pictures=pictures)
        self._way: Lanes | Carried
        if ladder is None and can_carry(lanes, first):
            finishing = Finishing(lanes, stabilise=stabilise, reuse=reuse)
            self._way = Carried(
                lanes[0], first, finishing, most, max(queue // 2, 2 * most), pictures=pictures
            )
            self._events = self._way.run()
            return

        def choose() -> DepthModel:
            return first if ladder is None else ladder.model

        # As many stages work as there are cores, each on a burst of frames: more of them would be
        # stopped in the middle of a frame, and find another's data in their caches every time.
        turns = nullcontext() if live else Semaphore(usable_cores() + 1)
        size = max(queue if len(lanes) == 1 else 2, -(-2 * most // len(lanes)))
        self._way = Lanes(
            lanes, choose, size, limits or LiveLimits(), pictures=pictures, turns=turns
        )
        ahead = 1 if live else max(queue // 2, most)
        inference = Inference(
            self._way, lanes, most, wait_s, ladder,
            stabilise=stabilise, reuse=reuse,
            burst=1 if live or ladder else queue // 2, turns=turns,
        )  # fmt: skip
        self._events = buffered(inference.run(), ahead, name="infer")

    def __iter__(self) -> Generator[Result | End, None, None]:
        """The results, in order within each stream; and the end of each."""
        try:
            for event in self._events:
                if (
                    isinstance(event, Result)
                    and event.frame.captured_s is not None
                    and isinstance(self._way, Lanes)
                ):
                    latency_s = time.monotonic() - event.frame.captured_s
                    if self._way.too_late(event.frame.stream, latency_s):
                        continue
                    self._way.stats[event.frame.stream].latency.add(latency_s)
                    event = replace(event, latency_s=latency_s)
                yield event
        finally:
            self.close()

    def stop(self, name: str) -> None:
        """End one stream; results that were made already may still come."""
        self._way.stop(name)

    def cancel(self) -> None:
        """Ask all streams to end, from whatever thread, and do not wait for it."""
        self._way.cancel()

    def close(self) -> None:
        """End all streams and their threads."""
        self._way.close()
        self._events.close()


def _queue_frames(lanes: Sequence[Lane], *, pictures: bool) -> int:
    """Frames between two stages: fewer where they keep large pictures."""
    largest = max(prod(lane.source.info.size) for lane in lanes) * 3 // 2  # bytes, as YUV 4:2:0
    fitting = _QUEUE_BYTES // max(1, largest) if pictures else MOST_QUEUE
    return min(max(LEAST_QUEUE, fitting), MOST_QUEUE)


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
