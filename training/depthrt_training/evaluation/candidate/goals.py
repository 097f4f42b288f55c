"""The goals that a candidate is held against, from the report."""

from __future__ import annotations

from typing import Any


def goals(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Every goal whose figure is in the report: its name, the bound, the value, whether reached.

    Accuracy counts on sets that neither network was trained on.
    """
    groups = {
        name: found["unseen"] for name, found in report["groups"].items() if "unseen" in found
    }
    unseen = [report["sets"][name] for name in groups.get("all", {}).get("sets", ())]
    turned = sum(len(found["turned_round"]["candidate"]) for found in report["sets"].values())
    found = [_at_most("pictures turned round, every set", 0, turned)]
    if unseen:
        worst = max(row["abs_rel_over_tcmonodepth"]["value"] for row in unseen)
        gain = groups["all"]["delta1_minus_tcmonodepth"]["value"]
        over = groups["all"]["abs_rel_over_tcmonodepth"]["value"]
        found += [
            _at_most("AbsRel over TCMonoDepth-small's, mean of unseen sets", 0.75, over),
            _at_most("AbsRel over TCMonoDepth-small's, worst unseen set", 1.0, worst),
            _at_least("delta1 minus TCMonoDepth-small's, mean of unseen sets", 0.06, gain),
        ]
    for group in ("rooms", "roads"):
        if group in groups:
            value = groups[group]["abs_rel_over_today"]["value"]
            found.append(_at_most(f"AbsRel over today's, unseen {group}", 0.80, value))
    if "renders" in report:
        value = report["renders"]["boundary_f1_over_today"]["value"]
        found.append(_at_least("boundary F1 over today's, renders of a new seed", 1.1, value))
    if report.get("flicker", {}).get("mean_over_today") is not None:
        value = report["flicker"]["mean_over_today"]
        found.append(_at_most("flicker over today's, mean of the clips", 1.0, value))
    return found


def _at_most(name: str, bound: float, value: float) -> dict[str, Any]:
    return {"goal": name, "at_most": bound, "value": value, "reached": value <= bound}


def _at_least(name: str, bound: float, value: float) -> dict[str, Any]:
    return {"goal": name, "at_least": bound, "value": value, "reached": value >= bound}
