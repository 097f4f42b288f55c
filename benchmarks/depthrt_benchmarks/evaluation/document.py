"""The result of an evaluation as JSON and as a table of images (CSV)."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from depthrt.errors import SourceError
from depthrt_benchmarks.evaluation.metrics.metrics import METRICS
from depthrt_benchmarks.evaluation.protocol.protocol import MIN_PIXELS
from depthrt_benchmarks.evaluation.scoring.clip import PROTOCOL as CLIP_PROTOCOL
from depthrt_benchmarks.evaluation.scoring.clip import ClipEvaluation
from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation
from depthrt_benchmarks.evaluation.scoring.paired import PairedDifferences
from depthrt_benchmarks.evaluation.scoring.score import Row
from depthrt_benchmarks.evaluation.scoring.statistics import RESAMPLES, means, ranges

_WORST = 5
_DIGITS = 6
INTERVAL = (
    f"95%, percentile bootstrap over images, {RESAMPLES} resamples, fixed seed, widened for few "
    "images (Student's t)"
)


def evaluation_dict(found: Evaluation) -> dict[str, Any]:
    """One model on one set, without its images."""
    measured = found.scored
    worst = sorted(measured, key=lambda row: -row.metrics["abs_rel"])[:_WORST]
    content: dict[str, Any] = {
        "model": found.model,
        "dataset": found.dataset,
        "layout": found.layout,
        "protocol": found.protocol,
        "assumed": found.assumed,
        "images": len(measured),
        "skipped": len(found.rows) - len(measured),
        "hollow": sum(bool(row.hollow) for row in measured),
        "non_finite_images": sum(row.non_finite > 0 for row in found.rows),
        "truth": _truth_dict(found.rows),
        "metrics": {key: asdict(mean) for key, mean in means(measured).items()},
        "ranges": [asdict(r) for r in ranges(found.rows, MIN_PIXELS)],
        "worst": [{"image": row.name, "abs_rel": row.metrics["abs_rel"]} for row in worst],
        "warnings": found.warnings,
    }
    if found.protocol.startswith("median"):
        scales = np.array([row.scale for row in measured])
        content["scale_spread"] = float(np.std(scales / np.median(scales)))
    video = video_dict(found)
    rounded: dict[str, Any] = _rounded({**content, "video": video} if video else content)
    return rounded


def _truth_dict(rows: Sequence[Row]) -> dict[str, Any]:
    """How much of the depth maps counts, and what kinds of numbers they hold, by image."""
    pixels = sum(row.truth.height * row.truth.width for row in rows)
    held = [row.truth for row in rows if row.truth.plateau_m is not None]
    return {
        "numbers": dict(Counter(row.truth.numbers for row in rows if row.truth.numbers)),
        "valid_share": sum(row.valid for row in rows) / max(pixels, 1),
        "saturated_share": sum(row.truth.saturated for row in rows) / max(pixels, 1),
        "plateau": {
            "images": len(held),
            "share": sum(facts.plateau for facts in held) / max(pixels, 1),
            "greatest_m": max((facts.plateau_m or 0.0 for facts in held), default=None),
        },
    }


def video_dict(found: Evaluation) -> dict[str, Any]:
    """Flicker and TAE of a set of video frames; empty for other sets."""
    pairs = [row.flicker for row in found.rows if row.flicker is not None]
    content: dict[str, Any] = {}
    if pairs:
        content["flicker"] = {
            "median": float(np.mean([pair.median for pair in pairs])),
            "p95": float(np.mean([pair.p95 for pair in pairs])),
            "median_of_spread": float(np.mean([pair.median_of_spread for pair in pairs])),
            "pairs": len(pairs),
        }
    if found.tae_percent:
        content["tae_percent"] = found.tae_percent
    return content


def clip_dict(found: ClipEvaluation) -> dict[str, Any]:
    """One model on one clip."""
    flicker = None
    if found.flicker is not None:
        flicker = {
            **asdict(found.flicker.mean),
            "worst_median": found.flicker.worst_median,
            "pairs": found.flicker.pairs,
            "skipped": found.flicker.skipped,
        }
    rounded: dict[str, Any] = _rounded(
        {
            "model": found.model,
            "clip": found.source,
            "protocol": CLIP_PROTOCOL,
            "frames": found.frames,
            "flicker": flicker,
            "warnings": found.warnings,
        }
    )
    return rounded


def document(
    models: Sequence[dict[str, Any]],
    evaluations: Iterable[Evaluation],
    clips: Iterable[ClipEvaluation],
    comparisons: Iterable[PairedDifferences],
) -> dict[str, Any]:
    """All results of a command."""
    return {
        "interval": INTERVAL,
        "models": list(models),
        "evaluations": [evaluation_dict(found) for found in evaluations],
        "clips": [clip_dict(found) for found in clips],
        "comparisons": [_rounded(asdict(found)) for found in comparisons],
    }


def _rounded(value: Any) -> Any:
    """Numbers to six digits; further digits are noise of the arithmetic."""
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


_FACTS = ("model", "dataset", "image", "protocol", "skipped", "valid_pixels", "non_finite",
          "scale", "shift")  # fmt: skip
_FIGURES = tuple(metric.key for metric in METRICS)
_VIDEO = ("flicker_median", "flicker_p95")


def write_table(path: Path, evaluations: Iterable[Evaluation]) -> None:
    """A line for every image; figures in full, empty where an image has none.

    A file's name that is no UTF-8 is written as the bytes that it is.
    """
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*_FACTS, *_FIGURES, *_VIDEO))
        for found in evaluations:
            for row in found.rows:
                writer.writerow(_cells(found, row))


def _cells(found: Evaluation, row: Row) -> list[str]:
    numbers = (
        *((None, None) if row.skipped else (row.scale, row.shift)),
        *(row.metrics.get(key) for key in _FIGURES),
        *((row.flicker.median, row.flicker.p95) if row.flicker else (None, None)),
    )
    return [
        found.model,
        found.dataset,
        row.name,
        found.protocol,
        row.skipped,
        str(row.valid),
        str(row.non_finite),
        *("" if number is None else repr(float(number)) for number in numbers),
    ]


def read_table(path: Path) -> list[Evaluation]:
    """The evaluations of a table that :func:`write_table` wrote, to be compared with.

    Raises:
        SourceError: it is no such table, or has an image of a model on a set twice, as where two
            sets of one name were written to it.
    """
    found: dict[tuple[str, str], Evaluation] = {}
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError("it is no regular file")
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            for line in csv.DictReader(file):
                key = (line["model"], line["dataset"])
                if key not in found:
                    found[key] = Evaluation(*key, "", line["protocol"], [])
                found[key].rows.append(_row(line))
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise SourceError(
            f"{path} is no table of images of `depthrt eval --csv` ({error})"
        ) from error
    if not found:
        raise SourceError(f"{path} holds no image")
    for key, evaluation in found.items():
        image, count = Counter(row.name for row in evaluation.rows).most_common(1)[0]
        if count > 1:
            raise SourceError(
                f"{path} has {image} of {key[1]} {count} times: it was written of sets of one name"
            )
    return list(found.values())


def _row(line: dict[str, str | None]) -> Row:
    """A line of the table, its figures checked.

    Raises:
        ValueError: it is cut off, or a figure is no finite number.
    """
    cells = {key: cell for key, cell in line.items() if cell is not None}
    if len(cells) < len(line):
        raise ValueError("a line is cut off")
    figures = {key: float(cells[key]) for key in _FIGURES if cells[key]}
    if not all(map(math.isfinite, figures.values())):
        raise ValueError(f"a figure of {cells['image']} is no finite number")
    if not cells["skipped"] and "abs_rel" not in figures:
        raise ValueError(f"{cells['image']} has no abs_rel")
    return Row(
        cells["image"],
        skipped=cells["skipped"],
        valid=int(cells["valid_pixels"]),
        non_finite=int(cells["non_finite"]),
        metrics=figures,
    )
