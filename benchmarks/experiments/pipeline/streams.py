r"""Many streams and overload: what the machinery around one session costs, and how late depth is.

``batched``: eight streams through one session, over that session alone on ready batches. In one
run, interleaved round by round, as medians of ratios:

- ``bare``: onnxruntime's session on a prepared batch, with onnxruntime's own default options;
- ``ours_alone``: the same with the options of the pipeline, one inference at a time;
- ``pictures``: eight streams of decoded pictures of the network's size, which costs next to nothing
  to prepare, so that what is left is the machinery;
- ``clips``: eight H.264 clips at 360p, decoded and prepared on the same cores.

``same_depth``: one clip alone and as eight streams, frame by frame: the largest difference.

``overload``: a live source at three times the rate that the model can do. Latency from capture to
result, over the time of one inference in that run, should stay under two. Of three runs, the one
whose worst frame is the median. ``alone_over_model``: the same of as many inferences in a bare
loop; what is slow there is the machine's doing.

    depthrt export benchmarks/experiments/quantisation/networks.py:midas_like \
        --kind inverse-depth --size 256x256 --dynamic batch -o midas-like.onnx
    python -m experiments.pipeline.streams -m depthrt-s -m midas-like.onnx \
        -o benchmarks/results/streams.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from depthrt import (
    DepthModel,
    Frame,
    Selection,
    SourceInfo,
    Stats,
    open_source,
    prepare,
    stream,
    stream_many,
)
from depthrt.latency import Latency
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.model.providers import PROVIDERS
from depthrt.sources.base import Losses
from depthrt.sources.open_many import SourceLike
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.common.environment import write_result
from experiments.pipeline.ceiling import make_clip

_STREAMS = 8
_SIZE = (360, 640)


class Ticking:
    """A live source that shows the same pictures at a constant rate (1/s) by the clock."""

    def __init__(self, images: Sequence[NDArray[np.uint8]], rate: float, frames: int) -> None:
        self.losses = Losses()
        size = (images[0].shape[0], images[0].shape[1])
        self.info = SourceInfo("ticking", size, Fraction(round(rate * 1000), 1000), live=True)
        self._images, self._rate, self._frames = images, rate, frames

    def frames(self) -> Iterator[Frame]:
        """Frames at the moment that each is due."""
        start_s = time.monotonic()
        for index in range(self._frames):
            due_s = start_s + index / self._rate
            time.sleep(max(0.0, due_s - time.monotonic()))
            image = self._images[index % len(self._images)]
            yield Frame(image, index, Fraction(index) / Fraction(self._rate), "", None, due_s)


def session_fps(run: Callable[[], object], batch: int, frames: int) -> float:
    """Frames a second of a session on a ready batch."""
    start_s = time.perf_counter()
    for _ in range(-(-frames // batch)):
        run()
    return -(-frames // batch) * batch / (time.perf_counter() - start_s)


def streams_fps(sources: Sequence[SourceLike], model: DepthModel, batch: int) -> float:
    """Frames a second of several streams, the first batches not counted."""
    marks: list[float] = []
    for _ in stream_many(sources, model, batch=batch):
        marks.append(time.perf_counter())
    warm = 4 * batch
    return (len(marks) - warm) / (marks[-1] - marks[warm - 1])


def batched(
    model: DepthModel, clip: Path, rounds: int, frames: int, batch: int = 4
) -> dict[str, Any]:
    """Everything of ``batched``, in turn, ``rounds`` times."""
    batch = model.fixed_batch or max(model.batch, batch)
    cached = [f.image for f in open_source(clip, Selection(max_frames=24)).frames()]
    pixels = [prepare(image, model.spec.input) for image in cached]
    ready = np.stack(pixels[:batch])
    small = [np.ascontiguousarray(p.transpose(1, 2, 0)) for p in pixels]
    default = ort.InferenceSession(str(model.path), providers=[PROVIDERS[model.provider]])
    each = frames // _STREAMS
    pictures = list(islice(small * -(-each // len(small)), each))
    rows: list[dict[str, float]] = []
    for number in range(rounds + 1):
        bare = session_fps(lambda: default.run(None, {"image": ready}), batch, frames)
        alone = session_fps(lambda: model.infer(ready), batch, frames)
        drawn = streams_fps([pictures] * _STREAMS, model, batch)
        decoded = streams_fps([str(clip)] * _STREAMS, model, batch)
        row = {
            "bare_fps": bare,
            "ours_alone_fps": alone,
            "pictures_fps": drawn,
            "clips_fps": decoded,
            "pictures_over_ours_alone": drawn / alone,
            "pictures_over_bare": drawn / bare,
            "clips_over_bare": decoded / bare,
            "ours_alone_over_bare": alone / bare,
        }
        if number:  # the first round warms up
            rows.append(row)
    medians = {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]}
    return {"streams": _STREAMS, "batch": batch, "frames": frames, "rounds": rounds, **medians}


def same_depth(model: DepthModel, clip: Path) -> dict[str, Any]:
    """The largest difference between one clip alone and the same as eight streams."""
    selection = Selection(max_frames=16)
    alone = [r.depth.values for r in stream(str(clip), model, selection=selection)]
    worst, compared = 0.0, 0
    batch = model.fixed_batch or max(model.batch, 4)
    for r in stream_many([str(clip)] * _STREAMS, model, selection=selection, batch=batch):
        worst = max(worst, float(np.abs(r.depth.values - alone[r.frame.index]).max()))
        compared += 1
    return {"frames": compared, "largest_difference": worst, "identical": worst == 0}


def overload(model: DepthModel, clip: Path, seconds: float) -> dict[str, Any]:
    """Latency of a live source at three times the model's rate, over the model's time."""
    images = [f.image for f in open_source(clip, Selection(max_frames=24)).frames()]
    pixels = prepare(images[0], model.spec.input)[None]
    alone_s = 1 / session_fps(lambda: model.infer(pixels), 1, 20)
    rate = 3 / alone_s
    stats = Stats()
    source = Ticking(images, rate, int(rate * seconds))
    handed_over = sum(1 for _ in stream(source, model, stats=stats))
    busy_s = stats.busy_s["infer"] / stats.frames
    latency = stats.latency.as_ms() or {}
    alone = Latency()
    for _ in range(handed_over):
        start_s = time.perf_counter()
        model.infer(pixels)
        alone.add(time.perf_counter() - start_s)
    alone_ms = alone.as_ms() or {}
    return {
        "source_fps": round(rate, 2),
        "model_ms": round(1e3 * busy_s, 3),
        "model_alone_ms": round(1e3 * alone_s, 3),
        "results": handed_over,
        "dropped": stats.dropped,
        "latency_ms": {key: round(ms, 3) for key, ms in latency.items()},
        "latency_over_model": {k: round(ms / (1e3 * busy_s), 3) for k, ms in latency.items()},
        "alone_over_model": {k: round(ms / (1e3 * busy_s), 3) for k, ms in alone_ms.items()},
    }


def overloads(model: DepthModel, clip: Path, seconds: float) -> dict[str, Any]:
    """The middle one of three runs by its worst frame, which is one of a thousand."""
    runs = [overload(model, clip, seconds) for _ in range(3)]
    runs.sort(key=lambda run: run["latency_over_model"]["worst"])
    return runs[1] | {"worst_of_each": [run["latency_over_model"]["worst"] for run in runs]}


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", action="append", help="depthrt models (the built-in one)")
    parser.add_argument("--frames", type=int, default=480, help="of all eight streams together")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=6, help="of overload")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder) / "360p.mp4", _SIZE, options.frames // _STREAMS)
        for name in options.model or [None]:
            # As `depthrt run` opens it for recordings, and for live sources.
            model = DepthModel.load(name, provider="cpu", objective="throughput")
            quick = DepthModel.load(name, provider="cpu", objective="live")
            model.warm_up()
            quick.warm_up()
            found = {
                "model": {
                    "parallel": model.parallel,
                    "name": model.spec.name,
                    "precision": model.spec.precision,
                    "sha256": model.sha256(),
                },
                "batched": batched(model, clip, options.rounds, options.frames),
                "same_depth": same_depth(model, clip),
                "overload": overloads(quick, clip, options.seconds),
            }
            print(found)  # noqa: T201
            figures.append(found)
    if options.output:
        content = {
            "benchmark": "streams",
            "provider": "cpu",
            "threads": usable_cores(),
            "clip": f"{DEMO_CLIP.name} at {_SIZE[0]}p",
            "models": figures,
        }
        write_result(options.output, content)


if __name__ == "__main__":
    main()
