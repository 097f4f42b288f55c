"""Accuracy on sets with true depth: by set, by group of sets, and pictures turned round."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from depthrt_training.evaluation.candidate.paired import Pair, difference, ratio
from depthrt_training.evaluation.labelled_pictures import (
    PictureFigures,
    Predictor,
    figures_of_set,
)

CANDIDATE, TODAY, TEACHER = "candidate", "today", "tcmonodepth-small"

GROUPS = {
    "rooms": ("replica_office0", "slambook_icl_livingroom", "aims_lab"),
    "desks": (
        "realsense_desk",
        "phone_lidar_desk",
        "tum_fr1_rpy",
        "tum_fr2_desk",
        "o3d_tum_fr3_desk",
    ),
    "roads": ("kitti_lidar_jam",),
}
"""What a set of `rgbd` shows; one that is not named here is of the group `others`."""
OTHERS = "others"

Figures = dict[str, dict[str, PictureFigures]]
"""Of a set: by picture, by network."""


def group_of(name: str) -> str:
    """The group of a set."""
    return next((group for group, names in GROUPS.items() if name in names), OTHERS)


def measure(
    folder: Path, predictors: Mapping[str, Predictor], at_most: int = 0, edges: bool = False
) -> Figures:
    """The figures of every picture, or of `at_most` that are evenly spread; 0: of all.

    edges: boundary F1, too.
    """
    files = sorted((folder / "rgb").glob("*.jpg"))
    step = math.ceil(len(files) / at_most) if at_most else 1
    return figures_of_set(folder, predictors, files[::step], edges)


def pair(figures: Figures, key: str, reference: str) -> Pair:
    """One figure of the candidate and of a reference, of the pictures where both have it."""
    both = [
        (getattr(found[CANDIDATE], key), getattr(found[reference], key))
        for found in figures.values()
    ]
    both = [values for values in both if not any(map(math.isnan, values))]
    return [first for first, _ in both], [second for _, second in both]


def turned_round(figures: Figures) -> dict[str, list[str]]:
    """The pictures that each network turns near and far round: negative correlation."""
    networks = next(iter(figures.values()))
    return {
        network: [name for name, found in figures.items() if found[network].correlation < 0]
        for network in networks
    }


def set_report(name: str, figures: Figures, trained_on: Collection[str]) -> dict[str, Any]:
    """What the JSON has of one set."""
    networks = next(iter(figures.values()))
    means = {
        key: {
            network: round(fmean(getattr(found[network], key) for found in figures.values()), 4)
            for network in networks
        }
        for key in ("abs_rel", "delta1")
    }
    return {
        "group": group_of(name),
        "trained_on": name in trained_on,
        "images": len(figures),
        **means,
        **compared([figures]),
        "turned_round": turned_round(figures),
    }


def compared(sets: list[Figures]) -> dict[str, Any]:
    """AbsRel over the references', and how much larger delta1 is; of several sets the means."""
    found = {}
    for reference, word in ((TODAY, "today"), (TEACHER, "tcmonodepth")):
        errors = [pair(figures, "abs_rel", reference) for figures in sets]
        found[f"abs_rel_over_{word}"] = ratio(errors)
        shares = [pair(figures, "delta1", reference) for figures in sets]
        found[f"delta1_minus_{word}"] = difference(shares)
    return found


def group_reports(sets: Mapping[str, Figures], trained_on: Collection[str]) -> dict[str, Any]:
    """Means over the sets of each group and over all: of those unseen, and of every one."""
    found: dict[str, Any] = {}
    for group in (*GROUPS, OTHERS, "all"):
        members = [name for name in sets if group in (group_of(name), "all")]
        for kind, names in (
            ("unseen", [name for name in members if name not in trained_on]),
            ("every", members),
        ):
            if names:
                figures = [sets[name] for name in names]
                found.setdefault(group, {})[kind] = {"sets": names, **compared(figures)}
    return found
