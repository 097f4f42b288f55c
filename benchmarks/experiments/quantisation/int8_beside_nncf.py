"""AbsRel of int8 by depthrt and by NNCF, of the trained networks; and their time where asked for.

    python -m experiments.quantisation.int8_beside_nncf --data DATA --work WORK \\
        --openvino-python OV/bin/python [--time] [--network meter-nyu]

Both collect ranges on the same frames; AbsRel is of sets that no range was collected on and the
network was not trained on (METER kitti may have seen the streets of KITTI). depthrt's file is what
`depthrt export --precision int8` gives here, without a search; of depthrt-s it is the built-in one.
``--openvino-python`` names the Python of an environment with openvino, nncf and onnxruntime.
``--time``, on a machine with nothing else to do, adds one thread's time over float32's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import DepthrtError
from depthrt.model.catalogue.registry import find_model
from depthrt.model.depth_model import DepthModel
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt_benchmarks.common.environment import write_result
from depthrt_calibration.frames import sample_frames, split
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.labelled_frames import (
    Labelled,
    absolute_relative_error,
    labelled_frames,
    open_labelled,
)
from experiments.quantisation.hybrid import nncf, one_thread
from experiments.quantisation.search import Case, cases

RESULT = Path("benchmarks/results/quantisation_nncf.json")
PLACES = ("box_on_floor", "phone_lidar_desk", "realsense_desk")
SETS = {
    "depthrt-s": PLACES,
    "tcmonodepth-small": PLACES,
    "meter-nyu": ("replica_office0", "slambook_icl_livingroom"),
    "meter-kitti": ("kitti_lidar_jam",),
}
FRAMES = {
    "depthrt-s": "images",
    "tcmonodepth-small": "images",
    "meter-nyu": "rgbd/tum_fr1_rpy/rgb",
    "meter-kitti": "images_driving",
}
"""Folders of the data folder that ranges are collected on."""
_FRAMES = 80
_ONE = SessionOptions("cpu", threads=1)

Maps = NDArray[np.float32]


def files(name: str, case: Case, data: Path, work: Path) -> dict[str, Path]:
    """float32 without rewrites, and int8; exported if they are not there yet.

    Raises:
        DepthrtError: an export failed.
    """
    work.mkdir(parents=True, exist_ok=True)
    made = {"float32": work / "float32.onnx", "depthrt int8": work / "int8.onnx"}
    if name == "depthrt-s":
        made["depthrt int8"] = find_model(None)
    said, frames = SourceOptions(**case.said), str(data / FRAMES[name])
    source = case.source(work)
    for kind, place in made.items():
        if not place.is_file():
            options = ExportOptions(
                overwrite=True,
                max_error=0.5,
                frames=frames,
                precision="int8" if kind == "depthrt int8" else "float32",
                rewrite=kind != "float32",
            )
            build(source, place, said, options, Phases(quiet=True))
    return made


def row(name: str, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """One network: every way's AbsRel, the mean over its sets, and over float32's."""
    work: Path = options.work / name
    made = files(name, case, options.data, work)
    spec = DepthModel.load(made["float32"], provider="cpu", threads=1).spec
    sets = {
        each: labelled_frames(
            open_labelled(options.data / "rgbd" / each), options.images, spec.input
        )
        for each in SETS[name]
    }
    frames = [frame for found in sets.values() for frame in found]
    pixels = np.stack([frame.sample.pixels for frame in frames])

    def abs_rel(maps: Callable[[int], Maps]) -> dict[str, float]:
        """By set; maps: the depth of the n-th of all frames."""
        numbers = iter(range(len(frames)))

        def error(frame: Labelled) -> float:
            return absolute_relative_error(maps(next(numbers)), frame, spec.kind, spec.unit)

        return {each: round(fmean(map(error, found)), 5) for each, found in sets.items()}

    ways: dict[str, dict[str, Any]] = {}
    for way, path in made.items():
        session = open_session(path, _ONE)
        ways[way] = {
            "by_set": abs_rel(
                lambda i, s=session: s.run(["depth"], {"image": pixels[i][None]})[0][0]  # type: ignore[misc]
            )
        }
        if options.time:
            ways[way]["one_thread"] = one_thread(path, made["float32"], pixels[0])
    taken = sample_frames(str(options.data / FRAMES[name]), _FRAMES, spec.input)
    calibration, _ = split(taken)  # those that the exporter takes
    arrays, depth = work / "frames.npz", work / "depth.npz"
    np.savez(arrays, calibration=np.stack([s.pixels for s in calibration]), validation=pixels)
    times = nncf(options.openvino_python, made["float32"], arrays, depth)
    for way, maps in np.load(depth).items():
        ways[way] = {"by_set": abs_rel(maps.__getitem__)}
        if options.time:
            ways[way]["one_thread"] = times[way]
    for figures in ways.values():
        figures["abs_rel"] = round(fmean(figures["by_set"].values()), 5)
    for figures in ways.values():
        figures["over_float32"] = round(figures["abs_rel"] / ways["float32"]["abs_rel"], 4)
    return {
        "size": [spec.input.height, spec.input.width],
        "images": {each: len(found) for each, found in sets.items()},
        "ranges_from": FRAMES[name],
        "ways": ways,
    }


def main() -> None:
    """Measure; networks that are not asked for stay as they are in the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("build/int8_beside_nncf"))
    parser.add_argument("--openvino-python", required=True)
    parser.add_argument("--network", choices=SETS, action="append")
    parser.add_argument("--images", type=int, default=40, help="of each set, evenly spread")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    if options.output.is_file():
        rows = json.loads(options.output.read_text(encoding="utf-8"))["networks"]
    known = cases(options.data)
    for name in options.network or SETS:
        if name not in known:
            print(f"{name}: its weights are not here")  # noqa: T201
            continue
        try:
            rows[name] = row(name, known[name], options)
        except DepthrtError as error:
            print(f"{name}: {error}")  # noqa: T201
            continue
        shown = {way: figures["abs_rel"] for way, figures in rows[name]["ways"].items()}
        print(name, shown, flush=True)  # noqa: T201
        write_result(options.output, {"networks": {n: rows[n] for n in SETS if n in rows}})


if __name__ == "__main__":
    main()
