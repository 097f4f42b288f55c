"""A model in service: its queue, its counters, and what watches what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from depthrt.errors import InferenceError
from depthrt.monitor.watches import WatchedModel
from depthrt_serving.batching.batcher import Batcher
from depthrt_serving.batching.work import Computed, Prepare
from depthrt_serving.monitoring.shadow import Predecessor
from depthrt_serving.service.metrics import ModelMetrics
from depthrt_serving.service.served_model import ServedModel

if TYPE_CHECKING:
    from depthrt.depth import Depth
    from depthrt.model.depth_model import DepthModel
    from depthrt.spec import ModelSpec


T = TypeVar("T")


class Timed(Protocol):
    """A picture that says how long it took to decode and to prepare."""

    decode_s: float
    prepare_s: float


Saw = Callable[["Deployment", str, Computed, Sequence["Depth"]], None]
"""Called with every answer of a deployment, and the name of its stream, if it has one."""


@dataclass(eq=False)
class Deployment:
    """A model that answers requests.

    Requests :meth:`lease` it; one that was replaced is closed when the last of them is answered.

    - ``watched``: the model as drift knows it; its label is ``NAME@HASH`` in all metrics;
    - ``saw``: is told of every answer;
    - ``before``: the model that it took the place of, to compare both; None: there is none.
    """

    served: ServedModel
    watched: WatchedModel
    batcher: Batcher
    counters: ModelMetrics
    saw: Saw
    before: Predecessor | None = None
    retired: bool = False
    _leases: int = 0

    @property
    def model(self) -> DepthModel:
        """The model."""
        return self.served.model

    @property
    def spec(self) -> ModelSpec:
        """Its spec."""
        return self.served.model.spec

    @property
    def label(self) -> str:
        """Its name in metrics and logs."""
        return self.watched.label

    @property
    def is_over(self) -> bool:
        """Whether it was replaced and has answered all."""
        return self.retired and not self._leases

    @contextmanager
    def lease(self) -> Iterator[Deployment]:
        """Keep it alive for a request."""
        self._leases += 1
        try:
            yield self
        finally:
            self._leases -= 1
            if self.is_over:
                self.batcher.close()

    def retire(self) -> None:
        """Close it once all that have leased it are answered."""
        self.retired = True
        if self.is_over:
            self.batcher.close()

    def timed(self, stage: str, work: Callable[[], T]) -> Callable[[], T]:
        """The work, whose time is counted as a stage; in any thread."""

        def measured() -> T:
            start_s = time.perf_counter()
            found = work()
            self.counters.spent(stage, time.perf_counter() - start_s)
            return found

        return measured

    async def compute(
        self, prepares: Sequence[Prepare], client: str, deadline_s: float
    ) -> Computed:
        """As ``Batcher.compute``; what the network fails on is counted."""
        try:
            return await self.batcher.compute(prepares, client, deadline_s)
        except InferenceError:
            self.counters.failed(len(prepares))
            raise

    def answered(
        self,
        computed: Computed,
        depths: Sequence[Depth],
        pictures: Sequence[Timed] = (),
        stream: str = "",
    ) -> None:
        """Count and watch an answer.

        Args:
            computed: what the batcher gave.
            depths: of its images, which nobody changes any more.
            pictures: that were decoded for it; none where pixels came.
            stream: the name of the stream whose frame it is; empty: it stands alone.
        """
        decode_s = sum(picture.decode_s for picture in pictures)
        prepare_s = sum(picture.prepare_s for picture in pictures)
        if pictures:
            self.counters.spent("decode", decode_s)
            self.counters.spent("prepare", prepare_s)
        self.counters.spent("wait", max(0.0, computed.queue_s - decode_s - prepare_s))
        self.counters.spent("infer", computed.compute_s)
        if not self.retired:  # what watched it is gone by then
            self.saw(self, stream, computed, depths)
