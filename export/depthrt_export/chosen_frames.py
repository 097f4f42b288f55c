"""Frames for the ranges and frames for the judgement, with none in both."""

from __future__ import annotations

from collections.abc import Sequence

from depthrt.errors import UsageError
from depthrt.spec import InputSpec
from depthrt_calibration.feature import emptiness
from depthrt_calibration.frames import Sample, sample_frames, split
from depthrt_calibration.store import pixel_hash
from depthrt_export.options import ExportOptions

CALIBRATION_FRAMES = 64
HELD_OUT_FRAMES = 16
FEWEST = 10


def chosen_frames(options: ExportOptions, spec: InputSpec) -> tuple[list[Sample], list[Sample]]:
    """Calibration and validation frames: of two sources, or of one that is split.

    Raises:
        UsageError: too few frames, frames that show nothing, or frames in both sets.
    """
    name = options.precision
    judged = options.validate or (options.frames if options.calibration else None)
    if judged is None and not options.calibration:
        count = CALIBRATION_FRAMES + HELD_OUT_FRAMES
        calibration, held_out = split(_seen(sample_frames(options.frames, count, spec), "--frames"))
        known = {pixel_hash(s.pixels) for s in calibration}  # a still picture in a video
        held_out = [s for s in held_out if pixel_hash(s.pixels) not in known]
    else:
        source = options.calibration or options.frames
        calibration = _seen(sample_frames(source, CALIBRATION_FRAMES, spec), "calibration")
        held_out = _seen(sample_frames(judged, HELD_OUT_FRAMES, spec), "validation")
        _require_apart(calibration, held_out)
    if len(calibration) < FEWEST or not held_out:
        raise UsageError(
            f"{name} needs ranges from at least {FEWEST} frames, not {len(calibration)}: give a "
            "video or more images as --frames"
        )
    return calibration, held_out


def _seen(samples: list[Sample], role: str) -> list[Sample]:
    """The frames that show something."""
    kept = [s for s in samples if not emptiness(s.pixels)]
    if not kept:
        raise UsageError(
            f"all {len(samples)} {role} frames are black or of one colour: give frames that show "
            "what the network is to see"
        )
    return kept


def _require_apart(calibration: Sequence[Sample], held_out: Sequence[Sample]) -> None:
    known = {pixel_hash(s.pixels): s.label for s in calibration}
    shared = [s for s in held_out if pixel_hash(s.pixels) in known]
    if shared:
        raise UsageError(
            f"{len(shared)} of {len(held_out)} validation frames are calibration frames too "
            f"({shared[0].label}): judge on frames that calibration has not seen"
        )
