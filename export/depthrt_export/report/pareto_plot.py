"""What a search tried: the time of each candidate against its error, with the Pareto front."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthrt.files.atomic_write import new_file
from depthrt_benchmarks.common.report.plot import COLOURS, SOFT, Plot, label, plot, plot_file
from depthrt_export.search.candidates import Candidate, float32
from depthrt_export.search.search import Found

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLE = "Time against error"
_SIZE = (8.0, 4.4)  # inches
_PICKED, _FRONT = COLOURS[0], COLOURS[1]
_LETTER, _LINE, _GAP = 5.6, 12.0, 8.0  # points: a letter's width, a line's height, beside a dot

Place = tuple[float, float]


def pareto_plot(found: Found) -> Plot:
    """The plot for a page."""
    return plot(_TITLE, partial(_draw, found), _SIZE)


def write_pareto_plot(found: Found, path: Path, *, overwrite: bool = False) -> None:
    """Write the plot to an .svg or a .png file.

    Raises:
        TargetError: a file came there meanwhile that may not be replaced.
        WriteError: it cannot be written.
    """
    content = plot_file(_TITLE, partial(_draw, found), path.suffix.removeprefix("."), _SIZE)
    with new_file(path, overwrite=overwrite) as place:
        place.write_bytes(content)


def _draw(found: Found, axes: Axes) -> None:
    """Time over float32's to the right, error upwards; the allowed error is dashed."""
    timed = [c for c in (*found.candidates, float32()) if c.ratio is not None]
    allowed = found.limits.max_drop
    right = max(1.1, min(2.5, 1.1 * max(c.ratio or 0.0 for c in timed)))
    top = max(1.5 * allowed, min(4 * allowed, 1.2 * max(c.loss or 0.0 for c in timed)), 1e-6)
    axes.set(
        xlim=(0, right),
        ylim=(0, top),
        xlabel="time of a frame over float32's",
        ylabel="error against float32",
    )

    def place(candidate: Candidate) -> Place:
        """Where it stands; what lies outside stands at the edge."""
        return min(candidate.ratio or 0.0, right), min(max(candidate.loss or 0.0, 0.0), top)

    axes.axhline(allowed, color=SOFT, linestyle="--", linewidth=1)
    axes.axvline(1, color=SOFT, linestyle="--", linewidth=1)
    axes.annotate(f"allowed: {allowed:.3g}", (0, allowed), (4, 4), textcoords="offset points")
    front = [place(c) for c in found.front if c.ratio is not None]
    axes.plot([x for x, _ in front], [y for _, y in front], color=_FRONT, linewidth=1.2)
    for candidate in timed:
        size, colour = _dot(candidate, found)
        axes.plot(*place(candidate), "o", color=colour, markersize=size, clip_on=False, zorder=3)
    _write_names(axes, [(_name(c, found), place(c), c is found.picked) for c in timed])


def _dot(candidate: Candidate, found: Found) -> tuple[float, str]:
    """Size in points, and colour."""
    if candidate is found.picked:
        return 9, _PICKED
    return 6, SOFT if candidate.refused else _FRONT


def _name(candidate: Candidate, found: Found) -> str:
    return label(f"{candidate.name} (picked)" if candidate is found.picked else candidate.name)


def _write_names(axes: Axes, names: list[tuple[str, Place, bool]]) -> None:
    """Write names beside their dots, moved up where they would cover another name or a dot.

    The name of the picked candidate is placed first, so that it stays beside its dot.
    """
    from matplotlib.figure import Figure

    figure = axes.figure
    if isinstance(figure, Figure):
        figure.draw_without_rendering()  # places the axes, so that distances are known
    to_points = 72 / figure.dpi
    dots = [axes.transData.transform(place) * to_points for _, place, _ in names]
    taken = [(float(x) - _GAP / 2, float(x) + _GAP / 2, float(y)) for x, y in dots]
    middle = float(axes.transAxes.transform((0.6, 0))[0]) * to_points
    floor = float(axes.transAxes.transform((0, 0))[1]) * to_points + _LINE / 2  # above the axis
    order = sorted(range(len(names)), key=lambda i: not names[i][2])
    for i in order:
        (text, place, _), (x, y) = names[i], (float(v) for v in dots[i])
        width, leftwards = _LETTER * len(text), x > middle
        start = x - _GAP - width if leftwards else x + _GAP
        up = max(0.0, floor - y)
        while any(start < b and a < start + width and abs(y + up - c) < _LINE for a, b, c in taken):
            up += _LINE / 4
        taken.append((start, start + width, y + up))
        axes.annotate(
            text,
            place,
            (-_GAP if leftwards else _GAP, up),
            textcoords="offset points",
            ha="right" if leftwards else "left",
            va="center",
            fontsize=9,
            arrowprops=_line_to_dot(leftwards) if up > _LINE else None,
        ).set_in_layout(False)


def _line_to_dot(leftwards: bool) -> dict[str, Any]:
    """A thin line from the end of a name that is nearest to its dot."""
    end = (1.0, 0.5) if leftwards else (0.0, 0.5)
    return {"arrowstyle": "-", "color": SOFT, "linewidth": 0.8, "relpos": end}
