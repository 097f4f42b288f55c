"""A clip without ground truth: its flicker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from depthrt import stream
from depthrt.errors import SourceError
from depthrt.model.depth_model import DepthModel
from depthrt.sources.base import Selection
from depthrt.sources.open import open_source
from depthrt_benchmarks.evaluation.metrics.flicker import ClipFlicker, FlickerMeter

PROTOCOL = (
    "raw depth of consecutive frames, carried over by optical flow (DIS, forward and backward "
    "agreeing, colours matching); |ln ratio| over the comparable pixels, mean over the pairs"
)


@dataclass(frozen=True)
class ClipEvaluation:
    """Flicker of a model on a clip; ``flicker`` is None where no pair of frames was comparable."""

    model: str
    source: str
    frames: int
    flicker: ClipFlicker | None
    warnings: list[str] = field(default_factory=list)


def is_clip(place: str) -> bool:
    """Whether a DATASET argument is a video: any file but MATLAB's, or the built-in clip."""
    path = Path(place)
    return (place == "demo" and not path.exists()) or (
        path.is_file() and path.suffix.lower() != ".mat"
    )


def evaluate_clip(
    model: DepthModel,
    label: str,
    source: str,
    most: int | None,
    progress: Callable[[str, int, int], None],
) -> ClipEvaluation:
    """Flicker of the raw depth, frame after frame.

    Raises:
        DepthrtError: as :func:`depthrt.stream`; a source of a single frame is a SourceError.
    """
    opened = open_source(source, Selection(max_frames=most))
    total = opened.info.frame_count or 0
    meter, frames = FlickerMeter(), 0
    with closing(stream(opened, model, batch=model.batch)) as results:
        for result in results:
            meter.add(result.frame.image, {"depth": result.depth.values})
            frames += 1
            progress(Path(source).name, frames, max(total, frames))
    if frames < 2:
        raise SourceError(f"{source} has {frames} frames: flicker needs two or more")
    flicker = meter.result("depth")
    warnings = [] if flicker else [f"no two frames of {source} could be compared"]
    cut = f"measured on its first {frames} frames (--max-images)" if frames == most else ""
    warnings += [line for line in (opened.losses.sentence(), cut, *opened.info.notes) if line]
    return ClipEvaluation(label, Path(source).name, frames, flicker, warnings)
