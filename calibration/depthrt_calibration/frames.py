"""Real frames for calibration and verification, spread evenly over their source."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError
from depthrt.frame import image_size
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.model.preprocess import prepare
from depthrt.sources.display_name import shown_source
from depthrt.sources.images import ImagesSource
from depthrt.sources.open import open_source
from depthrt.spec import InputSpec

_UNKNOWN_LENGTH_STRIDE = 10  # neighbours look alike
_GAP_SHARE = 0.1  # share of a video's frames between calibration and held-out frames

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Sample:
    """A prepared frame: ``pixels`` uint8 RGB 3,h,w; ``label`` names its source and index.

    ``size``: height and width of the original picture, if known; ``video``: whether it is a frame
    of a video, whose neighbours look like it.
    """

    pixels: NDArray[np.uint8]
    label: str
    size: tuple[int, int] | None = None
    video: bool = False

    def at_size(self, height: int, width: int) -> Sample:
        """The same picture stretched to another size."""
        image = np.ascontiguousarray(self.pixels.transpose(1, 2, 0))
        return Sample(prepare(image, InputSpec(height, width)), self.label)


def sample_frames(source: str | None, count: int, spec: InputSpec) -> list[Sample]:
    """At most ``count`` frames of an image, folder, glob or video, first to last, evenly spread.

    Frames are prepared at the spec's height and width. ``keep_aspect`` counts as ``stretch``, so
    that all frames have one size. source None: the demo clip that comes with depthrt.

    Raises:
        SourceError: the source does not exist or cannot be read.
        UsageError: no source is given, and the demo clip is not installed.
    """
    if source is None:
        if not DEMO_CLIP.is_file():
            raise UsageError("say which real frames to prove the model on: --frames SOURCE")
        source = str(DEMO_CLIP)
    spec = one_size(spec)
    opened = open_source(source)
    total, video = opened.info.frame_count, not isinstance(opened, ImagesSource)
    stride = _UNKNOWN_LENGTH_STRIDE
    wanted = indices(total, count) if total else list(range(0, count * stride, stride))
    samples: list[Sample] = []
    with closing(opened.frames()) as frames:  # type: ignore[type-var]  # sources give generators
        for frame in frames:
            # If the wanted frame cannot be read, the next one is taken.
            if frame.index < wanted[len(samples)]:
                continue
            label = f"{frame.stream}#{frame.index}"
            size = image_size(frame.pixels)
            samples.append(Sample(prepare(frame.pixels, spec), label, size, video))
            if len(samples) == len(wanted):
                break
    if not samples:
        raise SourceError(f"{shown_source(source)} gave no frame")
    return samples


def one_size(spec: InputSpec) -> InputSpec:
    """The spec with ``stretch`` for ``keep_aspect``, so that frames of any shape get one size."""
    return dataclasses.replace(spec, resize="stretch") if spec.resize == "keep_aspect" else spec


def indices(total: int, count: int) -> list[int]:
    """At most ``count`` numbers of 0..total-1, evenly spread, with the first and the last."""
    if count < 2 or total < 2:
        return list(range(min(count, total)))
    count = min(count, total)
    return [number * (total - 1) // (count - 1) for number in range(count)]


def evenly(items: Sequence[_T], count: int) -> list[_T]:
    """At most ``count`` items, evenly spread, with the first and the last."""
    return [items[index] for index in indices(len(items), count)]


def split(samples: Sequence[Sample], every: int = 5) -> tuple[list[Sample], list[Sample]]:
    """Calibration frames and held-out frames, one in ``every``; none is in both.

    Of pictures every fifth is held out. Of a video the end is held out (:func:`split_end`), because
    neighbours look alike. Give separate sources to validate on unseen scenes.
    """
    if samples and all(s.video for s in samples):
        return split_end(samples, every)
    held_out = [s for i, s in enumerate(samples) if i % every == every // 2]
    calibration = [s for i, s in enumerate(samples) if i % every != every // 2]
    return calibration, held_out


def split_end(samples: Sequence[Sample], every: int = 5) -> tuple[list[Sample], list[Sample]]:
    """Hold out the last of ``every`` parts; the tenth of all frames before it is left out."""
    held_out = len(samples) // every
    gap = round(_GAP_SHARE * len(samples))
    return list(samples[: len(samples) - held_out - gap]), list(samples[len(samples) - held_out :])
