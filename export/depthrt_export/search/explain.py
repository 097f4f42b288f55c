"""A search's outcome in words: three lines on the pick, one on each candidate."""

from __future__ import annotations

from typing import Any

from depthrt.model.providers import SessionOptions
from depthrt_export.search.pareto import Measured, fits, float32
from depthrt_export.search.search import Found
from depthrt_export.search.sensitivity import ranked

_NAMED = 3


def explain(found: Found) -> tuple[str, str, str]:
    """What was picked, what it was picked from, and what speaks against the others."""
    return _pick(found), _blocks(found), _others(found)


def refusal(found: Found) -> str:
    """One sentence for when nothing fits: why, and the best candidates."""
    allowed = f"{found.limits.max_drop:.3g}"
    if found.disproved is not None:
        pick, loss = found.disproved
        return (
            f"{pick.name} was measured at a loss of {pick.loss:.3g}, but its proof gives "
            f"{loss:.3g}, allowed {allowed}, so the float32 model was kept: run it again, all is "
            "measured anew"
        )
    near = sorted(
        (c for c in found.candidates if c.loss is not None),
        key=lambda c: (bool(c.refused), c.loss or 0.0),
    )
    listed = "; ".join(line(c) for c in near[:_NAMED]) or "none could be made"
    late = ", and the time was up: allow more with --budget" if found.out_of_time else ""
    return (
        f"no candidate is both within {allowed} of float32 and clearly faster, so the float32 "
        f"model was kept (best: {listed}){late}"
    )


def document(found: Found) -> dict[str, Any]:
    """All that was measured, for JSON."""
    picked = found.picked or float32()
    return {
        "picked": picked.name,
        "error": picked.error,
        "worst": picked.worst,
        "ratio": picked.ratio,
        "explained": list(explain(found)),
        "validation_frames": found.frames,
        "providers": list(found.providers),
        "candidates": [c.to_dict() for c in found.candidates],
        "sensitivity": {name: dict(errors) for name, errors in found.sensitivity.items()},
        "complete": not found.out_of_time,
    }


def line(candidate: Measured) -> str:
    """A candidate's figures."""
    if candidate.loss is None:
        return f"{candidate.name}: {candidate.refused}"
    parts = [f"error {candidate.error:.3f} (worst frame {candidate.worst:.3f})"]
    if candidate.drop is not None:
        parts.append(f"AbsRel {candidate.drop:+.1%}")
    if candidate.latency is not None:
        timed = candidate.latency
        parts.append(f"time {timed.ratio:.2f} [{timed.low:.2f}-{timed.high:.2f}]")
    return f"{candidate.name}: {', '.join(parts)}"


def _pick(found: Found) -> str:
    if found.picked is None:
        return f"float32 stays: {refusal(found)}"
    what = "AbsRel" if found.picked.drop is not None else "error"
    half = SessionOptions.named(found.picked.provider).precision
    kept = f"; `depthrt tune` has the file run in {half}" if half else ""
    return (
        f"picked {line(found.picked)}, on {found.frames} frames that calibration never saw "
        f"({what} allowed: {found.limits.max_drop:.3g}){kept}"
    )


def _blocks(found: Found) -> str:
    untimed = (
        "" if found.target.timed else f"; not timed, for {found.target.name} is not this machine"
    )
    if not found.sensitivity:
        return f"no recipe needed blocks in float to be saved{untimed}"
    name, errors = next(iter(found.sensitivity.items()))
    worst = ", ".join(f"{b} ({errors[b]:.3f})" for b in ranked(errors)[:_NAMED])
    return f"most sensitive to {name}: {worst}{untimed}"


def _others(found: Found) -> str:
    others = [c for c in found.candidates if c is not found.picked]
    slow = [c.name for c in others if c.refused and c.latency is not None]
    failed = [c.name for c in others if c.refused and c.latency is None]
    rough = [c.name for c in others if not c.refused and not fits(c, found.limits.max_drop)]
    groups = (
        ("not faster than float32", slow),
        ("not possible here", failed),
        ("too inexact", rough),
    )
    parts = [f"{why}: {'; '.join(names)}" for why, names in groups if names]
    late = " | the time was up before all was tried" if found.out_of_time else ""
    return (" | ".join(parts) or "nothing else came near") + late
