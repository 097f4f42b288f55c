"""Real frames for a proof or a calibration, spread evenly over their source."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError
from depthrt.frame import image_size
from depthrt.models import DEMO_CLIP
from depthrt.preparation import prepare
from depthrt.sources import open_source
from depthrt.spec import InputSpec

_UNKNOWN_LENGTH_STRIDE = 10  # a stream: neighbours look alike


@dataclass(frozen=True, eq=False)
class Sample:
    """A prepared frame: ``pixels`` uint8 RGB 3,h,w; ``label`` names its source and index.

    ``size``: height and width of the picture that it was prepared from, where that is known.
    """

    pixels: NDArray[np.uint8]
    label: str
    size: tuple[int, int] | None = None

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
    if spec.resize == "keep_aspect":
        spec = dataclasses.replace(spec, resize="stretch")
    opened = open_source(source)
    total = opened.info.frame_count
    stride = max(1, total // count) if total else _UNKNOWN_LENGTH_STRIDE
    samples: list[Sample] = []
    with closing(opened.frames()) as frames:  # type: ignore[type-var]  # sources give generators
        for number, frame in enumerate(frames):
            if number % stride == 0:
                label = f"{frame.stream}#{frame.index}"
                size = image_size(frame.image)
                samples.append(Sample(prepare(frame.image, spec), label, size))
            if len(samples) == count:
                break
    if not samples:
        raise SourceError(f"{source} gave no frame")
    return samples


def split(samples: Sequence[Sample], every: int = 5) -> tuple[list[Sample], list[Sample]]:
    """Calibration frames and held-out frames: every fifth one is held out, none is in both.

    Of a video, a held-out frame lies between two calibration frames: give separate sources where
    a judgement on unseen scenes is wanted.
    """
    held_out = [s for i, s in enumerate(samples) if i % every == every // 2]
    calibration = [s for i, s in enumerate(samples) if i % every != every // 2]
    return calibration, held_out
