"""The proof: what PyTorch sees and what the ONNX file sees, on the same real frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from depthrt.errors import AccuracyGateError, InferenceError, ModelError, UsageError
from depthrt.providers import SessionOptions
from depthrt.session import open_session
from depthrt_calibration.fidelity import Fidelity, fidelity, summary
from depthrt_calibration.frames import Sample
from depthrt_export.graph import to_depth
from depthrt_export.network import DepthNetwork
from depthrt_export.options import Vary
from depthrt_export.probe import OutputForm

Maps = NDArray[np.float32]  # N,H,W


@dataclass(frozen=True)
class Tolerance:
    """Greatest allowed |difference| to PyTorch: mean over a frame, and any pixel.

    Both as shares of the reference's 2-98 percentile spread on that frame.
    """

    mean_error: float
    max_error: float


# Measured on trained convolutional networks and on transformers: float32 reaches 1e-6 and 2e-5,
# float16 1e-3 and 1e-2, bfloat16 1e-2 and 1e-1; the bounds are ten (bfloat16: five) times that.
TOLERANCES = {
    "float32": Tolerance(1e-4, 1e-3),
    "float16": Tolerance(0.01, 0.1),
    "bfloat16": Tolerance(0.05, 0.5),
}


@dataclass(frozen=True, eq=False)
class FrameProof:
    """One frame: its pixels (uint8 3,h,w), both depth maps (float32 h,w) and their fidelity."""

    sample: Sample
    reference: Maps
    depth: Maps
    fidelity: Fidelity


@dataclass(frozen=True)
class Variation:
    """A run at another batch or size (height, width), and its greatest error over the spread."""

    batch: int
    size: tuple[int, int]
    max_error: float


@dataclass(frozen=True, eq=False)
class Proof:
    """What was compared, and how it came out."""

    frames: tuple[FrameProof, ...]
    variations: tuple[Variation, ...]
    tolerance: Tolerance

    @property
    def figures(self) -> dict[str, float]:
        """Mean and worst frame of every fidelity figure."""
        return summary([frame.fidelity for frame in self.frames])

    @property
    def output_range(self) -> tuple[float, float]:
        """Smallest and largest depth of the ONNX file on the frames."""
        low = min(float(frame.depth.min()) for frame in self.frames)
        return low, max(float(frame.depth.max()) for frame in self.frames)


def prove(
    network: DepthNetwork,
    form: OutputForm,
    path: Path,
    samples: Sequence[Sample],
    vary: frozenset[Vary],
    tolerance: Tolerance,
) -> Proof:
    """Compare the file with the network on every frame, and at two more batches and sizes.

    Raises:
        AccuracyGateError: depth differs by more than the tolerance.
        InferenceError: PyTorch or the file gives NaN or infinity.
        UsageError: what was to vary does not.
    """
    session = open_session(path, SessionOptions("cpu"))
    frames = []
    for sample in samples:
        reference = torch_depth(network, form, sample.pixels[None])[0]
        depth = onnx_depth(session, sample.pixels[None])[0]
        _require_finite(reference, f"{network.name} in PyTorch", sample.label)
        _require_finite(depth, f"the exported {network.name}", sample.label)
        if reference.shape != depth.shape:
            raise ModelError(f"the ONNX graph gives {depth.shape}, PyTorch {reference.shape}")
        frames.append(
            FrameProof(sample, reference, depth, fidelity(reference, depth, network.kind))
        )
        _require_within(frames[-1].fidelity, tolerance, sample.label)
    variations = [
        _vary(network, form, session, list(samples), batch, size, tolerance)
        for batch, size in other_shapes(network, vary)
    ]
    return Proof(tuple(frames), tuple(variations), tolerance)


def torch_depth(network: DepthNetwork, form: OutputForm, images: NDArray[np.uint8]) -> Maps:
    """The PyTorch network on pixels N,3,H,W, normalised by the book; float32 N,H,W."""
    how = network.normalisation
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (how.mean, how.std))
    with torch.inference_mode():
        pixels = torch.from_numpy(images).float()
        output = network.module((pixels * how.scale - mean) / std)
        depth: Maps = to_depth(output, pixels.shape[-2:], form).numpy()
    return depth


def onnx_depth(session: ort.InferenceSession, images: NDArray[np.uint8]) -> Maps:
    """The file on pixels N,3,H,W; a graph of a fixed batch gets its frame that often."""
    batch = session.get_inputs()[0].shape[0]
    repeat = batch if isinstance(batch, int) and len(images) == 1 else 1
    (depth,) = session.run(["depth"], {"image": np.repeat(images, repeat, axis=0)})
    return np.asarray(depth, np.float32)[: len(images)]


def other_shapes(network: DepthNetwork, vary: frozenset[Vary]) -> list[tuple[int, tuple[int, int]]]:
    """Two batches and sizes (height, width) that the graph was not traced at."""
    height, width = network.input.height, network.input.width
    step = network.input.multiple_of

    def side(length: float) -> int:
        return max(step, round(length / step) * step)

    sizes = [(height, width), (height, width)]
    if "size" in vary:
        sizes = [
            (side(height * 0.75), side(width * 1.25)),
            (side(height * 1.25), side(width * 0.75)),
        ]
    batches = (3, 1) if "batch" in vary else (1, 1)
    return list(zip(batches, sizes, strict=True)) if vary else []


def _vary(
    network: DepthNetwork,
    form: OutputForm,
    session: ort.InferenceSession,
    samples: list[Sample],
    batch: int,
    size: tuple[int, int],
    tolerance: Tolerance,
) -> Variation:
    chosen = [samples[i % len(samples)].at_size(*size).pixels for i in range(batch)]
    images = np.stack(chosen)
    what = f"{batch} x {size[0]}x{size[1]}"
    try:
        reference = torch_depth(network, form, images)
    except Exception as error:  # a user's network may raise anything
        raise UsageError(
            f"{network.name} itself fails at {what}: say which sizes it takes with --multiple-of"
        ) from error
    try:
        depth = onnx_depth(session, images)
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
        raise UsageError(_frozen(network, size, f"fails at {what}")) from error
    if depth.shape != reference.shape:
        raise UsageError(_frozen(network, size, f"gives {depth.shape} at {what}"))
    compared = [fidelity(r, d, network.kind) for r, d in zip(reference, depth, strict=True)]
    worst = max(figures.max_error for figures in compared)
    if not worst <= tolerance.max_error:
        raise UsageError(_frozen(network, size, f"differs from PyTorch by {worst:.2g} at {what}"))
    return Variation(batch, size, float(f"{worst:.3g}"))


def _frozen(network: DepthNetwork, size: tuple[int, int], symptom: str) -> str:
    traced = (network.input.height, network.input.width)
    what = "batch" if size == traced else "size"
    return (
        f"the graph of {network.name} is frozen at the {what} that it was traced at "
        f"({traced[0]}x{traced[1]}) and {symptom}: leave out --dynamic {what}"
    )


def _require_finite(depth: Maps, who: str, label: str) -> None:
    share = 1 - float(np.isfinite(depth).mean())
    if share:
        raise InferenceError(
            f"{who} gives {share:.1%} non-finite depth values (NaN or infinity) on {label}: check "
            "the weights, the normalisation and the precision"
        )


def _require_within(figures: Fidelity, tolerance: Tolerance, label: str) -> None:
    for name in ("mean_error", "max_error"):
        value, allowed = getattr(figures, name), getattr(tolerance, name)
        if not value <= allowed:
            raise AccuracyGateError(
                f"the ONNX graph differs from PyTorch on {label}: {name.replace('_', ' ')} "
                f"{value:.2g} of the depth's spread, allowed {allowed:g}; try --no-rewrite, a "
                "higher precision or another --opset"
            )
