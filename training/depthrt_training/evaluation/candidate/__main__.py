"""Judge a candidate for the released weights against today's, in one JSON with sheets beside it.

    python -m depthrt_training.evaluation.candidate CANDIDATE --out FOLDER
    python -m depthrt_training.evaluation.candidate INT8.onnx --today depthrt-s.onnx --out FOLDER

CANDIDATE and TODAY are weights (.safetensors, measured in float) or exported files (.onnx), as int8
or otherwise. Measured are: accuracy on every set of DATA/rgbd, by `evaluate.py`'s protocol, over
today's and over TCMonoDepth-small's; pictures whose near and far are turned round; boundary F1 on
scenes drawn from a seed that nothing was trained on (drawn once into FOLDER/renders, or given by
--renders); flicker of the clips of DATA/video. Beside FOLDER/candidate.json lie `worst.jpg` (the
worst pictures of every set), `turned.jpg` (those turned round, if any) and `views.jpg`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from depthrt.model.catalogue.registry import find_model
from depthrt_benchmarks.common.environment import write_result
from depthrt_training.config import CONFIGS, read_config
from depthrt_training.data.provenance import hash_of_file
from depthrt_training.evaluation.candidate.goals import goals
from depthrt_training.evaluation.candidate.paired import INTERVAL, ratio
from depthrt_training.evaluation.candidate.sets import (
    CANDIDATE,
    TEACHER,
    TODAY,
    Figures,
    group_reports,
    measure,
    pair,
    set_report,
)
from depthrt_training.evaluation.candidate.video import flicker_report
from depthrt_training.evaluation.candidate.views import VIEWS, view_rows
from depthrt_training.evaluation.evaluate import PROTOCOL, TRAINED_ON, predictor_of
from depthrt_training.evaluation.labelled_pictures import Predictor, pictures_of, predicted
from depthrt_training.evaluation.sheets import Bgr, labelled_row, write_sheet
from depthrt_training.evaluation.worst_pictures import worst_rows
from depthrt_training.recipe import WEIGHTS
from depthrt_training.teachers.tcmonodepth import Teacher

SEED, SCENES = 4711, 12
"""Of the renders: no configuration and no run of the diary drew scenes from this seed."""


def drawn_renders(folder: Path, data: Path) -> list[Path]:
    """The rendered sets of a folder, drawn first if it is missing; empty where that failed."""
    if not folder.is_dir():
        command = [sys.executable, "-m", "depthrt_training.rendered.generate", "--out", str(folder),
                   "--seed", str(SEED), "--scenes", str(SCENES),
                   "--photographs", str(data / "images")]  # fmt: skip
        if subprocess.run(command, check=False).returncode:
            print("renders were not drawn (see above): the report has no boundary F1")
    return [place.parent for place in sorted(folder.glob("*/dataset.json"))]


def renders_report(folders: list[Path], predictors: dict[str, Predictor]) -> dict[str, Any]:
    """Boundary F1 and AbsRel by kind of place, and F1 over today's."""
    kinds, every = {}, Figures()
    for folder in folders:
        figures = measure(folder, predictors, edges=True)
        if figures:
            kinds[folder.name] = {
                "images": len(figures),
                **{
                    key: {
                        network: round(
                            float(np.nanmean([getattr(f[network], key) for f in figures.values()])),
                            4,
                        )
                        for network in predictors
                    }
                    for key in ("abs_rel", "boundary_f1")
                },
            }
            every |= {f"{folder.name}/{name}": found for name, found in figures.items()}
    return {
        "kinds": kinds,
        "boundary_f1_over_today": ratio([pair(every, "boundary_f1", TODAY)]),
        "abs_rel_over_today": ratio([pair(every, "abs_rel", TODAY)]),
    }


def turned_rows(
    folder: Path, report: dict[str, Any], predictors: dict[str, Predictor]
) -> list[Bgr]:
    """A row for each picture that the candidate or today's network turns round."""
    turned = report["turned_round"]
    rows = []
    for name in sorted({*turned[CANDIDATE], *turned[TODAY]}):
        (picture,) = pictures_of(folder, [folder / "rgb" / f"{name}.jpg"])
        who = " and ".join(network for network in (CANDIDATE, TODAY) if name in turned[network])
        maps = {network: predicted(picture, predict) for network, predict in predictors.items()}
        rows.append(labelled_row(f"{folder.name} {name}: turned by {who}", picture, maps))
    return rows


def judge(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; write the sheets; return the report."""
    data, out = Path(options.data), Path(options.out)
    files = {CANDIDATE: options.candidate, TODAY: options.today}
    networks = {name: predictor_of(file) for name, file in files.items()}
    predictors = {**networks, TEACHER: Teacher(data).predict}
    trained_on = {*TRAINED_ON, *read_config(options.config).sources}
    report: dict[str, Any] = {
        "protocol": PROTOCOL,
        "interval": INTERVAL,
        "networks": {n: {"file": f.name, "sha256": hash_of_file(f)} for n, f in files.items()},
        "trained_on": f"sources of {options.config.name}, and {', '.join(TRAINED_ON)}",
        "at_most": options.at_most or None,
        "sets": {},
    }
    sets: dict[str, Figures] = {}
    worst: list[Bgr] = []
    turned: list[Bgr] = []
    for folder in sorted(place.parent for place in (data / "rgbd").glob("*/dataset.json")):
        sets[folder.name] = figures = measure(folder, predictors, options.at_most)
        found = report["sets"][folder.name] = set_report(folder.name, figures, trained_on)
        print(folder.name, found["abs_rel"], flush=True)
        errors = {name: of_picture[CANDIDATE].abs_rel for name, of_picture in figures.items()}
        worst += worst_rows(folder, errors, networks, options.worst)
        turned += turned_rows(folder, found, networks)
    report["groups"] = group_reports(sets, trained_on)
    write_sheet(out / "worst.jpg", worst)
    if turned:
        write_sheet(out / "turned.jpg", turned)
    write_sheet(out / "views.jpg", view_rows(data, VIEWS, networks), columns=1)
    renders = drawn_renders(options.renders or out / "renders", data)
    if renders:
        report["renders"] = renders_report(renders, predictors)
    report["flicker"] = flicker_report(sorted((data / "video").glob("*.mp4")), networks)
    report["goals"] = goals(report)
    return report


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("candidate", type=Path, help="weights (.safetensors) or a model (.onnx)")
    parser.add_argument(
        "--today", type=Path, help="default: the released weights, or the built-in model"
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument(
        "--config", type=Path, default=CONFIGS / "by_place.toml", help="what the candidate saw"
    )
    parser.add_argument("--renders", type=Path, help="rendered sets; drawn there if missing")
    parser.add_argument("--at-most", type=int, default=0, help="pictures of a set; 0: all")
    parser.add_argument("--worst", type=int, default=2, help="pictures of a set on the sheet")
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    if options.today is None:
        options.today = find_model(None) if options.candidate.suffix == ".onnx" else WEIGHTS
    for file in (options.candidate, options.today):
        if not file.is_file():
            parser.error(f"no such file: {file}")
    torch.set_num_threads(1)  # for single pictures two gain little, and wait for each other
    began = time.monotonic()
    report = judge(options)
    write_result(options.out / "candidate.json", report)
    for goal in report["goals"]:
        bound = f"<= {goal['at_most']}" if "at_most" in goal else f">= {goal['at_least']}"
        word = "reached" if goal["reached"] else "not reached"
        print(f"{goal['goal']}: {goal['value']} ({bound}: {word})")
    print(f"{options.out / 'candidate.json'}, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
