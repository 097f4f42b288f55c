"""A batch on its way through the network: whom it is for, and how it is ended early."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.model.inference import Abort, Prediction
from depthrt_serving.batching.options import Predict
from depthrt_serving.batching.work import Computed, Item, State


@dataclass(eq=False)
class Batch:
    """Images that are computed together.

    - ``start_s``, ``end_s``: between which it kept a thread busy, by ``time.monotonic``;
    - ``infer_s``: when its images were decoded and inference began;
    - ``wasted``: its images for which nobody waited any more when they were computed;
    - ``was_decoded``: whether all could be decoded;
    - ``was_ended``: whether it was ended before it was computed.
    """

    items: Sequence[Item]
    start_s: float = 0.0
    infer_s: float = 0.0
    end_s: float = 0.0
    wasted: int = 0
    was_decoded: bool = True
    was_ended: bool = False
    _abort: Abort = field(default_factory=Abort)

    @property
    def unwanted(self) -> int:
        """Images for which nobody waits any more."""
        return sum(item.work.is_over for item in self.items)

    def mark(self, state: State) -> None:
        """Say where its images are."""
        for item in self.items:
            item.state = state

    def end_if_unwanted(self) -> None:
        """End the inference if nobody waits for any of its images."""
        if self.unwanted == len(self.items):
            self._abort.now()

    def infer(self, predict: Predict) -> list[Prediction | Exception]:
        """Depth of each image, or why there is none; it runs in a thread.

        Images that were not decoded ahead are decoded here.
        """
        self.start_s = self.infer_s = time.monotonic()
        try:
            self._decode()
        except Exception as error:
            self.was_decoded, self.was_ended = False, self._abort.asked
            return [error] * len(self.items)
        prepared = [item.prepared for item in self.items if item.prepared is not None]
        found = self._infer(predict, prepared)
        self.end_s, self.wasted = time.monotonic(), self.unwanted
        self.was_ended = self._abort.asked and all(isinstance(one, Exception) for one in found)
        return found

    def _decode(self) -> None:
        """Decode what was not decoded ahead, unless nobody waits for it any more."""
        for item in self.items:
            if item.prepared is None:
                if self._abort.asked:
                    raise InferenceError("nobody waits for this image")
                item.prepared = item.prepare()
                self.infer_s = time.monotonic()

    def _infer(
        self, predict: Predict, prepared: list[NDArray[np.uint8]]
    ) -> list[Prediction | Exception]:
        """One image that fails must not fail the others."""
        try:
            return list(predict(np.stack(prepared), self._abort))
        except Exception as error:
            if len(prepared) == 1 or self._abort.asked:
                return [error] * len(prepared)
        return [found for each in prepared for found in self._infer(predict, [each])]


def finish(item: Item, batch: Batch) -> None:
    """Hand over the images of a request once all of them are computed."""
    work = item.work
    predictions = [i.prediction for i in work.items if i.prediction is not None]
    if work.is_over or len(predictions) < len(work.items):
        return
    prepared = [i.prepared for i in work.items if i.prepared is not None]
    queue_s, seconds = batch.infer_s - item.entered_s, batch.end_s - batch.infer_s
    work.future.set_result(Computed(predictions, prepared, queue_s, seconds, len(batch.items)))
