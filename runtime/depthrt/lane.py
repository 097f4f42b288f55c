"""One source on its way to the network, and what comes out of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from depthrt.frame import Frame, without_pixels
from depthrt.model import DepthModel
from depthrt.preparation import prepare
from depthrt.results import Stats
from depthrt.sources.base import Source
from depthrt.sources.images import ImagesSource
from depthrt.sources.video import VideoSource


@dataclass(frozen=True, eq=False)
class Prepared:
    """A frame as a network wants it: ``pixels`` are uint8 RGB 3,h,w for ``model``."""

    lane: Lane
    frame: Frame
    pixels: NDArray[np.uint8]
    model: DepthModel

    def fits(self, other: Prepared) -> bool:
        """Whether both can go into one inference."""
        return self.model is other.model and self.pixels.shape == other.pixels.shape


@dataclass(frozen=True)
class End:
    """A stream that has ended, after all its frames; with the error that ended it, if one did."""

    stream: str
    error: BaseException | None = None


@dataclass(frozen=True)
class Load:
    """What the lanes that are open ask for.

    - ``wanted_fps``: frames a second of all, where live ones give no more than they have;
    - ``dropped``: frames dropped so far;
    - ``live``: whether all are live.
    """

    wanted_fps: float
    dropped: int
    live: bool


@dataclass(eq=False)
class Lane:
    """One source on its way; the fields below ``stats`` are guarded by the lock of the lanes."""

    name: str
    source: Source
    stats: Stats
    items: deque[Prepared] = field(default_factory=deque)
    finished: bool = False
    cancelled: bool = False
    error: BaseException | None = None

    @property
    def live(self) -> bool:
        """Whether frames that are not taken in time are lost."""
        return self.source.info.live

    @property
    def ends_by_itself(self) -> bool:
        """Whether its thread is surely done soon: a file's, not a camera's or a user's own."""
        return isinstance(self.source, (VideoSource, ImagesSource))

    @property
    def is_work(self) -> bool:
        """Whether reading it takes a core: it waits for no network, device or user's code."""
        return isinstance(self.source, ImagesSource) or (
            isinstance(self.source, VideoSource) and self.source.info.path is not None
        )


def prepared(lane: Lane, frame: Frame, model: DepthModel, *, pictures: bool) -> Prepared:
    """A frame of a lane, made ready for a model; without ``pictures`` it loses its own."""
    pixels = prepare(frame.image, model.spec.input)
    if frame.stream != lane.name:
        frame = replace(frame, stream=lane.name)
    if not pictures:  # the decoder has its memory back at once
        frame = replace(frame, image=without_pixels(frame.image))
    return Prepared(lane, frame, pixels, model)
