"""The look of every plot, drawn by matplotlib: as SVG inside a page, or as a file.

Text is black and paper is left out, so that a page can set both for light and dark screens.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from depthrt.system.process_settings import no_warnings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw: TypeAlias = "Callable[[Axes], None]"

COLOURS = ("#bc3754", "#2f8f68", "#3f7cc4", "#c98a1b", "#8f63bd", "#8c8896", "#c06a36", "#1f93a3")
SOFT = "#8c8896"
"""For what stands back: lines of reference, candidates that were refused."""

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,  # a name with two $ is a name
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "depthrt",  # the same figures give the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "grid.color": SOFT,
    "grid.alpha": 0.3,
    "xtick.color": SOFT,
    "xtick.labelcolor": "black",
    "ytick.color": SOFT,
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_SIZE = (5.4, 3.6)  # inches
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_PNG_DPI = 160


@dataclass(frozen=True)
class Plot:
    """A plot that lies inside a page; ``svg`` is a whole ``<svg>`` element."""

    title: str
    svg: str


def plot(title: str, draw: Draw, size: tuple[float, float] = _SIZE) -> Plot:
    """Draw for a page.

    Args:
        title: stands above the plot.
        draw: fills the axes.
        size: width and height in inches; 10 points is the size of the text.
    """
    return Plot(title, _drawn(title, draw, size, "svg", transparent=True).decode("utf-8"))


def plot_file(title: str, draw: Draw, form: str, size: tuple[float, float] = _SIZE) -> bytes:
    """As :func:`plot`, but a file of its own on white: ``form`` is ``svg`` or ``png``."""
    return _drawn(title, draw, size, form, transparent=False)


def colours(count: int) -> list[str]:
    """So many colours, from the first again when there are no more."""
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def label(text: str) -> str:
    """A name as matplotlib takes it.

    matplotlib leaves names that begin with "_" out of legends, and cannot write lone surrogates,
    which stand for bytes of file names that are no UTF-8.
    """
    known = text.encode("utf-8", "replace").decode("utf-8")
    return f" {known}" if known.startswith("_") else known


def _drawn(
    title: str, draw: Draw, size: tuple[float, float], form: str, *, transparent: bool
) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with no_warnings(), mpl.rc_context(_STYLE):  # a letter that the font lacks is drawn as a box
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, loc="left")
        draw(axes)
        return _saved(figure, form, transparent=transparent)


def _saved(figure: Figure, form: str, *, transparent: bool) -> bytes:
    out = io.BytesIO()
    if form == "png":
        figure.savefig(out, format=form, transparent=transparent, dpi=_PNG_DPI)
        return out.getvalue()
    figure.savefig(out, format="svg", transparent=transparent, metadata=_NO_METADATA)
    text = out.getvalue()
    return text[text.index(b"<svg") :]
