"""Drift of what the server answers: two answers a second go through the features of `run`.

Answers to requests that stand alone are one stream, called ``requests``: they have no flicker. The
frames of a WebSocket whose client gave it a name are a stream of their own, as a camera's are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.monitor.cells import texture_by_cell
from depthrt.monitor.features import depth_features, picture_features
from depthrt.monitor.watch import SAMPLE_S, Watch
from depthrt.monitor.watches import WatchedModel, Watches

REQUESTS = "requests"

Pixels = NDArray[np.uint8]


class DriftWatch:
    """Watches what the models of a server answer; called in the event loop, works in a thread.

    Args:
        watches: of all streams and models.
    """

    def __init__(self, watches: Watches) -> None:
        self.watches = watches
        self._thread = ThreadPoolExecutor(1, "drift")
        self._work: dict[tuple[str, str], Future[None]] = {}
        self._due_s: dict[tuple[str, str], float] = {}

    def saw(
        self, model: WatchedModel, stream: str, prepared: Sequence[Pixels], depths: Sequence[Depth]
    ) -> None:
        """Look at an answer, if it is time: at the first of its images.

        Args:
            model: that gave it.
            stream: the name of the stream that it is a frame of; empty: it stands alone.
            prepared: what the network saw of each image, uint8 RGB 3,h,w.
            depths: of each image; nobody changes them any more.
        """
        key, now_s = (stream or REQUESTS, model.sha256), time.monotonic()
        busy = self._work.get(key)
        if busy is not None and not busy.done():
            return
        watch = self.watches.watch(key[0], model)
        if not stream:
            if now_s < self._due_s.get(key, 0.0):
                return
            self._due_s[key] = now_s + SAMPLE_S
            self._work[key] = self._thread.submit(_add, watch, prepared[0], depths[0])
        elif watch.wants(now_s):
            self._work[key] = self._thread.submit(watch.see, now_s, prepared[0], depths[0])

    def close(self) -> None:
        """End the thread once what it does is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _add(watch: Watch, prepared: Pixels, depth: Depth) -> None:
    row = {**picture_features(prepared), **depth_features(depth)}
    watch.add(row, texture_by_cell(prepared))
