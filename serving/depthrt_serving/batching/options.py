"""How a batcher works, what it calls, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from depthrt.model.inference import Abort, Prediction
from depthrt_serving.batching.refusal import Reason

Predict = Callable[[NDArray[np.uint8], Abort], Prediction]
"""Runs the network on uint8 N,3,h,w until it is aborted; it is called in a thread."""


class Watcher(Protocol):
    """Is told what the batcher does."""

    def batch_done(self, images: int, seconds: float, wasted: int) -> None:
        """A batch was computed; for ``wasted`` of its images nobody waits any more."""

    def batch_aborted(self, images: int) -> None:
        """A batch was ended early: nobody waited for any of its images any more."""

    def refused(self, reason: Reason, images: int) -> None:
        """Images were refused."""

    def abandoned(self, images: int) -> None:
        """A client went away before these images were computed."""


@dataclass(frozen=True)
class BatchOptions:
    """How images wait and are batched.

    - ``batch``: images per inference, at most;
    - ``parallel``: inferences at a time;
    - ``preparers``: threads that decode ahead; 0: each inference decodes its image (batches of 1);
    - ``queue_images``: that wait at most;
    - ``wait_s``: how long a batch that is not full waits for images that are being decoded.
    """

    batch: int = 1
    parallel: int = 1
    preparers: int = 2
    queue_images: int = 64
    wait_s: float = 0.005
