"""Ask the built-in model whether a network is fed and read rightly."""

from __future__ import annotations

from collections.abc import Callable

from depthrt.errors import AccuracyGateError
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions
from depthrt_export.proof.frame_split import FrameSplit
from depthrt_export.proof.witness import Statement, ask_witness
from depthrt_export.sources.network import DepthNetwork, Normalisation, Reference


def asked(
    network: DepthNetwork,
    fed: Callable[[Normalisation], Reference],
    frames: FrameSplit,
    options: ExportOptions,
    phases: Phases,
) -> Statement:
    """What the built-in model says of normalisation and direction.

    Raises:
        AccuracyGateError: it speaks against them, and ``options.strict`` makes that a refusal.
    """
    with phases("ask the built-in model"):
        ranges = options.precision in ("int8", "auto")
        given = options.frames or (ranges and (options.calibration or options.validate)) or None
        samples = [*frames.calibration, *frames.validation]
        found = ask_witness(network, fed, samples, of_clip=given is None)
    if found.verdict == "contradicts" and options.strict:
        raise AccuracyGateError(found.line())
    phases.note(f"witness: {found.line()}")
    return found
