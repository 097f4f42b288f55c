"""Real frames for a proof or a calibration, spread evenly over their source."""

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
from depthrt.model.preprocess import prepare
from depthrt.model.registry import DEMO_CLIP
from depthrt.sources.display_name import shown_source
from depthrt.sources.images import ImagesSource
from depthrt.sources.open import open_source
from depthrt.spec import InputSpec

_UNKNOWN_LENGTH_STRIDE = 10  # a stream: neighbours look alike
_GAP_SHARE = 0.1  # of a video's frames: what lies between calibration and held-out frames

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Sample:
    """A prepared frame: ``pixels`` uint8 RGB 3,h,w; ``label`` names its source and index.

    ``size``: height and width of the picture that it was prepared from, where that is known;
    ``video``: whether its neighbours are those of a video, and so look like it.
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

    Every frame is prepared at the spec's height and width; ``keep_aspect`` counts as ``stretch``,
    so that all frames have one size. Without a source: the clip that comes with depthrt.

    Raises:
        SourceError: nothing there, or nothing readable.
        UsageError: no source given, and no clip is installed.
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
            # The next one there is, where the wanted one cannot be read.
            if frame.index < wanted[len(samples)]:
                continue
            label = f"{frame.stream}#{frame.index}"
            size = image_size(frame.image)
            samples.append(Sample(prepare(frame.image, spec), label, size, video))
            if len(samples) == len(wanted):
                break
    if not samples:
        raise SourceError(f"{shown_source(source)} gave no frame")
    return samples


def one_size(spec: InputSpec) -> InputSpec:
    """The spec by which frames of any shape get one size: ``keep_aspect`` becomes ``stretch``."""
    return dataclasses.replace(spec, resize="stretch") if spec.resize == "keep_aspect" else spec


def indices(total: int, count: int) -> list[int]:
    """At most ``count`` of 0..total-1, the first and the last among them, evenly spread."""
    if count < 2 or total < 2:
        return list(range(min(count, total)))
    count = min(count, total)
    return [number * (total - 1) // (count - 1) for number in range(count)]


def evenly(items: Sequence[_T], count: int) -> list[_T]:
    """At most ``count`` of them, the first and the last among them, evenly spread."""
    return [items[index] for index in indices(len(items), count)]


def split(samples: Sequence[Sample], every: int = 5) -> tuple[list[Sample], list[Sample]]:
    """Calibration frames and held-out frames, one in ``every``; none is in both.

    Of pictures every fifth is held out. Of a video, whose neighbours look alike, the end is
    (:func:`split_end`): give separate sources where a judgement on unseen scenes is wanted.
    """
    if samples and all(s.video for s in samples):
        return split_end(samples, every)
    held_out = [s for i, s in enumerate(samples) if i % every == every // 2]
    calibration = [s for i, s in enumerate(samples) if i % every != every // 2]
    return calibration, held_out


def split_end(samples: Sequence[Sample], every: int = 5) -> tuple[list[Sample], list[Sample]]:
    """The last of ``every`` parts held out; a tenth of all frames before it is left out."""
    held_out = len(samples) // every
    gap = round(_GAP_SHARE * len(samples))
    return list(samples[: len(samples) - held_out - gap]), list(samples[len(samples) - held_out :])
