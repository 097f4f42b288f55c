"""The optional outputs of a file beside those of the network, on the same real frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import AccuracyGateError, InferenceError
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt_calibration.frames import Sample
from depthrt_export.options import Vary
from depthrt_export.proof.fidelity import spread
from depthrt_export.proof.verify import Tolerance, other_shapes
from depthrt_export.sources.network import DepthNetwork, Outputs

_FAR_OFF = 999.0  # for what has no number: JSON holds no infinity
_ANGLE_DEG = 0.01  # that an exact file may be off
_UNEQUAL = 1e-3  # share of the pixels of an exact file whose validity may differ: it is rounded


def file_outputs(path: Path, provider: str = "cpu") -> Outputs:
    """All that an ONNX file of the contract gives, by name."""
    session = open_session(path, SessionOptions.named(provider))
    names = [output.name for output in session.get_outputs()]

    def run(images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        return dict(zip(names, map(np.asarray, session.run(names, {"image": images})), strict=True))

    return run


def prove_optional(
    network: DepthNetwork,
    reference: Outputs,
    file: Outputs,
    samples: Sequence[Sample],
    vary: frozenset[Vary] = frozenset(),
    tolerance: Tolerance | None = None,
) -> dict[str, dict[str, float]]:
    """The worst difference of each optional output on the frames, and at two more shapes.

    Confidence and normals: mean and greatest |difference| over the reference's own spread, where
    it is valid. ``valid``: the share of equal pixels. ``fov_deg``: the greatest difference.

    Args:
        network: what is compared.
        reference: its outputs.
        file: those of the file.
        samples: prepared frames.
        vary: what the graph leaves open.
        tolerance: the greatest difference of an exact file; None: any.

    Raises:
        AccuracyGateError: something differs by more than the tolerance.
        InferenceError: the network's angle of view is none.
    """
    facts: dict[str, dict[str, float]] = {}
    for images in _batches(network, samples, vary):
        expected, found = reference(images), file(images)
        for name in [name for name in expected if name != "depth"]:
            one = _difference(name, expected, found[name], network.name)
            facts[name] = _worse(facts.get(name, one), one)
    if tolerance is not None:
        for name, figures in facts.items():
            _require_within(name, figures, tolerance)
    return {n: {k: float(f"{v:.4g}") for k, v in each.items()} for n, each in facts.items()}


def in_words(facts: Mapping[str, Mapping[str, float]]) -> str:
    """The differences in a line: ``confidence off by 0.01 of its spread``."""
    said = []
    for name, each in facts.items():
        if "equal" in each:
            said.append(f"{name} equal in {each['equal']:.2%} of the pixels")
        elif "mean_error" in each:
            said.append(f"{name} off by {each['mean_error']:.2g} of its spread")
        else:
            said.append(f"{name} off by {each['max_difference_deg']:.2g} at most")
    return ", ".join(said)


def _batches(
    network: DepthNetwork, samples: Sequence[Sample], vary: frozenset[Vary]
) -> list[NDArray[np.uint8]]:
    """Every frame alone, and batches of the shapes that the graph was not traced at."""
    found = [sample.pixels[None] for sample in samples]
    for batch, size in other_shapes(network, vary):
        chosen = [samples[i % len(samples)].at_size(*size).pixels for i in range(batch)]
        found.append(np.stack(chosen))
    return found


def _difference(
    name: str, reference: dict[str, NDArray[Any]], found: NDArray[Any], network: str
) -> dict[str, float]:
    expected = reference[name]
    if expected.shape != found.shape:
        raise AccuracyGateError(
            f"the ONNX graph gives {name} of shape {found.shape}, the network {expected.shape}"
        )
    if name == "valid":
        return {"equal": float((expected == found).mean())}
    if name == "fov_deg":
        if not ((expected > 0) & (expected < 180)).all():
            shown = ", ".join(f"{angle:g}" for angle in expected)
            raise InferenceError(
                f"{network} itself gives an angle of view of {shown} degrees, which is not between "
                "0 and 180: leave it out with --also none, or check the weights"
            )
        return {"max_difference_deg": _finite(np.abs(expected - found).max())}
    known = np.isfinite(expected)
    if "valid" in reference:
        valid = reference["valid"]
        known &= valid if name == "confidence" else valid[:, None]
    if not known.any():
        return {"mean_error": 0.0, "max_error": 0.0}
    one, other = expected[known].astype(np.float64), found[known].astype(np.float64)
    error = np.abs(one - other) / spread(one)
    return {"mean_error": _finite(error.mean()), "max_error": _finite(error.max())}


def _worse(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {k: min(v, other[k]) if k == "equal" else max(v, other[k]) for k, v in one.items()}


def _require_within(name: str, figures: dict[str, float], tolerance: Tolerance) -> None:
    allowed = {
        "equal": 1 - _UNEQUAL,
        "max_difference_deg": _ANGLE_DEG,
        "mean_error": tolerance.mean_error,
        "max_error": tolerance.max_error,
    }
    for key, value in figures.items():
        good = value >= allowed[key] if key == "equal" else value <= allowed[key]
        if not good:
            raise AccuracyGateError(
                f"{name} of the ONNX graph differs from the network's: {key.replace('_', ' ')} "
                f"{value:.3g}, allowed {allowed[key]:g}; leave it out with --also none, or try "
                "--no-rewrite or another --opset"
            )


def _finite(value: Any) -> float:
    return min(float(value), _FAR_OFF) if np.isfinite(value) else _FAR_OFF
