"""Does memory stay flat? A clip through the pipeline, a tiny model, many thousand frames.

- ``together``: the clip, opened, decoded to its end and opened again, beside a live source that
  gives pictures as fast as it can;
- ``recordings``: the clip alone, one run after the other, as `depthrt run` takes a recording.

The results of the clip are composed and encoded to H.264 in files of 5000 frames. Memory, threads
and open files are read every 1000 frames; the first tenth warms up. ``growth_mb`` is the slope of a
line through the rest, over all frames.

    python -m experiments.pipeline.soak -o benchmarks/results/soak.json
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from depthrt import (
    DepthModel,
    Frame,
    InputSpec,
    ModelSpec,
    Result,
    SourceInfo,
    Stats,
    open_source,
    stream,
    stream_many,
)
from depthrt.sinks.base import Sink
from depthrt.sinks.open import open_sink
from depthrt.sources.base import Losses
from depthrt.spec import METADATA_KEY
from depthrt_benchmarks.common.environment import write_result
from experiments.pipeline.ceiling import make_clip

_SIZE = (120, 160)
_NETWORK = (48, 64)
_CLIP_FRAMES = 100
_FRAMES_A_FILE = 5000
_EVERY = 1000


def write_model(path: Path) -> Path:
    """A model of one small convolution."""
    height, width = _NETWORK
    kernel = np.full((1, 3, 3, 3), 1 / 27, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["pixels", "kernel"], ["map"], pads=[1, 1, 1, 1]),
            helper.make_node("Squeeze", ["map", "axes"], ["depth"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 3, height, width])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["n", height, width])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    spec = ModelSpec("tiny", "inverse_depth", InputSpec(height, width))
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, path)
    return path


class Looped:
    """A clip that begins again at its end; every round is opened and decoded anew."""

    def __init__(self, clip: Path) -> None:
        self._clip = clip
        self.losses = Losses()
        first = open_source(clip)
        self.info = replace(first.info, name="looped", frame_count=None, path=None)
        for frame in first.frames():
            self._length_s = frame.time_s + (frame.duration_s or Fraction(1, 25))

    def frames(self) -> Generator[Frame, None, None]:
        """The frames of all rounds, numbered and timed through."""
        index, begin_s = 0, Fraction(0)
        while True:
            for frame in open_source(self._clip).frames():
                yield replace(frame, index=index, time_s=begin_s + frame.time_s)
                index += 1
            begin_s += self._length_s


class Restless:
    """A live source that gives the same picture as fast as it can be taken in."""

    def __init__(self) -> None:
        self.losses = Losses()
        self.info = SourceInfo("restless", _SIZE, Fraction(100), live=True)

    def frames(self) -> Generator[Frame, None, None]:
        """A new picture every millisecond or so."""
        index = 0
        while True:
            image = np.full((*_SIZE, 3), index % 255, np.uint8)
            yield Frame(image, index, Fraction(index, 1000))
            index += 1
            time.sleep(0.0005)


def footprint() -> tuple[float, int, int]:
    """Resident memory in MB, threads, and open files of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    memory_mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return memory_mb, threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def together(
    clip: Path, model: DepthModel, stats: dict[str, Stats]
) -> Generator[Result, None, None]:
    """Results of the looped clip beside the live source, without end."""
    return stream_many([Looped(clip), Restless()], model, stats=stats)


def recordings(clip: Path, model: DepthModel) -> Generator[Result, None, None]:
    """Results of the clip, again and again, each a run of its own."""
    while True:
        yield from stream(clip, model)


def soak(
    results: Generator[Result, None, None],
    written: str,
    model: DepthModel,
    frames: int,
    seconds: float,
) -> dict[str, Any]:
    """Take so many results, or until the time is up, and encode those of the stream ``written``."""
    samples: list[tuple[int, float, int, int]] = []
    sink: Sink | None = None
    encoded = done = 0
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, closing(results):
        for done, result in enumerate(results, 1):
            if result.frame.stream == written:
                if sink is None:
                    target = Path(folder) / "out.mp4"
                    info = SourceInfo(written, _SIZE, Fraction(25))
                    sink = open_sink(target, info, model.spec, "depth", "inferno")
                # A run of its own begins at 0 again, which a video cannot.
                frame = replace(result.frame, time_s=Fraction(encoded, 25))
                sink.write(replace(result, frame=frame))
                encoded += 1
                if encoded % _FRAMES_A_FILE == 0:
                    sink.close(complete=True)
                    sink = None
            if done % _EVERY == 0:
                samples.append((done, *footprint()))
                if done >= frames or time.monotonic() - start_s > seconds:
                    break
        if sink is not None:
            sink.close(complete=True)
    took_s = time.monotonic() - start_s
    steady = np.array(samples[len(samples) // 10 :], np.float64)
    slope_mb = float(np.polyfit(steady[:, 0], steady[:, 1], 1)[0])
    return {
        "frames": done,
        "encoded": encoded,
        "seconds": round(took_s, 1),
        "memory_mb": {
            "after_a_tenth": round(float(steady[0, 1]), 2),
            "at_the_end": round(float(steady[-1, 1]), 2),
            "least": round(float(steady[:, 1].min()), 2),
            "most": round(float(steady[:, 1].max()), 2),
        },
        "growth_mb": round(slope_mb * done, 3),
        "threads": {"after_a_tenth": int(steady[0, 2]), "most": int(steady[:, 2].max())},
        "open_files": {"after_a_tenth": int(steady[0, 3]), "most": int(steady[:, 3].max())},
    }


def main() -> None:
    """Run, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000, help="of either")
    parser.add_argument("--seconds", type=float, default=280, help="either ends after so long")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    stats: dict[str, Stats] = {}
    with tempfile.TemporaryDirectory() as name:
        clip = make_clip(Path(name) / "clip.mp4", _SIZE, _CLIP_FRAMES)
        path = write_model(Path(name) / "tiny.onnx")
        model = DepthModel.load(path, provider="cpu", threads=1)
        several = together(clip, model, stats)
        figures = {"together": soak(several, "looped", model, options.frames, options.seconds)}
        figures["together"]["dropped_of_live"] = stats["restless"].dropped
        model = DepthModel.load(path, provider="cpu", objective="throughput")
        alone = recordings(clip, model)
        figures["recordings"] = soak(alone, clip.name, model, options.frames, options.seconds)
    print(figures)  # noqa: T201
    if options.output:
        write_result(options.output, {"benchmark": "soak", **figures})


if __name__ == "__main__":
    main()
