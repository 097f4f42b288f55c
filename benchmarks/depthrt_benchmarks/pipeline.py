"""How close does `depthrt run` come to what the machine can do?

In one run, interleaved round by round and reported as medians:

- ``bare``: the onnxruntime session alone on a prepared frame, with its own default options;
- ``end_to_end``: file to H.264 file through the whole pipeline;
- ``ceiling``: cores / summed CPU seconds of the stages, each measured alone.

    python -m depthrt_benchmarks.pipeline -o benchmarks/results/pipeline.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime as ort

from depthrt import DepthModel, Result, Selection, open_source, prepare
from depthrt.models import DEMO_CLIP
from depthrt.running import Job, execute
from depthrt.session import usable_cores
from depthrt.sinks import open_sink
from depthrt_benchmarks.environment import write_result

SIZES = {"720p": (720, 1280), "1080p": (1080, 1920)}
_CACHED_FRAMES = 48
_REPEATS = 4


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


def stages_ms(clip: Path, model: DepthModel, folder: Path, frames: int) -> dict[str, float]:
    """CPU milliseconds a frame of each stage alone."""
    selection = Selection(max_frames=frames)
    cached = list(open_source(clip, Selection(max_frames=_CACHED_FRAMES)).frames())
    pixels = [prepare(frame.image, model.spec.input) for frame in cached]
    depths = [model.depth(model.infer(p[None])[0], (1, 1)) for p in pixels]
    results = [
        Result(f, model.depth(d.values, f.image.shape[:2]), (0.0, float(d.values.max())), False)
        for f, d in zip(cached, depths, strict=True)
    ]

    def decode() -> int:
        return sum(1 for _ in open_source(clip, selection).frames())

    def prepare_all() -> int:
        return sum(prepare(f.image, model.spec.input).ndim // 3 for f in cached * _REPEATS)

    def infer() -> int:
        step = model.batch
        groups = [np.stack(pixels[i : i + step]) for i in range(0, len(pixels), step)]
        return sum(len(model.infer(group)) for group in groups * _REPEATS)

    def write() -> int:
        target = folder / "alone.mp4"
        info = open_source(clip, selection).info
        sink = open_sink(target, info, model.spec, "depth", "inferno")
        for result in results * _REPEATS:  # opening and closing the encoder must not weigh
            sink.write(result)
        sink.close(complete=True)
        return len(results) * _REPEATS

    stages = {"decode": decode, "prepare": prepare_all, "infer": infer, "write": write}
    return {name: _cpu_ms(work) for name, work in stages.items()}


def _cpu_ms(work: Callable[[], int]) -> float:
    start = time.process_time()
    frames = work()
    return 1e3 * (time.process_time() - start) / frames


def measure(
    clip: Path, model: DepthModel, rounds: int, frames: int, threads: int | None
) -> dict[str, Any]:
    """One clip, all three figures in turn, ``rounds`` times."""
    rows = []
    first = next(iter(open_source(clip).frames()))
    pixels = prepare(first.image, model.spec.input)[None]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(rounds):
            bare = bare_rate(model.path, pixels, frames)
            job = Job(
                str(clip),
                folder / "out.mp4",
                str(model.path),
                provider="cpu",
                threads=threads,
                batch=model.batch,
                overwrite=True,
            )
            start = time.process_time()
            summary = execute(job)
            spent_ms = 1e3 * (time.process_time() - start) / summary.frames
            stages = stages_ms(clip, model, folder, frames)
            ceiling = 1e3 * usable_cores() / sum(stages.values())
            rows.append(
                {
                    "bare_fps": bare,
                    "end_to_end_fps": summary.rate_fps,
                    "ceiling_fps": ceiling,
                    "end_to_end_over_bare": summary.rate_fps / bare,
                    "end_to_end_over_ceiling": summary.rate_fps / ceiling,
                    "cpu_ms_a_frame": spent_ms,
                    **{f"alone_{stage}_cpu_ms": ms for stage, ms in stages.items()},
                }
            )
    return {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]}


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", help="a depthrt model (default: the built-in one)")
    parser.add_argument("--clip", type=Path, default=DEMO_CLIP, help="enlarged to both sizes")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--threads", type=int, help="of the network (default: every core)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    model = DepthModel.load(options.model, provider="cpu", threads=options.threads)
    model.warm_up()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            clip = make_clip(Path(folder) / f"{name}.mp4", size, options.frames, options.clip)
            figures[name] = measure(clip, model, options.rounds, options.frames, options.threads)
            print(name, figures[name])  # noqa: T201
    if options.output:
        content = {
            "benchmark": "pipeline",
            "model": {"name": model.spec.name, "sha256": model.sha256()},
            "provider": model.provider,
            "clip": options.clip.name,
            "frames": options.frames,
            "rounds": options.rounds,
            "threads": options.threads or usable_cores(),
            "batch": model.batch,
            "medians": figures,
        }
        write_result(options.output, content)


if __name__ == "__main__":
    main()
