"""One short measurement of a candidate: `depthrt run` on the built-in clip, then inferences alone.

A file keeps every core busy, so one thread may serve it best. Where frames come one by one, as fast
as they are taken, nothing else wants the cores, and all of them shorten an inference. With pauses
of 30 ms a second thread gained nothing on three of four networks, perhaps because idle cores are
slow to wake (benchmarks/results/threads_of_one_frame.json).
"""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.model.tuning_cache import Objective
from depthrt.pipeline.stream import stream
from depthrt.sinks.open import open_sink
from depthrt.sources.open import open_source

BLOCK_S = 0.15
_ALONE_SHARE = 0.5  # of a block's time: inferences with nothing beside them
_FEWEST_ALONE = 5
_PAUSE_S = 0.003  # between them: the next frame is read and prepared


@dataclass(frozen=True)
class Block:
    """Milliseconds of one inference with nothing beside it, and of the whole pipeline per frame."""

    infer_ms: float
    frame_ms: float

    def score(self, objective: Objective) -> float:
        """The time that the objective minimises, in milliseconds."""
        return self.infer_ms if objective == "latency" else self.frame_ms


def measure_block(model: DepthModel, batch: int, video: Path, block_s: float = BLOCK_S) -> Block:
    """Run the pipeline on the built-in clip and write a video, for ``block_s`` seconds or longer.

    Then run inferences alone, with pauses, for half as long or longer.

    Blocks are measured and not single frames, since the pipeline works on several at a time. A
    block has at least two batches for every inference that runs at a time, after as many to start.
    """
    model.warm_up(batch)
    source = open_source(DEMO_CLIP)
    sink = open_sink(video, source.info, model.spec, "depth", "inferno")
    at_start = fewest = 2 * batch * model.parallel
    marks_s: list[float] = []  # when each batch was written
    with closing(stream(source, model, batch=batch)) as results:
        for number, result in enumerate(results, 1):
            sink.write(result)
            if number % batch or number < at_start:
                continue
            marks_s.append(time.perf_counter())
            long_enough = marks_s[-1] - marks_s[0] >= block_s
            if long_enough and (len(marks_s) - 1) * batch >= fewest:
                break
    sink.close(complete=False)
    frames = (len(marks_s) - 1) * batch
    frame_ms = 1e3 * (marks_s[-1] - marks_s[0]) / frames
    return Block(_alone_ms(model, batch, _ALONE_SHARE * block_s), frame_ms)


def _alone_ms(model: DepthModel, batch: int, block_s: float) -> float:
    """The median time of one inference of ``batch`` real frames, in milliseconds."""
    with closing(open_source(DEMO_CLIP).frames()) as frames:  # type: ignore[type-var]
        first = islice(frames, batch)
        pixels = np.stack([prepare(frame.pixels, model.spec.input) for frame in first])
    times_s: list[float] = []
    end_s = time.perf_counter() + block_s
    while len(times_s) < _FEWEST_ALONE or time.perf_counter() < end_s:
        time.sleep(_PAUSE_S)
        begin_s = time.perf_counter()
        model.infer(pixels)
        times_s.append(time.perf_counter() - begin_s)
    return 1e3 * statistics.median(times_s)
