"""One stream of the pipeline: its source, its frames that wait, and where it stands."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from depthrt.frame import Frame, copy_image, without_pixels
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.pipeline.ladder.model_ladder import Ladder
from depthrt.pipeline.threads import CLOSE_S, ThreadGroup
from depthrt.result import Stats
from depthrt.sources.base import Source
from depthrt.sources.live.live_limits import Thinning

Job = Callable[[], None]


@dataclass(frozen=True, eq=False)
class PreparedFrame:
    """A frame as a network wants it: ``pixels`` are uint8 RGB 3,h,w for ``model``."""

    stream: StreamState
    frame: Frame
    pixels: NDArray[np.uint8]
    model: DepthModel

    def fits(self, other: PreparedFrame) -> bool:
        """Whether both can go into one inference."""
        return self.model is other.model and self.pixels.shape == other.pixels.shape


@dataclass(frozen=True)
class End:
    """A stream that has ended, after all its frames; with the error that ended it, if one did."""

    stream: str
    error: BaseException | None = None


@dataclass(eq=False)
class StreamState:
    """One stream; the scheduler's lock guards the fields from ``waiting`` on.

    - ``waiting``: prepared frames that wait for the network;
    - ``reading``: somebody reads its source right now, who also closes it if it has ended;
    - ``finished``, ``error``: its source gives no more frames, because of the error if there is
      one;
    - ``cancelled``: nobody wants more of it;
    - ``told``: its end was handed to the consumer;
    - ``closed``: its source was closed, or somebody is about to.
    """

    name: str
    source: Source
    stats: Stats
    waiting: deque[PreparedFrame] = field(default_factory=deque)
    reading: bool = False
    finished: bool = False
    error: BaseException | None = None
    cancelled: bool = False
    told: bool = False
    closed: bool = False
    frames: Iterator[Frame] | None = None

    @property
    def live(self) -> bool:
        """Whether frames that are not taken in time are lost."""
        return self.source.info.live

    def ask_to_stop(self) -> None:
        """Tell a source that waits for a device or a network to give up; wait for nobody."""
        with suppress(Exception):
            self.source.stop()

    def close(self, lock: AbstractContextManager[bool]) -> None:
        """Close the source, once, unless somebody reads it: who reads it closes it then."""
        with lock:
            if self.reading or self.closed:
                return
            self.closed = True
            frames, self.frames = self.frames, None
        with suppress(Exception):  # it has ended, however badly it takes leave
            if isinstance(frames, Generator):
                frames.close()
            else:
                self.source.close()


class OpenStreams(ThreadGroup):
    """Streams and the threads that work on them; how both end is drawn in its base.

    Args:
        streams: under names that differ.
    """

    def __init__(self, streams: Sequence[StreamState]) -> None:
        super().__init__()
        self._streams = {stream.name: stream for stream in streams}
        self._closed = self._asked_to_stop = False
        self._busy = 0  # jobs under way in threads other than the main one

    @property
    def is_busy(self) -> bool:
        """Whether a thread is inside the network or a decoder."""
        return self._busy > 0 and not self.is_forked

    def do(self, job: Job) -> None:
        """Do a job: the interpreter's exit waits for it."""
        # The main thread is not counted: what exits is that thread, and Ctrl-C may come anywhere.
        counted = threading.current_thread() is not threading.main_thread()
        with self.lock:
            self._busy += counted
        try:
            job()
        finally:
            with self.lock:
                self._busy -= counted

    def stop(self, name: str) -> None:
        """End one stream; results that were made already may still come."""
        stream = self._streams[name]
        with self.lock:
            stream.cancelled = True
            stream.waiting.clear()
            self.changed.notify_all()
        stream.ask_to_stop()
        stream.close(self.lock)

    def cancel(self) -> None:
        """Ask all streams to end, from whatever thread, and wait for nobody."""
        if self.is_forked:
            return
        super().cancel()
        with self.lock:
            for stream in self._streams.values():
                stream.cancelled = True
        self.ask_to_stop()

    def abandon(self) -> None:
        """End them from a finaliser; sources that may block are left to the garbage collector."""
        super().abandon()
        if not (self._threads or self.is_forked):
            for stream in self._streams.values():
                if not stream.source.info.blocks:
                    stream.close(self.lock)

    def close(self, wait_s: float = CLOSE_S) -> None:
        """End all streams and wait for their threads, but not for one that a source holds up."""
        self._closed = True
        super().close(wait_s)
        if not self.is_forked:
            self.close_sources()

    def ask_to_stop(self) -> None:
        """Tell sources that wait for a device or a network; once, and without the lock."""
        with self.lock:
            asked, self._asked_to_stop = self._asked_to_stop, True
        if not asked:
            for stream in self._streams.values():
                stream.ask_to_stop()

    def close_sources(self) -> None:
        """Close the sources that nobody reads."""
        for stream in self._streams.values():
            stream.close(self.lock)


class FrameReader:
    """Reads and prepares the frames of one stream, one at a time.

    Args:
        stream: the stream.
        model: what frames are prepared for; of a ladder, the model in use.
        max_rate: frames a second to take of a live source at most; None takes all.
        pictures: frames keep their pixels once they are prepared.
    """

    def __init__(
        self,
        stream: StreamState,
        model: DepthModel | Ladder,
        max_rate: float | None,
        *,
        pictures: bool,
    ) -> None:
        self._stream, self._model, self._pictures = stream, model, pictures
        self._thinning = Thinning(max_rate) if stream.live and max_rate is not None else None

    def read(self, add: Callable[[PreparedFrame], None], group: ThreadGroup) -> None:
        """Read one frame; whatever the source raises is the end of this stream alone.

        Args:
            add: takes the frame, while the lock is held.
            group: its lock guards the stream; its threads are notified.

        Raises:
            BaseException: an interruption of the main thread, which may be Ctrl-C.
        """
        stream = self._stream
        item: PreparedFrame | None = None
        error: BaseException | None = None
        ended = True
        try:
            item = self.next()
            ended = item is None
        except BaseException as caught:
            interrupt = not isinstance(caught, Exception)
            if interrupt and threading.current_thread() is threading.main_thread():
                raise
            error = caught
        finally:
            with group.lock:
                stream.reading = False
                if item is not None and not stream.cancelled:
                    add(item)
                stream.finished, stream.error = ended, error
                group.changed.notify_all()
            if ended or stream.cancelled:
                stream.close(group.lock)

    def next(self) -> PreparedFrame | None:
        """The next frame that is wanted; None after the last.

        Raises:
            BaseException: whatever the source raised.
        """
        stream = self._stream
        if stream.frames is None:
            stream.frames = iter(stream.source.frames())
        while not stream.cancelled:
            start_s = time.perf_counter()
            frame = next(stream.frames, None)
            read_s = time.perf_counter()
            stream.stats.spend("wait" if stream.live else "decode", read_s - start_s)
            if frame is None:
                return None
            if self._thinning is None or self._thinning.wants(frame.exact_time_s):
                item = self._prepared(frame)
                stream.stats.spend("prepare", time.perf_counter() - read_s)
                return item
        return None

    def _prepared(self, frame: Frame) -> PreparedFrame:
        stream, model = self._stream, self._model
        if isinstance(model, Ladder):
            model = model.model
        pixels = prepare(frame.pixels, model.spec.input)
        image = frame.pixels
        if not self._pictures:  # the decoder has its memory back at once
            image = without_pixels(image)
        elif not stream.source.info.owns_pictures:
            image = copy_image(image)  # somebody may fill the same buffer again
        captured_s = frame.captured_s
        if stream.live and captured_s is None:
            captured_s = time.monotonic()
        changed = image is not frame.pixels or captured_s is not frame.captured_s
        if changed or frame.stream != stream.name:
            frame = replace(frame, pixels=image, stream=stream.name, captured_s=captured_s)
        return PreparedFrame(stream, frame, pixels, model)
