"""How close does `depthrt run` come to what the machine can do?

In one run, interleaved round by round and reported as medians:

- ``bare``: the onnxruntime session alone on a prepared frame, with its own default options;
- ``end_to_end``: file to H.264 file through the whole pipeline;
- ``ceiling``: cores / summed CPU seconds of the stages, each measured alone on the same frames;
- ``busy_ceiling``: the same while every other core runs the network: cores that share caches and
  memory take more CPU time for the same work, whoever schedules it;
- ``separate``: the same work by as many one-thread programs as there are cores, which share
  nothing (:mod:`experiments.pipeline.one_thread_processes`): stages that take turns on a core
  find each other's data in its caches, which no stage measured alone does;
- ``unwritten``: the pipeline without encoding, against its own ceilings.

    python -m experiments.pipeline.ceiling -o benchmarks/results/pipeline.json
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime as ort

from depthrt import DepthModel, Result, Selection, Stats, open_source, prepare, stream
from depthrt.jobs.process_priority import prefer_throughput
from depthrt.jobs.run import Job, execute
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.pipeline.batch import StreamPostprocessor
from depthrt.sinks.open import open_sink
from depthrt.system.cpu_cores import usable_cores
from depthrt.temporal.keyframes import Estimate
from depthrt_benchmarks.common.environment import write_result
from experiments.pipeline.one_thread_processes import separate_rate

SIZES = {"720p": (720, 1280), "1080p": (1080, 1920), "2160p": (2160, 3840)}
_CACHED_FRAMES = 48
_REPEATS = 4
_NEIGHBOUR = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
pixels = numpy.zeros([int(d) for d in sys.argv[2:]], numpy.uint8)
session.run(None, {"image": pixels})
print("running", flush=True)
while True:
    session.run(None, {"image": pixels})
"""


def make_clip(path: Path, size: tuple[int, int], frames: int, source: Path = DEMO_CLIP) -> Path:
    """The source clip, repeated and enlarged to height x width, as H.264."""
    height, width = size
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", 25, {"preset": "veryfast", "crf": "23"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for index, frame in enumerate(islice(_endless(source), frames)):
            enlarged = frame.reformat(width, height, "yuv420p", interpolation="LANCZOS")
            enlarged.pts, enlarged.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(enlarged))
        output.mux(stream.encode(None))
    return path


def _endless(source: Path) -> Iterator[av.VideoFrame]:
    while True:
        with av.open(str(source)) as container:
            yield from container.decode(video=0)


def bare_rate(path: Path, pixels: np.ndarray[Any, Any], frames: int) -> float:
    """Frames per second of the session alone, as onnxruntime makes it by default."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for _ in range(5):
        session.run(None, {"image": pixels})
    start = time.perf_counter()
    for _ in range(frames):
        session.run(None, {"image": pixels})
    return frames / (time.perf_counter() - start)


@contextmanager
def busy_cores(path: Path, shape: Sequence[int]) -> Iterator[None]:
    """Meanwhile every core but one runs the network, in a process of its own."""
    command = [sys.executable, "-c", _NEIGHBOUR, str(path), *map(str, shape)]
    neighbours = [
        subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(usable_cores() - 1)
    ]
    try:
        for neighbour in neighbours:
            if neighbour.stdout is None or not neighbour.stdout.readline():
                raise RuntimeError(f"the network does not run beside the benchmark: {path}")
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.communicate()


def stages_ms(clip: Path, model: DepthModel, folder: Path, frames: int) -> dict[str, float]:
    """CPU milliseconds a frame of each stage alone, on the very frames of the run."""
    return {name: cpu for name, (cpu, _) in stage_times_ms(clip, model, folder, frames).items()}


def stage_times_ms(
    clip: Path, model: DepthModel, folder: Path, frames: int
) -> dict[str, tuple[float, float]]:
    """Milliseconds a frame of each stage alone: of all cores, and by the clock."""
    selection = Selection(max_frames=frames)
    cached = list(open_source(clip, Selection(max_frames=_CACHED_FRAMES)).frames())
    pixels = [prepare(f.pixels, model.spec.input) for f in open_source(clip, selection).frames()]
    # One picture stands for all, or 4K would not fit in memory: the depth view does not show it.
    still = [replace(f, pixels=cached[0].pixels) for f in open_source(clip, selection).frames()]
    estimates = [Estimate(m, inferred=True) for p in pixels for m in model.predict(p[None])]
    # As `depthrt run` does for a video to look at.
    postprocessor = StreamPostprocessor(Stats(), stabilise=True)
    results: list[Result] = []

    def decode() -> int:
        return sum(1 for _ in open_source(clip, selection).frames())

    def prepare_all() -> int:
        return sum(prepare(f.pixels, model.spec.input).ndim // 3 for f in cached * _REPEATS)

    def infer() -> int:
        return sum(len(model.infer(p[None])) for p in pixels)

    def finish() -> int:
        for frame, p, found in zip(still, pixels, estimates, strict=True):
            results.append(postprocessor.result(frame, p, found, model))
        return len(results)

    def write() -> int:
        target = folder / "alone.mp4"
        info = open_source(clip, selection).info
        sink = open_sink(target, info, model.spec, "depth", "inferno")
        for result in results:
            sink.write(result)
        sink.close(complete=True)
        return len(results)

    stages = {
        "decode": decode,
        "prepare": prepare_all,
        "infer": infer,
        "finish": finish,
        "write": write,
    }
    return {name: _times_ms(work) for name, work in stages.items()}


def _times_ms(work: Callable[[], int]) -> tuple[float, float]:
    start, start_s = time.process_time(), time.perf_counter()
    frames = work()
    taken, taken_s = time.process_time() - start, time.perf_counter() - start_s
    return 1e3 * taken / frames, 1e3 * taken_s / frames


def unwritten_rate(clip: Path, model: DepthModel, batch: int = 1) -> float:
    """Frames per second of the pipeline without an output."""
    start = time.perf_counter()
    frames = sum(1 for _ in stream(clip, model, batch=batch, stabilise=True))
    return frames / (time.perf_counter() - start)


def measure_round(clip: Path, model: DepthModel, folder: Path, frames: int) -> dict[str, float]:
    """One clip, every figure once."""
    first = next(iter(open_source(clip).frames()))
    pixels = prepare(first.pixels, model.spec.input)[None]
    bare = bare_rate(model.path, pixels, frames)
    job = Job(
        str(clip),
        folder / "out.mp4",
        str(model.path),
        provider="cpu",
        overwrite=True,
    )
    start = time.process_time()
    summary = execute(job)
    spent_ms = 1e3 * (time.process_time() - start) / summary.frames
    stages = stages_ms(clip, model, folder, frames)
    with busy_cores(model.path, pixels.shape):
        busy = stages_ms(clip, model, folder, frames)
    unwritten = unwritten_rate(clip, model)
    separate = separate_rate(clip, model.path, written=True)
    unwritten_separate = separate_rate(clip, model.path, written=False)
    ceiling, unwritten_ceiling = _ceilings(stages)
    busy_ceiling, unwritten_busy_ceiling = _ceilings(busy)
    return {
        "bare_fps": bare,
        "end_to_end_fps": summary.rate_fps,
        "ceiling_fps": ceiling,
        "end_to_end_over_bare": summary.rate_fps / bare,
        "end_to_end_over_ceiling": summary.rate_fps / ceiling,
        "end_to_end_over_busy_ceiling": summary.rate_fps / busy_ceiling,
        "end_to_end_over_separate": summary.rate_fps / separate,
        "unwritten_over_bare": unwritten / bare,
        "unwritten_over_ceiling": unwritten / unwritten_ceiling,
        "unwritten_over_busy_ceiling": unwritten / unwritten_busy_ceiling,
        "unwritten_over_separate": unwritten / unwritten_separate,
        "cpu_ms_a_frame": spent_ms,
        **{f"alone_{stage}_cpu_ms": ms for stage, ms in stages.items()},
        **{f"busy_{stage}_cpu_ms": ms for stage, ms in busy.items()},
    }


def _ceilings(stages: dict[str, float]) -> tuple[float, float]:
    """Frames per second by CPU time alone: with and without writing."""
    total_ms = sum(stages.values())
    return 1e3 * usable_cores() / total_ms, 1e3 * usable_cores() / (total_ms - stages["write"])


def medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of every column."""
    return {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]}


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "-m", "--model", action="append", help="a depthrt model (default: the built-in one)"
    )
    parser.add_argument("--clip", type=Path, default=DEMO_CLIP, help="enlarged to every size")
    parser.add_argument("--size", action="append", choices=SIZES, help="default: 720p and 1080p")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    prefer_throughput()
    models = [
        DepthModel.load(path, provider="cpu", objective="throughput")
        for path in options.model or [None]
    ]
    cells = [(model, size) for model in models for size in options.size or ("720p", "1080p")]
    rows: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = {
            size: make_clip(folder / f"{size}.mp4", SIZES[size], options.frames, options.clip)
            for size in dict.fromkeys(size for _, size in cells)
        }
        for _ in range(options.rounds):
            for model, size in cells:
                row = measure_round(clips[size], model, folder, options.frames)
                rows.setdefault((model.spec.name, size), []).append(row)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for (model_name, size), found in rows.items():
        figures.setdefault(model_name, {})[size] = medians(found)
        print(model_name, size, figures[model_name][size])  # noqa: T201
    if options.output:
        content = {
            "benchmark": "pipeline",
            "models": {m.spec.name: {"sha256": m.sha256(), "parallel": m.parallel} for m in models},
            "provider": "cpu",
            "clip": options.clip.name,
            "frames": options.frames,
            "rounds": options.rounds,
            "medians": figures,
        }
        write_result(options.output, content)


if __name__ == "__main__":
    main()
