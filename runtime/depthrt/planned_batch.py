"""One number of frames for every run, where each other number costs a plan of its own."""

from __future__ import annotations

PLANNING = ("cuda", "tensorrt")
"""Providers for which onnxruntime plans every convolution anew whenever the number of frames is not
that of the run before: on an H200 depthrt-s then took 1.1 s in place of 4 ms
(`benchmarks/results/gpu.json`, `other_batches`)."""

_PATIENCE = 32


class PlannedBatch:
    """The frames that a run is filled up to: as many as the largest of late.

    >>> planned = PlannedBatch()
    >>> [planned.frames(n) for n in (2, 8, 3)]
    [2, 8, 8]
    """

    def __init__(self) -> None:
        self._frames = 0
        self._smaller = 0  # runs since the last that had this many
        self._largest_of_them = 0

    def frames(self, needed: int) -> int:
        """At least `needed`; after 32 smaller runs as many as the largest of those."""
        if needed >= self._frames:
            self._frames, self._smaller, self._largest_of_them = needed, 0, 0
            return needed
        self._smaller += 1
        self._largest_of_them = max(self._largest_of_them, needed)
        if self._smaller > _PATIENCE:
            self._frames, self._smaller = self._largest_of_them, 0
            self._largest_of_them = 0
        return self._frames
