"""What keyframes gain: file to file at 720p, with and without, beside the bare network.

Each round runs all three in turn; figures are medians of the ratios of a round. A file is given as
``NAME=MODEL.onnx``, or ``NAME=MODEL.onnx+COST.onnx`` for the depth of one and the cost of both
(:mod:`experiments.temporal.keyframes.costly`).

    python -m experiments.temporal.keyframes.speed --clip A.mp4 --clip B.mp4 -m depthrt-s \\
        -m midas=float32.onnx+midas.onnx -o benchmarks/results/keyframes_speed.json
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2

from depthrt import DepthModel, Keyframes, Stats, open_source, prepare, stream
from depthrt.files.json_file import parse_json
from depthrt.model.catalogue.registry import DEMO_CLIP, find_model
from depthrt_benchmarks.common.environment import write_result
from experiments.pipeline.ceiling import SIZES, bare_rate, make_clip
from experiments.temporal.keyframes.costly import costly

_RUN = """
import atexit, sys
from depthrt.cli import main

def peak_kb():  # not ru_maxrss, which a program takes over from the one that started it
    lines = open("/proc/self/status").read().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("VmHWM"))

atexit.register(lambda: print(peak_kb(), file=sys.stderr))
sys.argv[0] = "depthrt"
main()
"""


def run(clip: Path, model: Path, target: Path, *extra: str) -> tuple[dict[str, Any], float]:
    """The summary of `depthrt run`, and the most memory that it took in MB."""
    command = [sys.executable, "-c", _RUN, "run", str(clip), "-m", str(model), "-o", str(target)]
    done = subprocess.run(
        [*command, "--json", "--overwrite", *extra], capture_output=True, text=True, check=True
    )
    summary = parse_json(done.stdout)
    assert isinstance(summary, dict)
    return summary, int(done.stderr.split()[-1]) / 1024


def carry_ms(clip: Path, budget: float) -> dict[str, float]:
    """Milliseconds a frame of flow and warp on one core, over all frames of a clip."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        model = DepthModel.load(provider="cpu", threads=1, parallel=1)
        stats = Stats()
        for _ in stream(clip, model, keyframes=Keyframes(budget), stats=stats):
            pass
    finally:
        cv2.setNumThreads(threads)
    return {
        "carry_ms_a_frame": round(1e3 * stats.busy_s["carry"] / stats.frames, 3),
        "interpolated_share": round(stats.interpolated / stats.frames, 3),
    }


def measure_round(clip: Path, model: Path, folder: Path, frames: int, budget: str) -> Any:
    """All three once."""
    loaded = DepthModel.load(model, provider="cpu")
    first = next(iter(open_source(clip).frames()))
    bare = bare_rate(model, prepare(first.pixels, loaded.spec.input)[None], frames)
    plain, _ = run(clip, model, folder / "plain.mp4")
    given, _ = run(clip, model, folder / "given.mp4", "--keyframes", budget)
    return {
        "over_plain": given["rate_fps"] / plain["rate_fps"],
        "over_bare": given["rate_fps"] / bare,
        "plain_over_bare": plain["rate_fps"] / bare,
        "inferred_share": given["keyframes"]["inferred_share"],
        "mean_error": given["keyframes"]["mean_error"] or 0.0,
    }


def of_clip(
    clip: Path, models: dict[str, Path], folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Medians of the rounds for every model, and what flow and warp cost."""
    large = make_clip(folder / f"{clip.stem}_720p.mp4", SIZES["720p"], options.frames, clip)
    rows: dict[str, list[Any]] = {label: [] for label in models}
    for _ in range(options.rounds):
        for label, model in models.items():
            rows[label].append(measure_round(large, model, folder, options.frames, options.budget))
    figures: dict[str, Any] = {}
    for label, row in rows.items():
        figures[label] = {k: round(statistics.median(r[k] for r in row), 4) for k in row[0]}
    return figures | {"flow_and_warp": carry_ms(large, 0.02)}


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over the clips; of ratios, the geometric ones."""
    found = {}
    for key in rows[0]:
        values = [row[key] for row in rows]
        mean = statistics.geometric_mean if "over" in key else statistics.fmean
        found[key] = round(mean(values), 4)
    return found


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", action="append", default=[], help="NAME=FILE[+COST]")
    parser.add_argument(
        "--clip", type=Path, action="append", default=[], help="scaled to 720p; several"
    )
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", default="2%")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    clips = options.clip or [DEMO_CLIP]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {}
        for said in options.model or ["depthrt-s"]:
            label, _, files = said.partition("=")
            depth, _, cost = (files or label).partition("+")
            path = find_model(depth)
            models[label] = costly(path, Path(cost), folder / f"{label}.onnx") if cost else path
        for clip in clips:
            found[clip.stem] = of_clip(clip, models, folder, options)
            print(clip.stem, found[clip.stem], flush=True)  # noqa: T201
        large = make_clip(folder / "1080p.mp4", SIZES["1080p"], 160, clips[0])
        memory = {
            kind: run(large, find_model(None), folder / "memory.mp4", *extra)[1]
            for kind, extra in (("plain", ()), ("keyframes", ("--keyframes", options.budget)))
        }
    print(memory)  # noqa: T201
    if options.output:
        content = {
            "benchmark": "keyframes, file to file",
            "frames": options.frames,
            "rounds": options.rounds,
            "budget": options.budget,
            "clips": found,
            "mean_of_clips": {label: means([c[label] for c in found.values()]) for label in models},
            "most_memory_mb_1080p": {k: round(v) for k, v in memory.items()},
        }
        write_result(options.output, content)


if __name__ == "__main__":
    main()
