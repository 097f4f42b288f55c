"""A sheet of the images with the largest errors: colour, ground truth, prediction.

    python -m depthrt_training.evaluation.worst_pictures MODEL SET... --out worst.jpg

Shows the images of every set with the largest AbsRel, at most one for each scene, and beside it
the AbsRel of the set's median image.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from depthrt_training.evaluation.evaluate import predictor_of
from depthrt_training.evaluation.labelled_pictures import (
    Predictor,
    figures_of_set,
    pictures_of,
    predicted,
)
from depthrt_training.evaluation.sheets import Bgr, labelled_row, write_sheet

_VIEWS_A_SCENE = 12


def worst_names(folder: Path, errors: Mapping[str, float], count: int) -> list[str]:
    """The names of the pictures with the largest errors, one of a scene, the worst first.

    errors: AbsRel of every picture of a set by its name, a number.
    """
    spec = json.loads((folder / "dataset.json").read_text())
    chosen: dict[int, str] = {}
    for name in sorted(errors, key=lambda name: errors[name], reverse=True):
        chosen.setdefault(int(name) // spec.get("views_a_scene", _VIEWS_A_SCENE), name)
    return list(chosen.values())[:count]


def worst_rows(
    folder: Path, errors: Mapping[str, float], predictors: Mapping[str, Predictor], count: int
) -> list[Bgr]:
    """A row for each of the worst pictures: colour, truth, and what each network sees."""
    middle = sorted(errors.values(), reverse=True)[len(errors) // 2]
    rows = []
    for name in worst_names(folder, errors, count):
        (picture,) = pictures_of(folder, [folder / "rgb" / f"{name}.jpg"])
        words = f"{folder.name} {name}: AbsRel {errors[name]:.2f} (median image {middle:.2f})"
        maps = {network: predicted(picture, p) for network, p in predictors.items()}
        rows.append(labelled_row(words, picture, maps))
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="A sheet of the images with the largest errors.")
    parser.add_argument("model", type=Path, help="depthrt .onnx file, or weights")
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=2, help="images of every set")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    networks = {"model": predictor_of(options.model)}
    rows = []
    for folder in options.sets:
        figures = figures_of_set(folder, networks, edges=False)
        errors = {name: found["model"].abs_rel for name, found in figures.items()}
        if not errors:
            continue  # a kind of place of which no scene was drawn
        rows += worst_rows(folder, errors, networks, options.count)
    write_sheet(options.out, rows)


if __name__ == "__main__":
    main()
