"""One batch size for all runs, on providers that plan anew for each other size."""

from __future__ import annotations

from threading import Lock

PLANNING = ("cuda", "tensorrt")
"""Providers where a new batch size is costly. With CUDA every convolution is planned anew: a run of
depthrt-s on an H200 then takes 1.1 s instead of 4 ms (`benchmarks/results/gpu.json`,
`other_batches`). TensorRT builds engines anew; that was not measured."""

MOST_FRAMES = 32
"""Larger batches run at their own size, and later runs are not filled up to them."""


class PlannedBatch:
    """The batch size that runs are filled up to: the largest so far at the same picture size.

    It never shrinks. A batch of 8 frames took only 1.4 times as long as one frame (depthrt-s in
    float32, H200), while live streams, whose batches vary, would cause new plans for ever.

    >>> planned = PlannedBatch()
    >>> [planned.next_run(n, (224, 288)) for n in (2, 8, 3)]
    [2, 8, 8]
    """

    def __init__(self) -> None:
        self._frames = 0
        self._size: tuple[int, ...] = ()
        self._lock = Lock()

    def next_run(self, needed: int, size: tuple[int, ...]) -> int:
        """The batch size to run at, at least ``needed``.

        Args:
            needed: frames that are there.
            size: their height and width; another size is planned anew anyway.
        """
        if needed > MOST_FRAMES:
            return needed
        with self._lock:
            if size != self._size:
                self._frames, self._size = 0, size
            self._frames = max(self._frames, needed)
            return self._frames
