"""What a finished file carries for checks in the field: golden frames, and a reference of drift."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.model.depth_model import DepthModel
from depthrt.model.golden.entry import Golden, GoldenFrame, Tolerance
from depthrt.model.providers import SessionOptions
from depthrt.model.session import import_onnxruntime, open_session
from depthrt.monitor.features import depth_features, picture_features
from depthrt.monitor.reference import FEWEST_FRAMES, Reference, make_reference
from depthrt.spec import ModelSpec, Precision
from depthrt_calibration.diverse_selection import farthest
from depthrt_calibration.frames import Sample
from depthrt_calibration.image_features import feature
from depthrt_export.proof.fidelity import fidelity

GOLDEN_FRAMES = 3
_ROOM_FOR_PICTURES = 110_000  # characters; the depths take 20,000
_PICTURE_STEPS = (2, 3, 4, 6, 8, 12)  # levels of colour that become one
_SHRINK = 0.9
_FAR_OFF = 2  # times the error on other frames
_CLIPPED = 10  # per cent of the first picture's values at either end

EXACT = 1e-3
"""The CPU provider runs a float32 graph in float32 everywhere: kernels differ by the order of sums
(1e-6 of the spread; deep transformers 1e-4)."""

ROUNDED = 0.02
"""The CPU provider's kernels round a graph of lower precision in different places: 0.005 at most
for depthrt-s in int8. 8-bit weights whose sums saturate gave 0.05 to 0.10."""

KERNELS = 1 / 3
"""Share of an int8 file's own error by which the CPU provider's kernels may differ. Saturated sums
lose two to six times as much accuracy as int8 does, so they differ by that error and more."""

OTHERS = 0.05
"""Other providers may compute float parts in bfloat16 (OpenVINO by itself: 0.01 to 0.03)."""


def make_golden(
    path: Path,
    spec: ModelSpec,
    samples: Sequence[Sample],
    *,
    reference: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None,
    error: float = 0.0,
    provider: str = "cpu",
    by: str = "",
) -> Golden:
    """The golden frames of a file.

    Colours are coarsened until all fit into the entry; blurred, they would be like nothing that the
    network was made for. The file is run on what is stored.

    Args:
        path: the finished graph, or one that computes the same; its metadata is not read.
        spec: of the finished file.
        samples: prepared frames at the spec's size, of which the most different are taken.
        reference: the float network on pixels N,3,H,W; the file's own error is measured with it.
        error: mean |difference| of the file to its float network over the spread, on the worst
            frame, where that is known.
        provider: what runs the graph here.
        by: what gave the depth, where that is not the file itself.

    Raises:
        DepthrtError: the graph does not run here.
    """
    options = SessionOptions.named(provider)
    model = DepthModel(open_session(path, options), spec, path, options=options)

    def golden(chosen: Sequence[Sample]) -> tuple[list[GoldenFrame], list[float]]:
        frames, errors = [], []
        for frame in _pictures(chosen):
            pixels = frame.pixels(spec.input)
            depth = model.infer(pixels[None])[0]
            frames.append(frame.with_depth(depth))
            if reference is not None:
                float_depth = reference(pixels[None])[0]
                errors.append(fidelity(float_depth, depth, spec.kind).mean_error)
        return frames, errors

    chosen = _chosen(samples)
    frames, errors = golden([_in_high_contrast(chosen[0]), *chosen[1:]])
    if errors and errors[0] > _FAR_OFF * max(*errors[1:], error, ROUNDED):
        # Calibration never saw such contrast: what is far off already tells nothing.
        frames, errors = golden(chosen)
    error = max(*errors, error, 0.0)
    version = import_onnxruntime().__version__
    here = f"onnxruntime {version}, {model.provider}, {platform.machine()}"
    return Golden(
        tuple(frames), tolerance_of(spec.precision, error), f"{by}, {here}" if by else here
    )


def tolerance_of(precision: Precision, error: float) -> Tolerance:
    """What may differ on other machines and providers.

    A provider that computes more exactly than the file, as one that drops its rounding to int8,
    gives the float network's depth: as far away as the file's own ``error``.
    """
    if precision == "float32":
        cpu = EXACT
    elif precision.startswith("int"):
        cpu = max(ROUNDED, KERNELS * error)
    else:  # where there are no kernels for half precision, float32's serve
        cpu = max(ROUNDED, error)
    return Tolerance(float(f"{cpu:.3g}"), float(f"{max(OTHERS, error):.3g}"))


def _chosen(samples: Sequence[Sample]) -> list[Sample]:
    """At most :data:`GOLDEN_FRAMES` samples, the most different."""
    features = np.stack([feature(sample.pixels) for sample in samples])
    return [samples[i] for i in farthest(features, GOLDEN_FRAMES, [])]


def _in_high_contrast(sample: Sample) -> Sample:
    """A picture that makes large sums, for the frame that a model is checked on when it is loaded.

    It doubled the error of saturated sums, and right providers' stayed as it was.
    """
    pixels = sample.pixels
    low, high = np.percentile(pixels, (_CLIPPED, 100 - _CLIPPED))
    stretched = (pixels.astype(np.float64) - low) * (255 / max(high - low, 1))
    stretched = np.clip(stretched, 0, 255).astype(np.uint8)
    return Sample(stretched, f"{sample.label} in high contrast")


def _pictures(samples: Sequence[Sample]) -> list[GoldenFrame]:
    """The frames as they all fit in, without depth: in coarser steps, then fewer, then smaller."""
    for count in range(len(samples), 0, -1):
        best = None
        for step in reversed(_PICTURE_STEPS):  # the coarsest first, which is the likeliest to fit
            frames = _packed(samples[:count], 1.0, step)
            if frames is None:
                break
            best = frames
        if best is not None:
            return best
    share = _SHRINK
    while (frames := _packed(samples[:1], share, _PICTURE_STEPS[-1])) is None:
        share *= _SHRINK
    return frames


def _packed(samples: Sequence[Sample], share: float, step: int) -> list[GoldenFrame] | None:
    """The frames with sides of this share, if there is room for them."""
    frames = [
        GoldenFrame.picture_only(each.label, _shrunk(each.pixels, share), step) for each in samples
    ]
    size = sum(len(frame.picture) + len(frame.colour) for frame in frames)
    return frames if size <= _ROOM_FOR_PICTURES else None


def _shrunk(pixels: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Pixels 3,H,W as a picture h,w,3 whose sides are a share of them."""
    picture = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    if share == 1:
        return picture
    height, width = (max(1, round(side * share)) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def drift_reference(
    path: Path, spec: ModelSpec, samples: Sequence[Sample], source: str, provider: str = "cpu"
) -> Reference | None:
    """The reference of frames that need not follow one another; None of fewer than 8.

    Args:
        path: the finished graph, or one that computes the same; its metadata is not read.
        spec: of the finished file.
        samples: prepared frames at the spec's size.
        source: what they are frames of.
        provider: what runs the graph here.

    Raises:
        DepthrtError: the graph does not run here.
    """
    if len(samples) < FEWEST_FRAMES:
        return None
    options = SessionOptions.named(provider)
    model = DepthModel(open_session(path, options), spec, path, options=options)
    size = (spec.input.height, spec.input.width)
    rows = [
        {
            **picture_features(sample.pixels),
            **depth_features(model.depth(model.infer(sample.pixels[None])[0], size)),
        }
        for sample in samples
    ]
    return make_reference(rows, source=source)
