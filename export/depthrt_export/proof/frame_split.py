"""Frames for the ranges and frames for the judgement, with none in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depthrt.errors import UsageError
from depthrt.sources.display_name import shown_source
from depthrt.spec import InputSpec
from depthrt_calibration.frame_folder import pixel_hash
from depthrt_calibration.frames import Sample, sample_frames, split, split_end
from depthrt_calibration.image_features import NEAR_DUPLICATE, distances, emptiness, feature
from depthrt_calibration.recordings import recordings
from depthrt_export.options import ExportOptions

CALIBRATION_FRAMES = 64
HELD_OUT_FRAMES = 16
FEWEST = 10
FEWEST_UNSEEN = 2
FRAMES_WITHOUT_RANGES = 8

_OF_EVERY_SET = ("color", "colour", "frames", "image", "images", "img", "left", "rgb")
_MOST_ENLARGED = 4.0  # times, a side: beyond, a frame holds no edge that the network will meet
_STRETCHED = 1.5  # ratio of aspects from which on it is worth a word


@dataclass(frozen=True)
class SharedFrame:
    """A validation frame that calibration has seen, by the labels of both.

    ``distance`` of their features; ``same``: equal pixel by pixel.
    """

    calibration: str
    validation: str
    distance: float
    same: bool


@dataclass(frozen=True, eq=False)
class FrameSplit:
    """Frames for the ranges, frames that they never saw, and what is to be said of both.

    ``same_sources``: names of the recordings and folders that both come from.
    """

    calibration: list[Sample]
    validation: list[Sample]
    notes: tuple[str, ...] = ()
    same_sources: tuple[str, ...] = ()


def split_frames(options: ExportOptions, spec: InputSpec) -> FrameSplit:
    """Calibration and validation frames: of two sources, or of one that is split.

    A precision that needs no ranges has no calibration frames.

    Thumbnails are left out, and validation frames that are calibration frames too, or
    near-duplicates of one.

    Raises:
        UsageError: too few frames, frames that show nothing or are far too small, or frames that
            are the same in both sets.
    """
    if options.precision not in ("int8", "auto"):
        return FrameSplit([], sample_frames(options.frames, FRAMES_WITHOUT_RANGES, spec))
    one = _only_source(options)
    if one is not None or not (options.calibration or options.validate):
        count = CALIBRATION_FRAMES + HELD_OUT_FRAMES
        found = _seen(sample_frames(one, count, spec), "--frames")
        large = _large_enough(found, spec)
        calibration, held_out = _parted(large)
        left_out = len(found) - len(large)
    else:
        source = options.calibration or options.frames
        judged = options.validate or options.frames
        seen = _seen(sample_frames(source, CALIBRATION_FRAMES, spec), "calibration")
        judging = _seen(sample_frames(judged, HELD_OUT_FRAMES, spec), "validation")
        calibration, held_out = _large_enough(seen, spec), _large_enough(judging, spec)
        left_out = len(seen) + len(judging) - len(calibration) - len(held_out)
    _require_enough(calibration, held_out, options)
    unseen, note = _unseen(calibration, held_out)
    small = f"{left_out} frames left out as too small for the input" if left_out else ""
    same = _same_sources(options)
    notes = [small, note, _stretched([*calibration, *held_out], spec), _of_same_source(same)]
    return FrameSplit(calibration, unseen, tuple(text for text in notes if text), same)


def _same_sources(options: ExportOptions) -> tuple[str, ...]:
    """The recordings and folders that both calibration and validation frames come from."""
    calibrated = recordings(_ranges_from(options) or "demo")
    judged = recordings(_judged_on(options) or "demo")
    return tuple(sorted({name for key, name in judged.items() if key in calibrated}))


def _of_same_source(names: Sequence[str]) -> str:
    """A warning where the network was judged on what it was calibrated on."""
    if not names:
        return ""
    return (
        f"judged on another part of what it was calibrated on ({', '.join(names)}): elsewhere the "
        "error may be larger; give another recording as --validate"
    )


def _only_source(options: ExportOptions) -> str | None:
    """The source of all frames, where no second one was given: it is split."""
    given = [s for s in (options.frames, options.calibration, options.validate) if s is not None]
    return given[0] if len(given) == 1 else None


def _parted(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """The frames of one source in two; pictures that are a video in a folder, as of a video."""
    calibration, held_out = split(samples)
    at_the_end = split_end(samples)
    if len(at_the_end[0]) >= FEWEST and _alike(held_out, overlap(calibration, held_out)):
        return at_the_end
    return calibration, held_out


def _require_enough(
    calibration: Sequence[Sample], held_out: Sequence[Sample], options: ExportOptions
) -> None:
    if len(calibration) < FEWEST:
        option = "--calibration" if options.calibration else "--frames"
        raise UsageError(
            f"{options.precision} needs ranges from at least {FEWEST} frames, not "
            f"{len(calibration)}: give a video or more images as {option}"
        )
    if not held_out:
        raise UsageError(
            f"{options.precision} needs frames to judge it on, and there is none: give a video or "
            "images as --validate"
        )


def _alike(held_out: Sequence[Sample], shared: Sequence[SharedFrame]) -> bool:
    """Whether too few validation frames are unlike the calibration frames."""
    return len(held_out) - len(shared) < min(FEWEST_UNSEEN, len(held_out))


def _seen(samples: list[Sample], role: str) -> list[Sample]:
    """The frames that show something."""
    kept = [s for s in samples if not emptiness(s.pixels)]
    if not kept:
        raise UsageError(
            f"all {len(samples)} {role} frames are black or of one colour: give frames that show "
            "what the network is to see"
        )
    return kept


def _unseen(calibration: Sequence[Sample], held_out: Sequence[Sample]) -> tuple[list[Sample], str]:
    """The validation frames unlike any calibration frame, and what was left out."""
    shared = overlap(calibration, held_out)
    if len(shared) == len(held_out) and all(s.same for s in shared):
        raise UsageError(
            f"all {len(held_out)} validation frames are calibration frames too "
            f"({shared[0].validation}): judge on frames that calibration has not seen"
        )
    labels = {s.validation for s in shared}
    kept = [s for s in held_out if s.label not in labels]
    if _alike(held_out, shared):
        raise UsageError(
            f"{len(shared)} of {len(held_out)} validation frames look like calibration frames "
            f"({shared[0].validation} like {shared[0].calibration}): give other scenes as "
            "--validate"
        )
    if not shared:
        return kept, ""
    same = sum(s.same for s in shared)
    what = f"{same} calibration frames and {len(shared) - same} near-duplicates of such"
    return kept, f"left out of {len(held_out)} validation frames: {what}"


def overlap(
    calibration: Sequence[Sample],
    validation: Sequence[Sample],
    threshold: float = NEAR_DUPLICATE,
) -> list[SharedFrame]:
    """The validation frames that are in the calibration set too, or as good as.

    Pixels are compared by hash, so two samples of one frame are found wherever their files are;
    other codings, crops of a pixel or neighbours in a video are found by their features, at a
    distance below ``threshold``. One entry for each such validation frame, its nearest calibration
    frame. Both sets must be prepared by one spec.
    """
    if not calibration:
        return []
    hashes = {pixel_hash(sample.pixels): sample.label for sample in reversed(calibration)}
    known = np.stack([feature(sample.pixels) for sample in calibration])
    found = []
    for sample in validation:
        same = hashes.get(pixel_hash(sample.pixels))
        if same is not None:
            found.append(SharedFrame(same, sample.label, 0.0, True))
            continue
        apart = distances(known, feature(sample.pixels))
        nearest = int(np.argmin(apart))
        if apart[nearest] < threshold:
            label = calibration[nearest].label
            found.append(SharedFrame(label, sample.label, float(apart[nearest]), False))
    return found


def _large_enough(samples: list[Sample], spec: InputSpec) -> list[Sample]:
    """Without thumbnails: enlarged that far, they give ranges that no camera's frame will have."""
    kept = [s for s in samples if s.size is None or _enlarged(s.size, spec) <= _MOST_ENLARGED]
    if not kept and samples[0].size is not None:
        height, width = samples[0].size
        raise UsageError(
            f"the frame {samples[0].label} of {height}x{width} pixels is too small for a network "
            f"of {spec.height}x{spec.width}, and so are all others: give frames as large as the "
            "camera's"
        )
    return kept


def _enlarged(size: tuple[int, int], spec: InputSpec) -> float:
    return max(spec.height / size[0], spec.width / size[1])


def _stretched(samples: Sequence[Sample], spec: InputSpec) -> str:
    """A word on frames of another shape than the network's, which are squeezed into it."""
    if spec.resize == "pad":
        return ""
    aspects = [s.size[1] / s.size[0] * spec.height / spec.width for s in samples if s.size]
    odd = sum(max(a, 1 / a) > _STRETCHED for a in aspects)
    return f"{odd} of {len(aspects)} frames are of another shape than the input" if odd else ""


def source_name(source: str | None) -> str:
    """The last part alone: a file of others need not know our folders, nor our passwords.

    A name that every set has, such as ``rgb``, stands behind its folder's.
    """
    if source is None:
        return "the clip of depthrt"
    place = Path(shown_source(source))
    parts = place.parts[-2:] if place.name.lower() in _OF_EVERY_SET else place.parts[-1:]
    return "/".join(parts)


def calibration_source(options: ExportOptions) -> str:
    """Where the frames for the ranges come from."""
    return source_name(_ranges_from(options))


def validation_source(options: ExportOptions) -> str:
    """Where the frames for the judgement come from."""
    return source_name(_judged_on(options))


def _ranges_from(options: ExportOptions) -> str | None:
    return options.calibration or options.frames or options.validate


def _judged_on(options: ExportOptions) -> str | None:
    return options.validate or options.frames or options.calibration
