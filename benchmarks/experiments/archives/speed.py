"""Rates of a batch beside those of `depthrt run`, each pair in turn.

- one worker of one core over a plain run kept to one core, of one video in two segments;
- two workers of one core over one, of four videos, and of one long one.

Time counts from the first worker that is ready: a plain run's summary has no start of the process
and the model in it either.

    python -m experiments.archives.speed --engine ray
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from depthrt_benchmarks.common.environment import write_result
from experiments.archives.clips import encode

RESULT = Path("benchmarks/results")
_ONE_CORE = ("taskset", "-c", "0")


def plain_fps(sources: list[Path], folder: Path) -> float:
    """Frames a second of plain runs, one after the other, on one core."""
    frames, seconds = 0, 0.0
    for source in sources:
        command = [
            *_ONE_CORE, sys.executable, "-m", "depthrt", "run", str(source), "--threads", "1",
            "-o", str(folder / f"plain-{source.stem}.mp4"), "--overwrite", "--json",
        ]  # fmt: skip
        made = subprocess.run(command, check=True, capture_output=True, text=True)
        summary = json.loads(made.stdout)
        frames, seconds = frames + summary["frames"], seconds + summary["seconds"]
    return float(frames / seconds)


def batch_fps(
    sources: list[Path], folder: Path, engine: str, workers: int, segment_s: float
) -> float:
    """Frames a second of a batch, from the first worker that is ready to the last output."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable, "-m", "depthrt", "batch", *map(str, sources), "-o", str(out), "--engine",
        engine, "--workers", str(workers), "--segment", str(segment_s), "--json",
    ]  # fmt: skip
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    begin_s = end_s = 0.0
    frames = 0
    for line in driver.stdout:
        event = json.loads(line)
        if event["event"] == "ready" and not begin_s:
            begin_s = time.perf_counter()
        elif event["event"] == "done":
            end_s = time.perf_counter()
        elif event["event"] == "summary":
            frames = event["frames"]
    if driver.wait():
        raise SystemExit("the batch failed")
    return frames / (end_s - begin_s)


def main() -> None:
    """Measure and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("local", "ray"), default="ray")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--frames", type=int, default=720)
    parser.add_argument("--result", type=Path)
    options = parser.parse_args()
    segment_s = options.frames / 24 / 2
    ratios: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = [encode(folder / "one.mp4", options.frames, gop=48)]
        four = [encode(folder / f"four{n}.mp4", options.frames // 4, gop=48) for n in range(4)]
        for _ in range(options.pairs):
            plain = plain_fps(one, folder)
            worker = batch_fps(one, folder, options.engine, 1, segment_s)
            two = batch_fps(one, folder, options.engine, 2, segment_s / 4)
            plain_four = plain_fps(four, folder)
            two_of_four = batch_fps(four, folder, options.engine, 2, segment_s)
            for key, ratio in (
                ("one_worker_over_plain", worker / plain),
                ("two_workers_one_video_over_plain", two / plain),
                ("two_workers_four_videos_over_plain", two_of_four / plain_four),
            ):
                ratios.setdefault(key, []).append(round(ratio, 3))
            sys.stderr.write(f"{plain:.1f}/s plain; {ratios}\n")
    medians = {key: statistics.median(each) for key, each in ratios.items()}
    result = options.result or RESULT / f"archives_speed_{options.engine}.json"
    write_result(result, {"engine": options.engine, "medians": medians, "pairs": ratios})


if __name__ == "__main__":
    main()
