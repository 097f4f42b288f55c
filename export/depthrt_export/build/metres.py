"""Are they metres? Depth that no camera usually sees is said to be doubtful."""

from __future__ import annotations

import dataclasses

import numpy as np

from depthrt_export.build.step_results import Float32
from depthrt_export.console import Phases
from depthrt_export.proof.verify import Proof

_FARTHEST_USUAL_M = 100.0  # of the median: rooms, streets and fields are nearer
_NEAREST_USUAL_M = 0.05  # of the hundredth part that is nearest


def with_doubt(start: Float32, phases: Phases) -> Float32:
    """The same, with a sentence in its spec where depth in metres is implausible; it is said."""
    sentence = doubt(start.proof) if start.spec.unit == "m" else ""
    if not sentence:
        return start
    phases.note(f"metres: {sentence}")
    told = start.spec.provenance
    assumed = {**told.get("assumed", {}), "metres": sentence}
    spec = dataclasses.replace(start.spec, provenance={**told, "assumed": assumed})
    return dataclasses.replace(start, spec=spec)


def doubt(proof: Proof) -> str:
    """Why the depth of the proof's frames is unlikely to be metres; empty where it may be."""
    depth = np.stack([frame.depth for frame in proof.frames])
    near, middle = (float(value) for value in np.percentile(depth, (1, 50)))
    if middle > _FARTHEST_USUAL_M:
        found = f"the median of the depth is {middle:.4g} m"
    elif near < _NEAREST_USUAL_M:
        found = f"a hundredth of the depth is below {near:.2g} m"
    else:
        return ""
    return (
        f"{found} on {len(proof.frames)} frames: is it in metres? If not, convert it in forward(), "
        "or say --kind depth"
    )
