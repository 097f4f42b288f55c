"""The figures of one image: its prediction aligned with its truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.files.json_file import is_number
from depthrt.spec import Kind
from depthrt_benchmarks.evaluation.datasets.base import Pair, PairFacts
from depthrt_benchmarks.evaluation.metrics.boundary import LEAST_SHARE, boundary_f1
from depthrt_benchmarks.evaluation.metrics.flicker import Flicker
from depthrt_benchmarks.evaluation.metrics.metrics import Bin, depth_metrics, range_bins
from depthrt_benchmarks.evaluation.protocol.alignment import (
    Align,
    Fit,
    Moments,
    fit,
    moments,
    solve_space,
    to_depth_m,
)
from depthrt_benchmarks.evaluation.protocol.crops import crop_mask, cut
from depthrt_benchmarks.evaluation.protocol.protocol import Protocol
from depthrt_benchmarks.evaluation.protocol.resize import resize_to
from depthrt_benchmarks.evaluation.scoring.truth_facts import TruthFacts, is_truth, plateau

ASPECT_TOLERANCE = 0.02
_FLAT = 1e-6


@dataclass(frozen=True)
class Row:
    """What is kept of an image: figures, and facts for warnings and for its sequence.

    - ``skipped``: why it has no figures; empty where it has;
    - ``truth_median_m``: of all its known depth, before the range is applied; 0 where none is;
    - ``ratio``: median prediction over median truth, for ``none`` and ``median``;
    - ``non_finite``: NaN or infinite values among the network's ``outputs``;
    - ``odd_aspect``: picture and truth differ in shape;
    - ``hollow``: why its figures say nothing about the model; empty where they do;
    - ``moments``: for the fit of its sequence; ``flicker``: against the frame before;
    - ``truth``: what its true depth looks like.
    """

    name: str
    sequence: str = ""
    skipped: str = ""
    valid: int = 0
    truth_median_m: float = 0.0
    ratio: float | None = None
    outputs: int = 0
    non_finite: int = 0
    odd_aspect: bool = False
    hollow: str = ""
    scale: float = 1.0
    shift: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    bins: list[Bin] = field(default_factory=list)
    moments: Moments = field(default_factory=Moments)
    flicker: Flicker | None = None
    truth: TruthFacts = field(default_factory=TruthFacts)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Row:
        """Read what :meth:`as_dict` wrote.

        Raises:
            KeyError, TypeError: it is something else.
        """
        flicker = content["flicker"]
        return cls(
            **{
                **content,
                "bins": [Bin(**b) for b in content["bins"]],
                "moments": Moments(**content["moments"]),
                "flicker": None if flicker is None else Flicker(**flicker),
                "truth": TruthFacts(**content["truth"]),
            }
        )


_KINDS: dict[str, type | tuple[type, ...]] = {
    "name": str, "sequence": str, "skipped": str, "valid": int, "truth_median_m": (int, float),
    "ratio": (int, float, NoneType), "outputs": int, "non_finite": int, "odd_aspect": bool,
    "hollow": str, "scale": (int, float), "shift": (int, float), "metrics": dict, "bins": list,
    "moments": dict, "flicker": (dict, NoneType), "truth": dict,
}  # fmt: skip


def is_row(name: str, content: Any) -> bool:
    """Whether a value from JSON is what :meth:`Row.as_dict` wrote of the image ``name``."""
    if not isinstance(content, dict) or content.keys() != _KINDS.keys() or content["name"] != name:
        return False
    if not all(isinstance(content[key], kind) for key, kind in _KINDS.items()):
        return False
    if not is_truth(content["truth"]):
        return False
    try:
        row = Row.from_dict(content)
    except (KeyError, TypeError):
        return False
    parts = [row.metrics, asdict(row.moments), *map(asdict, row.bins)]
    parts += [] if row.flicker is None else [asdict(row.flicker)]
    figures = [value for part in parts for value in part.values()]
    return all(map(is_number, figures)) and (bool(row.skipped) or "abs_rel" in row.metrics)


@dataclass(frozen=True, eq=False)
class View:
    """A pair under a protocol: picture, truth (H,W) and which pixels count."""

    image: NDArray[np.uint8]
    truth_m: NDArray[np.float32]
    valid: NDArray[np.bool_]
    facts: PairFacts = field(default_factory=PairFacts)


def view(pair: Pair, protocol: Protocol) -> View:
    """Cut, mask and limit a pair."""
    truth = cut(protocol.crop, pair.depth_m)
    inside = (truth > protocol.min_depth_m) & (truth < protocol.max_depth_m)
    image = np.ascontiguousarray(cut(protocol.crop, pair.image))
    return View(image, truth, inside & crop_mask(protocol.crop, *truth.shape), pair.facts)


def aligned_map(
    output: NDArray[np.float32], seen: View, kind: Kind, protocol: Protocol, line: Fit
) -> NDArray[np.float64]:
    """The whole prediction in metres at the truth's size (H,W), by a fit that is known."""
    space = _space(output, seen, kind, protocol)
    return to_depth_m(space, line, protocol.align, protocol.min_depth_m, protocol.max_depth_m)


def _space(
    output: NDArray[np.float32], seen: View, kind: Kind, protocol: Protocol
) -> NDArray[np.float64]:
    height, width = seen.truth_m.shape
    return solve_space(resize_to(output, (height, width), protocol.resize), kind, protocol.align)


def score(
    name: str,
    seen: View,
    output: NDArray[np.float32],
    kind: Kind,
    protocol: Protocol,
    line: Fit | None = None,
) -> Row:
    """All figures of one image; ``line`` is the fit of its sequence, where one is wanted."""
    known = seen.truth_m[seen.truth_m > 0]
    facts: dict[str, Any] = {
        "name": name,
        "valid": int(seen.valid.sum()),
        "truth_median_m": float(np.median(known)) if known.size else 0.0,
        "outputs": int(output.size),
        "non_finite": int(output.size - np.isfinite(output).sum()),
        "odd_aspect": _odd(seen),
        "truth": _truth(seen),
    }
    if facts["valid"] < protocol.min_pixels:
        return Row(skipped=f"{facts['valid']} valid pixels", **facts)
    truth = seen.truth_m[seen.valid].astype(np.float64)
    space_map = _space(output, seen, kind, protocol)
    space = space_map[seen.valid]
    finite = np.isfinite(space)
    sums = moments(space[finite], truth[finite], protocol.align)
    if line is None:
        least_squares = protocol.align.endswith("lsq")
        line = sums.solve() if least_squares else fit(space, truth, protocol.align)
    depth_map = to_depth_m(
        space_map, line, protocol.align, protocol.min_depth_m, protocol.max_depth_m
    )
    depth_m = depth_map[seen.valid]
    figures = depth_metrics(depth_m, truth)
    if seen.valid.mean() >= LEAST_SHARE:
        figures["boundary_f1"] = boundary_f1(depth_map, seen.truth_m, seen.valid)
    ratio = None
    if protocol.align in ("none", "median") and finite.any():
        ratio = float(np.median(space[finite]) / np.median(truth))
    return Row(
        ratio=ratio,
        hollow=_hollow(space, truth, protocol.align),
        scale=line.scale,
        shift=line.shift,
        metrics=figures,
        bins=range_bins(depth_m, truth),
        moments=sums,
        **facts,
    )


def _truth(seen: View) -> TruthFacts:
    height, width = seen.truth_m.shape
    facts = seen.facts
    known = plateau(seen.truth_m[seen.valid])
    return TruthFacts(height, width, facts.numbers, facts.saturated, list(facts.notes), *known)


def _hollow(space: NDArray[np.float64], truth_m: NDArray[np.float64], align: Align) -> str:
    """Why the fit of these pixels says nothing about the model; empty where it does."""
    if align.endswith("lsq") and _is_flat(truth_m):
        return "its true depth is one value, which least squares fit with anything"
    known = space[~np.isnan(space)]
    if align == "median" and not (known.size and 0 < float(np.median(known)) < np.inf):
        return "the median of the predicted depth is no number above 0: nothing was aligned"
    if _is_flat(space[np.isfinite(space)]):
        return "the predicted depth is one value, or none"
    return ""


def _is_flat(values: NDArray[np.float64]) -> bool:
    """Whether all values are equal to six digits, the precision of the fit."""
    return not values.size or float(np.ptp(values)) <= _FLAT * float(np.abs(values).max())


def _odd(seen: View) -> bool:
    height, width = seen.image.shape[:2]
    rows, columns = seen.truth_m.shape
    return bool(abs(width / height / (columns / rows) - 1) > ASPECT_TOLERANCE)
