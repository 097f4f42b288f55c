"""Whether the two sides of a comparison differ; a gate on two equal sides never passes.

Two models are the same when their files have the same content. Two environments are the same when
they import depthrt from the same place, with the same versions of what it runs with: two "editable"
installations of one checkout are, unless their onnxruntime differs. Equal code in two places counts
as two installations, because that is how a change that touches no code looks in CI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthrt.errors import LatencyGateError
from depthrt_benchmarks.bench.compare.comparison import Side
from depthrt_benchmarks.bench.measure.runners import Local, Remote

_SHOWN = 12  # digits of a hash


def one_side_twice(
    sides: Sequence[Side], facts: Sequence[dict[str, Any]], runners: Sequence[Local | Remote]
) -> str:
    """One sentence if both sides are the same, else an empty string.

    Args:
        sides: base and head.
        facts: of their models, with ``sha256``.
        runners: that run them, environments opened.
    """
    base, head = sides
    sha256 = facts[0]["sha256"]
    if sha256 != facts[1]["sha256"]:
        return ""
    remote = [runner for runner in runners if isinstance(runner, Remote)]
    if not remote:
        return f"{base.label} and {head.label} are one model (sha256 {sha256[:_SHOWN]})"
    if len(remote) < len(runners) or not _is_one_installation(*(r.facts for r in remote)):
        return ""
    return f"{base.label} and {head.label} are one installation ({remote[0].facts['file']})"


def refuse_one_side_twice(why: str) -> None:
    """Refuse a gate on two sides that are the same; ``why`` is from :func:`one_side_twice`.

    Raises:
        LatencyGateError: nothing would be compared.
    """
    if why:
        raise LatencyGateError(f"nothing was compared, so --fail-above cannot pass: {why}")


def refuse_two_providers(facts: Sequence[dict[str, Any]]) -> None:
    """Refuse a gate on sides that ran on two providers.

    Raises:
        LatencyGateError: they did, as `--provider auto` may choose.
    """
    bound = [str(side["bound_provider"]) for side in facts]
    if len(set(bound)) > 1:
        raise LatencyGateError(
            f"BASE ran on {bound[0]} and HEAD on {bound[1]}, so --fail-above cannot pass: name one "
            "by --provider"
        )


def notes(
    sides: Sequence[Side], facts: Sequence[dict[str, Any]], runners: Sequence[Local | Remote]
) -> tuple[str, ...]:
    """Sentences on what should differ and does not, and the reverse."""
    found = []
    bound = [str(side["bound_provider"]) for side in facts]
    if len(set(bound)) > 1:
        found.append(f"not on one provider: {sides[0].label} ran on {bound[0]}, {sides[1].label} "
                     f"on {bound[1]}")  # fmt: skip
    remote = [runner.facts for runner in runners if isinstance(runner, Remote)]
    if not remote and facts[0]["sha256"] == facts[1]["sha256"]:
        found.append("both are one model: what differs is this machine's noise")
    if len(remote) == len(sides):
        found += _of_environments(sides, *remote)
    return tuple(found)


def _of_environments(
    sides: Sequence[Side], base: dict[str, Any], head: dict[str, Any]
) -> list[str]:
    pythons = {side.python.absolute() for side in sides if side.python is not None}
    if len(pythons) < len(sides):
        return []
    if base["file"] == head["file"]:
        return [f"both environments run one depthrt, {base['file']}: its code was not compared"]
    if base["code"] == head["code"] and base["runs_with"] == head["runs_with"]:
        return ["both environments have the same code of depthrt and the same packages: only their "
                "places differ"]  # fmt: skip
    return []


def _is_one_installation(base: dict[str, Any], head: dict[str, Any]) -> bool:
    return bool(base["file"] == head["file"] and base["runs_with"] == head["runs_with"])
