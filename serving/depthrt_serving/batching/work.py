"""A request's images on their way through the batcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from depthrt.model.inference import Prediction

Prepare = Callable[[], NDArray[np.uint8]]
"""Makes the network's input of one image, uint8 RGB 3,h,w; it is called in a thread."""


class State(Enum):
    """Where an image is."""

    WAITING, PREPARING, READY, NEXT, RUNNING, DONE, DROPPED = range(7)


@dataclass(eq=False)
class Item:
    """One image of a request."""

    work: Work
    prepare: Prepare
    entered_s: float
    state: State = State.WAITING
    prepared: NDArray[np.uint8] | None = None
    prediction: Prediction | None = None


@dataclass(frozen=True, eq=False)
class Computed:
    """What became of a request's images.

    - ``predictions``: of each, without the axis N;
    - ``prepared``: what the network saw of each, uint8 RGB 3,h,w;
    - ``queue_s``, ``compute_s``: seconds from its arrival until its last batch began, and in that;
    - ``batch``: images in that batch, of all clients.
    """

    predictions: list[Prediction]
    prepared: list[NDArray[np.uint8]]
    queue_s: float
    compute_s: float
    batch: int


@dataclass(eq=False)
class Work:
    """A request: its images and who waits for them."""

    client: str
    deadline_s: float
    future: asyncio.Future[Computed]
    items: list[Item] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.done()

    @property
    def is_begun(self) -> bool:
        """Whether an image of it is in a batch, or was."""
        return any(item.state in (State.RUNNING, State.DONE) for item in self.items)
