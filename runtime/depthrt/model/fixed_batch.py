"""One number of frames for every run, where each other number costs a plan of its own."""

from __future__ import annotations

from threading import Lock

PLANNING = ("cuda", "tensorrt")
"""Providers for which a run of another number of frames than the run before costs much: with CUDA
onnxruntime has every convolution planned anew, depthrt-s on an H200 in 1.1 s in place of 4 ms
(`benchmarks/results/gpu.json`, `other_batches`); TensorRT builds engines, and was not measured."""

MOST_FRAMES = 32
"""Larger runs come as they are, and no later run is filled up to them."""


class PlannedBatch:
    """The frames that a run is filled up to: as many as the largest so far of the same size.

    Never fewer again: 8 frames took 1.4 times the time of one (depthrt-s in float32, H200), and
    groups of live streams, small for a while, would have it planned anew for ever.

    >>> planned = PlannedBatch()
    >>> [planned.next_run(n, (224, 288)) for n in (2, 8, 3)]
    [2, 8, 8]
    """

    def __init__(self) -> None:
        self._frames = 0
        self._size: tuple[int, ...] = ()
        self._lock = Lock()

    def next_run(self, needed: int, size: tuple[int, ...]) -> int:
        """At least `needed`; size: height and width, of which another is planned anew anyway."""
        if needed > MOST_FRAMES:
            return needed
        with self._lock:
            if size != self._size:
                self._frames, self._size = 0, size
            self._frames = max(self._frames, needed)
            return self._frames
