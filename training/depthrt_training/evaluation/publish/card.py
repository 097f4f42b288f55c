"""Write the figures of MODEL_CARD.md and FIGURES.md anew, between their marks, from the results.

    python -m depthrt_training.evaluation.publish.card

What the pages say of the figures in words is left as it is: read it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from depthrt.files.atomic_write import write_text
from depthrt.model.catalogue.registry import find_model
from depthrt.model.depth_model import DepthModel
from depthrt_training.evaluation.evaluate import TRAINED_ON

ROOT = Path(__file__).parents[4]
CARD, FIGURES = (ROOT / "training" / name for name in ("MODEL_CARD.md", "FIGURES.md"))
RESULTS = ROOT / "benchmarks" / "results"
INT8, FLOAT, TEACHER = "depthrt-s int8", "depthrt-s float32", "tcmonodepth-small float32"
SMALLER = "depthrt-xs int8"
SETS = ("realsense_desk", "phone_lidar_desk", "box_on_floor", "tum_fr1_rpy", "aims_lab")
KINDS = {
    "rooms": "room",
    "desks": "desk",
    "floors": "floor",
    "corridors": "corridor",
    "streets": "street",
    "parks": "park",
}
CLIPS = {
    "bedroom": "bedroom.mp4",
    "bikes": "bikes.mp4",
    "highway": "dashcam_highway.mp4",
    "a second dashcam": "dashcam_short.mp4",
    "roller coaster": "rollercoaster.mp4",
    "Tokyo": "tokyo_walk.mp4",
}

Found = dict[tuple[str, str], dict[str, Any]]
"""By model and set, what `depthrt eval` wrote."""


def result(name: str) -> dict[str, Any]:
    """A file of `benchmarks/results`."""
    content: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return content


def accuracy_table(found: Found) -> str:
    """AbsRel and delta1 of every set beside the teacher's, and the smaller model's."""
    rows = []
    for name in SETS:
        ours, theirs = found[INT8, name], found[TEACHER, name]
        error = ours["metrics"]["abs_rel"]
        if name in TRAINED_ON:
            rows.append((name, str(ours["images"]), _pair(ours), _pair(theirs), "",
                         "nine tenths of it trained on: no measure of the model"))  # fmt: skip
            continue
        interval = f" ({error['low']:.3f}-{error['high']:.3f})"
        ratio = error["value"] / theirs["metrics"]["abs_rel"]["value"]
        rows.append((name, str(ours["images"]), _pair(ours, interval), _pair(theirs),
                     f"{ratio:.2f}", "unseen"))  # fmt: skip
    heads = ("set", "images", "depthrt-s", "TCMonoDepth-small", "AbsRel over its", "")
    smaller = [
        _pair(found[SMALLER, n]) for n in SETS if n not in TRAINED_ON if (SMALLER, n) in found
    ]
    line = f"`depthrt-xs`, int8: {_listed(smaller)} on the unseen sets."
    return "\n\n".join([_table(heads, rows), *([line] if smaller else [])])


def renders_table(held_out: dict[str, Any]) -> str:
    """AbsRel and boundary F1 of each kind of place, and how many images there are."""
    images = [str(held_out[INT8][kind]["images"]) for kind in KINDS.values()]
    rows = [("images", *images)] + [
        (f"{shown}, {title}", *(f"{held_out[name][kind][key]:.3f}" for kind in KINDS.values()))
        for key, title in (("abs_rel", "AbsRel"), ("boundary_f1", "boundary F1"))
        for shown, name in (("depthrt-s", INT8), ("TCMonoDepth-small", "tcmonodepth-small"))
    ]
    return _table(("", *KINDS), rows)


def flicker_line(flicker: dict[str, Any]) -> str:
    """The median of every clip, ours and the teacher's."""
    medians = {
        (clip["model"], clip["clip"]): clip["flicker"]["median"] for clip in flicker["clips"]
    }
    parts = []
    for shown, clip in CLIPS.items():
        ours, theirs = medians[INT8, clip], medians[TEACHER, clip]
        digits = 4 if f"{ours:.3f}" == f"{theirs:.3f}" else 3
        parts.append(f"{shown} {ours:.{digits}f} / {theirs:.{digits}f}")
    return (
        "Flicker of video without stabiliser (`benchmarks/results/flicker.json`, median over all "
        "pairs of\nframes, smaller is better), then TCMonoDepth-small's: "
        f"{', '.join(parts[:2])},\n{', '.join(parts[2:])}."
    )


def int8_table(found: Found, measured: dict[str, Any]) -> str:
    """int8 beside float, and how far their depth is apart."""
    ratios, rows = [], []
    for name in SETS:
        exact, rounded = found[FLOAT, name], found[INT8, name]
        errors = [part["metrics"]["abs_rel"]["value"] for part in (exact, rounded)]
        ratios.append(errors[1] / errors[0])
        rows.append((name, _pair(exact), _pair(rounded), f"{ratios[-1]:.3f}"))
    apart, worst = (100 * measured[key] for key in ("mean_error", "worst_mean_error"))
    return (
        "Against its float32 graph on the demo clip, which calibration never saw, it differs by "
        f"{apart:.1f}%\nof the depth's spread (worst frame {worst:.1f}%).\n\n"
        + _table(("set", "float", "int8", "AbsRel over float's"), rows)
        + f"\n\nMean ratio {fmean(ratios):.3f}."
    )


def put_into(page: str, text: str, name: str) -> str:
    """The page with the text between the two marks of this name.

    Raises:
        ValueError: the marks are not there.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"the page lacks {begin} or {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _pair(found: dict[str, Any], interval: str = "") -> str:
    metrics = found["metrics"]
    return f"{metrics['abs_rel']['value']:.3f}{interval} / {metrics['delta1']['value']:.3f}"


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(heads)
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def pages() -> dict[Path, str]:
    """Both pages with today's tables."""
    found: Found = {(e["model"], e["dataset"]): e for e in result("accuracy.json")["evaluations"]}
    measured = DepthModel.load(find_model(None), provider="cpu").spec.measured["int8"]
    card = put_into(CARD.read_text(encoding="utf-8"), accuracy_table(found), "accuracy")
    figures = FIGURES.read_text(encoding="utf-8")
    for name, text in (
        ("renders", renders_table(result("rendered_seed7.json"))),
        ("flicker", flicker_line(result("flicker.json"))),
        ("int8", int8_table(found, measured)),
    ):
        figures = put_into(figures, text, name)
    return {CARD: card, FIGURES: figures}


def main() -> None:
    """Rewrite both pages."""
    for file, page in pages().items():
        write_text(file, page, overwrite=True)
        print(file)


if __name__ == "__main__":
    main()
