"""The proof: the depth of the network and of the ONNX file on the same real frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from depthrt.errors import AccuracyGateError, InferenceError, ModelError, UsageError
from depthrt.model.providers import SessionOptions
from depthrt.model.session import import_onnxruntime, open_session
from depthrt_calibration.frames import Sample
from depthrt_export.options import Vary
from depthrt_export.proof.fidelity import Fidelity, fidelity, summary
from depthrt_export.proof.independence import Alone, Together, require_batches
from depthrt_export.sources.network import DepthNetwork, Maps, Reference, filled_depth

if TYPE_CHECKING:
    import onnxruntime as ort


_FATAL = 4
_SAME_AGAIN = 0.01  # of the spread: a GPU may sum in another order
_QUANTISED = 0.1  # of the spread, any pixel: rounding that falls the other way in another batch


@dataclass(frozen=True)
class Tolerance:
    """Greatest allowed |difference| to the network: mean over a frame, and any pixel.

    Both as shares of the reference's 2-98 percentile spread on that frame.
    """

    mean_error: float
    max_error: float


UNBOUNDED = Tolerance(math.inf, math.inf)

# About three times the worst frame measured on two trained convolutional networks on photographs
# (mean, greatest): float16 0.01, 0.03; bfloat16 0.07, 0.2 (in PyTorch). float32 is at 2e-6, 7e-6
# there; its bounds leave room for deep transformers.
TOLERANCES = {
    "float32": Tolerance(1e-4, 1e-3),
    "float16": Tolerance(0.03, 0.1),
    "bfloat16": Tolerance(0.2, 0.6),
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
    together: Together | None = None  # None: the graph takes one picture at a time

    @property
    def figures(self) -> dict[str, float]:
        """Mean and worst frame of every fidelity figure."""
        return summary([frame.fidelity for frame in self.frames])

    @property
    def output_range(self) -> tuple[float, float]:
        """Smallest and largest depth of the ONNX file on the frames."""
        low = min(float(frame.depth.min()) for frame in self.frames)
        return low, max(float(frame.depth.max()) for frame in self.frames)

    def facts(self) -> dict[str, Any]:
        """The figures, for a file's metadata."""
        facts: dict[str, Any] = {"frames": len(self.frames), **self.figures}
        if self.variations:
            facts["other_shapes"] = [
                {"batch": v.batch, "size": list(v.size), "max_error": v.max_error}
                for v in self.variations
            ]
        if self.together is not None:
            facts["batches"] = asdict(self.together)
        return facts


def prove(
    network: DepthNetwork,
    reference: Reference,
    path: Path,
    samples: Sequence[Sample],
    vary: frozenset[Vary] = frozenset(),
    tolerance: Tolerance = UNBOUNDED,
    provider: str = "cpu",
    against: str = "PyTorch",
) -> Proof:
    """Compare the file with the reference on every frame, and at two more batches and sizes.

    The file is also compared with itself: a frame after all others, and, where the batch varies,
    the frames of a batch with the same frames alone. ``against`` is what messages call the
    reference.

    Raises:
        AccuracyGateError: depth differs by more than the tolerance.
        InferenceError: the reference or the file gives NaN or infinity.
        UsageError: what was to vary does not, depth is the same everywhere, or it depends on
            chance or on the other pictures of a batch.
    """
    session = open_session(path, SessionOptions.named(provider))
    frames = []
    for sample in samples:
        expected = reference(sample.pixels[None])[0]
        depth = run_file(session, sample.pixels[None])[0]
        _require_finite(expected, f"{network.name} itself", sample.label)
        _require_finite(depth, f"the exported {network.name}", sample.label)
        if expected.shape != depth.shape:
            raise ModelError(f"the ONNX graph gives {depth.shape}, the network {expected.shape}")
        figures = fidelity(expected, depth, network.kind)
        _require_within(figures, tolerance, sample.label, against)
        frames.append(FrameProof(sample, expected, depth, figures))
    if all(float(np.ptp(frame.reference)) == 0 for frame in frames):
        raise UsageError(
            f"{network.name} gives one depth everywhere on every frame: was its --checkpoint given?"
        )
    variations = [
        _vary(network, reference, session, samples, shape, tolerance, against)
        for shape in other_shapes(network, vary)
    ]
    _require_same_again(network, session, frames[0], tolerance)
    batch = session.get_inputs()[0].shape[0]
    shares = "batch" in vary or (isinstance(batch, int) and batch > 1)
    together = _together(network, session, path, samples, tolerance) if shares else None
    return Proof(tuple(frames), tuple(variations), tolerance, together)


def file_reference(path: Path) -> Reference:
    """Another ONNX file of the contract, on the CPU."""
    session = open_session(path, SessionOptions("cpu"))
    return lambda images: run_file(session, images)


def run_file(session: ort.InferenceSession, images: NDArray[np.uint8]) -> Maps:
    """An ONNX file on pixels N,3,H,W; a fixed batch is filled up."""
    batch = session.get_inputs()[0].shape[0]
    if isinstance(batch, int) and batch != len(images):
        parts = [images[i : i + batch] for i in range(0, len(images), batch)]
        full = [np.concatenate([p, np.repeat(p[-1:], batch - len(p), axis=0)]) for p in parts]
        return np.concatenate([run_file(session, p) for p in full])[: len(images)]
    options = import_onnxruntime().RunOptions()
    options.log_severity_level = _FATAL  # what fails here is told in a sentence
    names = [o.name for o in session.get_outputs() if o.name in ("depth", "valid")]
    made = map(np.asarray, session.run(names, {"image": images}, options))
    return filled_depth(dict(zip(names, made, strict=True)))


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
    reference: Reference,
    session: ort.InferenceSession,
    samples: Sequence[Sample],
    shape: tuple[int, tuple[int, int]],
    tolerance: Tolerance,
    against: str,
) -> Variation:
    batch, size = shape
    chosen = [samples[i % len(samples)].at_size(*size).pixels for i in range(batch)]
    images = np.stack(chosen)
    what = f"{batch} x {size[0]}x{size[1]}"
    try:
        expected = reference(images)
    except Exception as error:  # a user's network may raise anything
        raise UsageError(
            f"{network.name} itself fails at {what}: say which sizes it takes with --multiple-of"
        ) from error
    try:
        depth = run_file(session, images)
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
        raise UsageError(_frozen(network, size, f"fails at {what}")) from error
    if depth.shape != expected.shape or depth.shape != (batch, *size):
        raise UsageError(_frozen(network, size, f"gives {depth.shape} at {what}"))
    compared = [fidelity(r, d, network.kind) for r, d in zip(expected, depth, strict=True)]
    worst = max(figures.max_error for figures in compared)
    if not worst <= tolerance.max_error:
        raise UsageError(_frozen(network, size, f"differs from {against} by {worst:.2g} at {what}"))
    return Variation(batch, size, float(f"{worst:.3g}"))


def _require_same_again(
    network: DepthNetwork, session: ort.InferenceSession, first: FrameProof, tolerance: Tolerance
) -> None:
    """A graph keeps no state between pictures, but it may use random numbers."""
    again = run_file(session, first.sample.pixels[None])[0]
    error = fidelity(first.depth, again, network.kind).max_error
    if not error <= min(tolerance.max_error, _SAME_AGAIN):
        raise UsageError(
            f"the exported {network.name} gives another depth whenever it sees the same picture "
            f"({error:.2g} of the depth's spread): turn off its dropout or noise"
        )


def _together(
    network: DepthNetwork,
    session: ort.InferenceSession,
    path: Path,
    samples: Sequence[Sample],
    tolerance: Tolerance,
) -> Together | None:
    """The frames of a batch against the same frames alone; ranges of a batch are only measured."""

    def run(images: NDArray[np.uint8]) -> Maps:
        return run_file(session, images)

    alone = Alone.of(run, samples)
    if not alone.finite:
        return None
    shared = takes_ranges_of_batch(path)
    bound = math.inf if shared else min(tolerance.max_error, _QUANTISED)
    found = require_batches(f"the exported {network.name} gives", run, alone, bound)
    return replace(found, ranges_of_batch=shared)


def takes_ranges_of_batch(path: Path) -> bool:
    """Whether a graph quantises by ranges of what is run together (dynamic quantisation)."""
    graph = onnx.load(path, load_external_data=False).graph
    return any(node.op_type.startswith("DynamicQuantize") for node in graph.node)


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


def _require_within(figures: Fidelity, tolerance: Tolerance, label: str, against: str) -> None:
    for name in ("mean_error", "max_error"):
        value, allowed = getattr(figures, name), getattr(tolerance, name)
        if not value <= allowed:
            raise AccuracyGateError(
                f"the ONNX graph differs from {against} on {label}: {name.replace('_', ' ')} "
                f"{value:.2g} of the depth's spread, allowed {allowed:g}; try --no-rewrite, "
                "another --opset or, of half precision, float32"
            )
