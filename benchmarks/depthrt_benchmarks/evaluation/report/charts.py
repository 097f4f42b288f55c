"""Two drawings of an evaluation as SVG: errors of all images, and error by depth."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from depthrt_benchmarks.evaluation.measure.run import Evaluation
from depthrt_benchmarks.evaluation.measure.statistics import ranges
from depthrt_benchmarks.evaluation.metrics.metrics import BIN_EDGES_M, bin_name
from depthrt_benchmarks.evaluation.protocol.protocol import MIN_PIXELS

COLOURS = ("#bc3754", "#3a7ca5", "#2f9d6a", "#e08e0b", "#7a5cc2", "#6b6874")
_WIDTH, _HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 14, 44


def legend(members: Sequence[Evaluation]) -> str:
    """Names in the colours of the charts."""
    return "".join(
        f'<span class="key"><i style="background:{_colour(i)}"></i>{escape(found.model)}</span>'
        for i, found in enumerate(members)
    )


def distribution(members: Sequence[Evaluation]) -> str:
    """Share of the images (upwards) whose AbsRel is no more than that (to the right)."""
    columns = [np.sort([row.metrics["abs_rel"] for row in found.measured]) for found in members]
    right = max(_round_up(max(float(np.percentile(c, 98)) for c in columns)), 1e-3)
    parts = [_axes([v / 4 * right for v in range(5)], right, "AbsRel", "share of images")]
    for i, values in enumerate(columns):
        heights = np.arange(1, len(values) + 1) / len(values)
        points = [_at(0, 0), *map(_at, np.minimum(values / right, 1), heights), _at(1, 1)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{_colour(i)}" stroke-width="2"/>'
        )
    return _svg(parts, "AbsRel of all images, sorted")


def by_depth(members: Sequence[Evaluation]) -> str:
    """AbsRel (bars) in each range of true depth."""
    found = [{r.name: r for r in ranges(e.rows, MIN_PIXELS)} for e in members]
    names = [bin_name(i) for i in range(len(BIN_EDGES_M)) if any(bin_name(i) in f for f in found)]
    if not names:
        return ""
    top = _round_up(max(r.abs_rel for f in found for r in f.values()))
    parts = [_frame("AbsRel", top)]
    slot = (_WIDTH - _LEFT - _RIGHT) / len(names)
    bar = min(slot * 0.8 / len(members), 40)
    for column, name in enumerate(names):
        middle = _LEFT + (column + 0.5) * slot
        mark = name.replace(" and more", "+")
        share = max(by_name[name].share for by_name in found if name in by_name)
        parts.append(_text(middle, _HEIGHT - _BOTTOM + 16, mark, "middle"))
        parts.append(_text(middle, _HEIGHT - _BOTTOM + 30, f"{share:.1%}", "middle"))
        for i, by_name in enumerate(found):
            if name in by_name:
                height = by_name[name].abs_rel / top * (_HEIGHT - _TOP - _BOTTOM)
                x = middle + (i - len(members) / 2) * bar
                words = f"{name}: {by_name[name].abs_rel:.3f}, {by_name[name].share:.0%} of pixels"
                parts.append(
                    f'<rect x="{x:.1f}" y="{_HEIGHT - _BOTTOM - height:.1f}" width="{bar - 2:.1f}" '
                    f'height="{height:.1f}" fill="{_colour(i)}" rx="2">'
                    f"<title>{words}</title></rect>"
                )
    parts.append(_text(_LEFT - 6, _HEIGHT - _BOTTOM + 30, "pixels", "end"))
    return _svg(parts, "AbsRel by true depth")


def _axes(ticks: Sequence[float], right: float, below: str, beside: str) -> str:
    marks = "".join(
        _text(_at(tick / right, 0)[0], _HEIGHT - _BOTTOM + 16, f"{tick:.3g}", "middle")
        for tick in ticks
    )
    title = _text((_WIDTH + _LEFT) / 2, _HEIGHT - 8, below, "middle")
    return _frame(beside, 1.0) + marks + title


def _frame(title: str, top: float) -> str:
    lines = ""
    for step in range(5):
        y = _at(0, step / 4)[1]
        lines += f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" class="grid"/>'
        lines += _text(_LEFT - 6, y + 4, f"{top * step / 4:.3g}", "end")
    return lines + (
        f'<text transform="translate(12 {(_HEIGHT - _BOTTOM) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(title)}</text>'
    )


def _at(right: float, up: float) -> tuple[float, float]:
    return (
        _LEFT + float(right) * (_WIDTH - _LEFT - _RIGHT),
        _HEIGHT - _BOTTOM - float(up) * (_HEIGHT - _TOP - _BOTTOM),
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )


def _round_up(value: float) -> float:
    """To one of 1, 2, 4 or 8 times a power of ten."""
    if value <= 0:
        return 1e-3
    power = 10 ** np.floor(np.log10(value))
    return float(next(m * power for m in (1, 2, 4, 8, 10) if value <= m * power * 1.0001))


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]
