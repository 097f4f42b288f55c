"""Plots of an evaluation: errors of all images, and error by depth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from depthrt_benchmarks.common.report.plot import Plot, colours, plot
from depthrt_benchmarks.evaluation.metrics.metrics import BIN_EDGES_M, bin_name
from depthrt_benchmarks.evaluation.protocol.protocol import MIN_PIXELS
from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation
from depthrt_benchmarks.evaluation.scoring.statistics import ranges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR_WIDTH = 0.8  # of the distance between two ranges, all models together


def keys(members: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """The name of each model and its colour in :func:`charts`."""
    return [(e.model, colour) for e, colour in zip(members, colours(len(members)), strict=True)]


def charts(members: Sequence[Evaluation]) -> list[Plot]:
    """Both plots of the models on one set; the second only where a range has enough pixels."""
    drawn = [plot("AbsRel of all images, sorted", partial(_distribution, members))]
    if any(ranges(member.rows, MIN_PIXELS) for member in members):
        drawn.append(plot("AbsRel by true depth", partial(_by_depth, members)))
    return drawn


def _distribution(members: Sequence[Evaluation], axes: Axes) -> None:
    """Share of the images (upwards) whose AbsRel is at most that (to the right)."""
    columns = [np.sort([row.metrics["abs_rel"] for row in e.scored]) for e in members]
    right = max(1.1 * max(float(np.percentile(column, 98)) for column in columns), 1e-3)
    for column, colour in zip(columns, colours(len(columns)), strict=True):
        share = np.arange(len(column) + 1) / len(column) * 100
        axes.step([0, *column], share, where="post", color=colour)
        axes.plot([column[-1], max(right, column[-1])], [100, 100], color=colour)
    axes.set(xlim=(0, right), ylim=(0, 102), xlabel="AbsRel at most", ylabel="% of images")


def _by_depth(members: Sequence[Evaluation], axes: Axes) -> None:
    """Bars of AbsRel; below each range its share of the pixels, the largest of all models."""
    found = [{r.name: r for r in ranges(e.rows, MIN_PIXELS)} for e in members]
    names = [bin_name(i) for i in range(len(BIN_EDGES_M)) if any(bin_name(i) in f for f in found)]
    width = _BAR_WIDTH / len(members)
    for i, (own, colour) in enumerate(zip(found, colours(len(members)), strict=True)):
        places = [n for n, name in enumerate(names) if name in own]
        offset = (i - (len(members) - 1) / 2) * width
        axes.bar(
            [n + offset for n in places],
            [own[names[n]].abs_rel for n in places],
            0.9 * min(width, 0.4),
            color=colour,
        )
    shares = [max(own[name].share for own in found if name in own) for name in names]
    ticks = [
        f"{name.replace(' m and more', '+').removesuffix(' m')}\n{share:.1%}"
        for name, share in zip(names, shares, strict=True)
    ]
    axes.set_xticks(range(len(names)), ticks)
    axes.grid(visible=False, axis="x")
    axes.set(xlim=(-0.6, len(names) - 0.4), xlabel="metres, share of pixels", ylabel="AbsRel")
