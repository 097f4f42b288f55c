"""What a search tried, drawn: time against error with the front, and the blocks' sensitivity.

One list of shapes becomes an SVG (in the report too) or a PNG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.files.atomic_write import new_file, write_text
from depthrt_export.search.explain import explain, line
from depthrt_export.search.pareto import Measured, float32
from depthrt_export.search.search import Found
from depthrt_export.search.sensitivity import ranked

_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 24, 52
_LETTER = 6.6  # width of one, about
_DOT = 6  # radius of the largest
_INK, _SOFT, _ACCENT, _GOOD = "#3b3844", "#a09ca9", "#bc3754", "#2f7d5b"
_BLOCKS_SHOWN = 16


@dataclass(frozen=True)
class Line:
    """From one place to another, in pixels."""

    start: tuple[float, float]
    end: tuple[float, float]
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Dot:
    """A filled circle."""

    centre: tuple[float, float]
    radius: float
    colour: str


@dataclass(frozen=True)
class Text:
    """A line of text; ``anchor`` start, middle or end."""

    place: tuple[float, float]
    text: str
    colour: str = _INK
    anchor: str = "start"


Shape = Line | Dot | Text


def shapes(found: Found) -> list[Shape]:
    """Time over float32's to the right, error upwards; the allowed error dashed."""
    timed = [c for c in (*found.candidates, float32()) if c.ratio is not None]
    limit = found.limits.max_drop
    right = max(1.1, min(2.5, max(c.ratio or 0 for c in timed) * 1.1))
    top = max(limit * 1.5, min(4 * limit, max(c.loss or 0 for c in timed) * 1.2))

    def at(ratio: float, loss: float) -> tuple[float, float]:
        x = _LEFT + min(ratio, right) / right * (_WIDTH - _LEFT - _RIGHT)
        y = _HEIGHT - _BOTTOM - min(max(loss, 0), top) / top * (_HEIGHT - _TOP - _BOTTOM)
        return round(x, 1), round(y, 1)

    drawn: list[Shape] = [
        Line(at(0, 0), at(right, 0), _INK),
        Line(at(0, 0), at(0, top), _INK),
        Line(at(0, limit), at(right, limit), _SOFT, dashed=True),
        Line(at(1, 0), at(1, top), _SOFT, dashed=True),
        Text((_LEFT + 6, at(0, limit)[1] - 6), f"allowed: {limit:.3g}", _SOFT),
        Text((_WIDTH / 2, _HEIGHT - 12), "time of a frame over float32's", _INK, "middle"),
        Text((_LEFT, _TOP - 8), "error against float32", _INK, "start"),
        *(Text((at(v, 0)[0], _HEIGHT - 32), f"{v:g}", _SOFT, "middle") for v in (0, 0.5, 1)),
    ]
    points = [at(c.ratio or 0, c.loss or 0) for c in found.front if c.ratio is not None]
    drawn += [Line(a, b, _GOOD) for a, b in pairwise(points)]
    places = [at(candidate.ratio or 0, candidate.loss or 0) for candidate in timed]
    taken = [(x - _DOT, x + _DOT, y) for x, y in places]
    for candidate in sorted(timed, key=lambda c: c is not found.picked):  # its name stays beside it
        drawn += _marked(candidate, at(candidate.ratio or 0, candidate.loss or 0), found, taken)
    return drawn


def _marked(
    candidate: Measured,
    place: tuple[float, float],
    found: Found,
    taken: list[tuple[float, float, float]],
) -> list[Shape]:
    """A dot and its name, moved up from what it would cover, with a line to it then.

    taken: start, end and height of all dots and of the names so far.
    """
    picked = candidate is found.picked
    colour = _ACCENT if picked else _SOFT if candidate.refused else _GOOD
    text = f"{candidate.name}{' (picked)' if picked else ''}"
    left = place[0] > _WIDTH * 0.6
    x = place[0] - 9 if left else place[0] + 9
    beside = y = min(place[1], _HEIGHT - _BOTTOM - 10)  # a name on the axis cannot be read
    start = x - len(text) * _LETTER if left else x
    end = start + len(text) * _LETTER
    while any(start < b and a < end and abs(y - c) < 14 for a, b, c in taken):
        y -= 14
    taken.append((start, end, y))
    shapes: list[Shape] = [Dot(place, _DOT if picked else 4, colour)]
    if y < beside:
        shapes.append(Line(place, (x, y), colour))
    return [*shapes, Text((x, y + 4), text, colour, "end" if left else "start")]


def to_svg(drawn: Sequence[Shape]) -> str:
    """As SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff" rx="8"/>',
    ]
    for shape in drawn:
        if isinstance(shape, Line):
            dash = ' stroke-dasharray="4 4"' if shape.dashed else ""
            (a, b), (c, d) = shape.start, shape.end
            parts.append(
                f'<line x1="{a}" y1="{b}" x2="{c}" y2="{d}" stroke="{shape.colour}"{dash}/>'
            )
        elif isinstance(shape, Dot):
            x, y = shape.centre
            parts.append(f'<circle cx="{x}" cy="{y}" r="{shape.radius}" fill="{shape.colour}"/>')
        else:
            x, y = shape.place
            parts.append(
                f'<text x="{x}" y="{y}" fill="{shape.colour}" text-anchor="{shape.anchor}">'
                f"{escape(shape.text)}</text>"
            )
    return "\n".join([*parts, "</svg>"])


def to_picture(drawn: Sequence[Shape], scale: int = 2) -> NDArray[np.uint8]:
    """As BGR pixels."""
    picture = np.full((_HEIGHT * scale, _WIDTH * scale, 3), 255, np.uint8)

    def at(place: tuple[float, float]) -> tuple[int, int]:
        return round(place[0] * scale), round(place[1] * scale)

    for shape in drawn:
        red, green, blue = (int(shape.colour[i : i + 2], 16) for i in (1, 3, 5))
        colour = (blue, green, red)
        if isinstance(shape, Line):
            cv2.line(picture, at(shape.start), at(shape.end), colour, 2, cv2.LINE_AA)
        elif isinstance(shape, Dot):
            cv2.circle(
                picture, at(shape.centre), round(shape.radius * scale), colour, -1, cv2.LINE_AA
            )
        else:
            font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.42 * scale
            (width, _), _ = cv2.getTextSize(shape.text, font, size, 1)
            x, y = at(shape.place)
            x -= {"start": 0, "middle": width // 2, "end": width}[shape.anchor]
            cv2.putText(picture, shape.text, (x, y), font, size, colour, 1, cv2.LINE_AA)
    return picture


def section(found: Found) -> str:
    """The part of the report on a search."""
    lines = "".join(f"<li>{escape(text)}</li>" for text in explain(found))
    tried = "".join(
        f"<tr><th>{escape(line(c))}</th><td>{escape(c.refused if c.loss is not None else '')}</td>"
        "</tr>"
        for c in found.candidates
    )
    return (
        f'<h2>The search</h2><section><ul>{lines}</ul></section><section class="front">'
        f"{to_svg(shapes(found))}</section><section><h3>Candidates</h3>"
        f"<table><tbody>{tried}</tbody></table></section>{_sensitivity(found)}"
    )


def _sensitivity(found: Found) -> str:
    parts = []
    for recipe, errors in found.sensitivity.items():
        top = max(errors.values(), default=0.0) or 1.0
        rows = "".join(
            f"<tr><th>{escape(block)}</th><td>{errors[block]:.4f}</td>"
            f'<td class="bar"><i style="width:{100 * errors[block] / top:.1f}%"></i></td></tr>'
            for block in ranked(errors)[:_BLOCKS_SHOWN]
        )
        parts.append(
            f"<section><h3>Error of one block alone in {escape(recipe)}</h3>"
            f"<table><tbody>{rows}</tbody></table></section>"
        )
    return "".join(parts)


def write_front(found: Found, path: Path, *, overwrite: bool = False) -> None:
    """Draw to an .svg or a .png file.

    Raises:
        TargetError: a file came there meanwhile that may not be replaced.
        WriteError: it cannot be written.
    """
    if path.suffix == ".svg":
        write_text(path, to_svg(shapes(found)), overwrite=overwrite)
        return
    ok, content = cv2.imencode(".png", to_picture(shapes(found)))
    with new_file(path, overwrite=overwrite) as place:
        place.write_bytes(content.tobytes() if ok else b"")
