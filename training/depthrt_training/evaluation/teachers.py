"""AbsRel and delta1 of each teacher, and of the label that `by_place.py` makes of them.

    python -m depthrt_training.evaluation.teachers --data DATA --label-weights WEIGHTS --place room
        --set replica_office0 --set slambook_icl_livingroom --at-most 21 --out FILE.json

By the protocol of `evaluate.py`. A teacher is measured fairly only on sets that it was not trained
on.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from depthrt_benchmarks.common.environment import write_result
from depthrt_training.data.label_cache import ByteImage, FloatMap
from depthrt_training.data.provenance import hash_of_file
from depthrt_training.evaluation.evaluate import PROTOCOL, evaluate_set
from depthrt_training.teachers.by_place import PLACES, PlaceTeachers
from depthrt_training.teachers.earlier_weights import EarlierWeights
from depthrt_training.teachers.meter import KITTI, NYU, Meter
from depthrt_training.teachers.tcmonodepth import Teacher


def teachers_of(
    data: Path, weights: Path, place: str
) -> dict[str, Callable[[ByteImage], FloatMap]]:
    """A labeller for each teacher, means over flips and sizes, and `label`, that of the place."""
    mixed = PlaceTeachers(data, weights)

    def label(rgb: ByteImage) -> FloatMap:
        return mixed.label(rgb, place).target

    return {
        "earlier weights": EarlierWeights(weights).label,
        "tcmonodepth-small": Teacher(data).label,
        "meter nyu": Meter(data, NYU).label,
        "meter kitti": Meter(data, KITTI).label,
        "label": label,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument("--label-weights", type=Path, required=True)
    parser.add_argument("--place", choices=PLACES, required=True, help="what all the sets show")
    parser.add_argument("--set", action="append", required=True, help="a folder in DATA/rgbd")
    parser.add_argument(
        "--at-most", type=int, default=100, help="pictures of a set, evenly spread; default 100"
    )
    parser.add_argument("--out", type=Path, required=True, help="the JSON")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    data = Path(options.data)
    report: dict[str, Any] = {
        "protocol": f"{PROTOCOL}; but teachers are means over flips and sizes",
        "place": options.place,
        "label_weights_sha256": hash_of_file(options.label_weights),
    }
    teachers = teachers_of(data, options.label_weights, options.place)
    for name in options.set:
        folder = data / "rgbd" / name
        pictures = sorted((folder / "rgb").glob("*.jpg"))
        pictures = pictures[:: math.ceil(len(pictures) / options.at_most)]
        evaluate = partial(evaluate_set, folder, only=pictures)
        found = {teacher: evaluate(predict=label) for teacher, label in teachers.items()}
        report[name] = {
            teacher: {key: figures[key] for key in ("abs_rel", "delta1", "images")}
            for teacher, figures in found.items()
        }
        print(name, {teacher: figures["abs_rel"] for teacher, figures in found.items()}, flush=True)
        write_result(options.out, report)


if __name__ == "__main__":
    main()
