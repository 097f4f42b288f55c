"""The way of a frame in one thread, by as many programs as there are cores, which share nothing.

No queue, no lock and no interpreter stands between them: the sum of their rates is what these cores
can do with this work, caches and memory included. Threads of one program that hand frames to
each other can hardly do better, and should not do worse.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from depthrt import DepthModel, Stats, open_source, prepare
from depthrt.jobs.process_priority import prefer_throughput
from depthrt.pipeline.batch import StreamPostprocessor
from depthrt.sinks.open import open_sink
from depthrt.system.cpu_cores import usable_cores
from depthrt.temporal.keyframes import Estimate


def separate_rate(clip: Path, model: Path, *, written: bool) -> float:
    """Frames per second of all programs together, each with the whole clip.

    written: as H.264, too.

    Raises:
        RuntimeError: one of them failed.
    """
    command = [sys.executable, "-m", __spec__.name, str(clip), str(model)]
    command += ["--written"] if written else []
    programs = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(usable_cores())
    ]
    try:
        for program in programs:
            _line(program)  # it is ready
        for program in programs:
            if program.stdin is not None:
                program.stdin.write("go\n")
                program.stdin.flush()
        return sum(float(_line(program)) for program in programs)
    finally:
        for program in programs:
            program.kill()
            program.communicate()


def _line(program: subprocess.Popen[str]) -> str:
    line = program.stdout.readline() if program.stdout is not None else ""
    if not line:
        raise RuntimeError("a program beside the benchmark failed")
    return line


def one_thread_rate(clip: Path, model: DepthModel, target: Path | None) -> float:
    """Frames per second of one thread, which takes each frame to its end before the next."""
    source = open_source(clip)
    # As `depthrt run` does for a video to look at.
    postprocessor = StreamPostprocessor(Stats(), stabilise=True)
    sink = open_sink(target, source.info, model.spec, "depth", "inferno") if target else None
    frames, start_s = 0, time.perf_counter()
    for frame in source.frames():
        pixels = prepare(frame.pixels, model.spec.input)
        (made,) = model.predict(pixels[None])
        result = postprocessor.result(frame, pixels, Estimate(made, inferred=True), model)
        if sink is not None:
            sink.write(result)
        frames += 1
    if sink is not None:
        sink.close(complete=True)
    return frames / (time.perf_counter() - start_s)


def main() -> None:
    """Say that all is loaded, wait for a line, do the work and print its rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("model")
    parser.add_argument("--written", action="store_true")
    options = parser.parse_args()
    prefer_throughput()
    model = DepthModel.load(options.model, provider="cpu", threads=1)
    model.warm_up()
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "depth.mp4" if options.written else None
        print(one_thread_rate(options.clip, model, target), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
