"""Golden frames for a finished file: pictures, its depth of them, and what may differ elsewhere."""

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
from depthrt.spec import ModelSpec, Precision
from depthrt_calibration.diverse_selection import farthest
from depthrt_calibration.frames import Sample
from depthrt_calibration.image_features import feature
from depthrt_export.proof.fidelity import fidelity

GOLDEN_FRAMES = 3
_ROOM_FOR_PICTURES = 72_000  # characters; the depths take 20,000
_LARGEST_SIDE = 640
_SHRINK = 0.95
_CLIPPED = 10  # per cent of the first picture's values at either end

EXACT = 1e-3
"""The CPU provider runs a float32 graph in float32 everywhere: kernels differ by the order of sums
(1e-6 of the spread; deep transformers 1e-4)."""

ROUNDED = 0.02
"""The CPU provider's kernels round a graph of lower precision in different places: 0.005 at most
for depthrt-s in int8. 8-bit weights whose sums saturate gave 0.05 to 0.10."""

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

    The pictures are shrunk until all fit into the entry, and the file is run on what is stored.

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
    frames = []
    for frame in _pictures(_chosen(samples)):
        pixels = frame.pixels(spec.input)
        depth = model.infer(pixels[None])[0]
        frames.append(frame.with_depth(depth))
        if reference is not None:
            float_depth = reference(pixels[None])[0]
            error = max(error, fidelity(float_depth, depth, spec.kind).mean_error)
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
    cpu = EXACT if precision == "float32" else max(ROUNDED, error)
    return Tolerance(float(f"{cpu:.3g}"), float(f"{max(OTHERS, error):.3g}"))


def _chosen(samples: Sequence[Sample]) -> list[Sample]:
    """At most :data:`GOLDEN_FRAMES` samples, the most different; the first in high contrast.

    High contrast makes large sums: it doubled the error of saturated ones, and right providers'
    stayed as it was. A model that is loaded is checked on the first frame.
    """
    features = np.stack([feature(sample.pixels) for sample in samples])
    first, *others = (samples[i] for i in farthest(features, GOLDEN_FRAMES, []))
    return [Sample(_in_high_contrast(first.pixels), f"{first.label} in high contrast"), *others]


def _in_high_contrast(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    low, high = np.percentile(pixels, (_CLIPPED, 100 - _CLIPPED))
    stretched = (pixels.astype(np.float64) - low) * (255 / max(high - low, 1))
    return np.asarray(np.clip(stretched, 0, 255), np.uint8)


def _pictures(samples: Sequence[Sample]) -> list[GoldenFrame]:
    """The frames, as large as they all fit in, without depth."""
    share = min(1.0, _LARGEST_SIDE / max(samples[0].pixels.shape[1:]))
    while True:
        frames = [GoldenFrame.picture_only(s.label, _shrunk(s.pixels, share)) for s in samples]
        size = sum(len(frame.picture) for frame in frames)
        if size <= _ROOM_FOR_PICTURES:
            return frames
        share *= _SHRINK * (_ROOM_FOR_PICTURES / size) ** 0.5


def _shrunk(pixels: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Pixels 3,H,W as a picture h,w,3 whose sides are a share of them."""
    picture = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    if share == 1:
        return picture
    height, width = (max(1, round(side * share)) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
