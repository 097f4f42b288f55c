"""Are normalisation and direction of a foreign ONNX file found, and never wrongly?

Three trained networks (TCMonoDepth-small; METER nyu and kitti, with and without preprocessing
inside) and twenty variants of them: graphs that take pixels in another normalisation, and whose
depth is turned round. Networks that see nothing (random weights, a ramp, the picture's brightness)
have to be asked for. Every file is tried with the frames that come with depthrt alone, with frames
of the kind that it was trained for, and with frames of another kind.

    DEPTHRT_DATA=data PYTHONPATH=tests python -m experiments.foreign_onnx.probing
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from depthrt.spec import InputSpec
from depthrt_benchmarks.common.environment import write_result
from depthrt_export.proof.witness import Reading, pick
from depthrt_export.sources.onnx_file.forms import find_form, input_size
from depthrt_export.sources.onnx_file.reading import open_file, read_model
from depthrt_export.sources.onnx_file.reference import fed
from experiments.foreign_onnx.probing_cases import Case, blind, trained

RESULT = Path("benchmarks/results/probing.json")

FRAMES = {
    "tcmonodepth": {"own": "images", "other": "images_driving"},
    "meter-nyu": {"own": "stereo/middlebury/*left*", "other": "rgbd/replica_office0/rgb"},
    "meter-kitti": {"own": "images_driving", "other": "rgbd/tum_fr1_rpy/rgb"},
    "blind": {},
}
"""Frames by network: of the kind that it was trained for; of another kind, or of one place."""


def data_folder() -> Path:
    """Where the data is: ``DEPTHRT_DATA``, or beside the repository."""
    return Path(os.environ.get("DEPTHRT_DATA") or "../shared/data")


def tried(case: Case, path: Path, frames: Path | None) -> dict[str, Any]:
    """What probing makes of a file, of which nothing is said."""
    file = open_file(path, read_model(path))
    size = input_size(file, None)
    finding = pick(
        fed(file, find_form(file, size, "")),
        InputSpec(*size),
        None if frames is None else str(frames),
    )
    best = finding.best
    group = {Reading(name, best.direction) for name in (best.normalisation, *finding.same)}
    verdict = "asked"
    if finding.picked:
        verdict = "right" if case.truth in group else "wrong"
    return {"verdict": verdict, **asdict(finding)}


def rows(cases: list[Case], work: Path, data: Path, kinds: list[str]) -> Iterator[dict[str, Any]]:
    """Every case with every kind of frames."""
    for kind in kinds:
        for case in cases:
            folder = FRAMES[case.family].get(kind)
            if folder is None and kind != "shipped":
                continue
            truth = None if case.truth is None else asdict(case.truth)
            row = {"case": case.name, "family": case.family, "frames_of": kind, "truth": truth}
            row |= tried(case, case.write(work), None if folder is None else data / folder)
            print(line(row), file=sys.stderr, flush=True)  # noqa: T201
            yield row


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    best = f"{row['best']['normalisation']}, {row['best']['direction']}"
    return (
        f"{row['case']:44s} {row['frames_of']:8s} {row['verdict']:6s} {best:36s} "
        f"{row['agreement']:.2f} [{row['seen']:.2f}] {row['difference']:.3f} [{row['low']:.3f}] "
        f"{row['frames']} frames {row['seconds']} s"
    )


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of verdicts by kind of frames, trained networks and blind ones apart."""
    counts: dict[str, dict[str, int]] = {}
    for row in found:
        group = f"{'blind' if row['family'] == 'blind' else 'trained'}, {row['frames_of']}"
        counts.setdefault(group, {"right": 0, "asked": 0, "wrong": 0})[row["verdict"]] += 1
    seconds = sorted(row["seconds"] for row in found)
    return {"counts": counts, "median_s": seconds[len(seconds) // 2], "longest_s": seconds[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    parser.add_argument("--kinds", nargs="+", default=["shipped", "own", "other"])
    arguments = parser.parse_args()
    data, found = data_folder(), []
    cases = [case for case in (*trained(data), *blind()) if arguments.only in case.name]
    with tempfile.TemporaryDirectory() as work:
        for row in rows(cases, Path(work), data, arguments.kinds):
            found.append(row)
            write_result(arguments.output, {**summary(found), "rows": found})
    print(summary(found))  # noqa: T201


if __name__ == "__main__":
    main()
