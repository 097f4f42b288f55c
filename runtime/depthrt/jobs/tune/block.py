"""One short measurement of a candidate: `depthrt run` on the built-in clip for a moment."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.model.depth_model import DepthModel
from depthrt.model.tuning_cache import Objective
from depthrt.pipeline.stream import stream
from depthrt.result import Stats
from depthrt.sinks.open import open_sink
from depthrt.sources.open import open_source

BLOCK_S = 0.15


@dataclass(frozen=True)
class Block:
    """Milliseconds of one inference inside the pipeline, and of the whole pipeline per frame."""

    infer_ms: float
    frame_ms: float

    def score(self, objective: Objective) -> float:
        """The time that the objective minimises, in milliseconds."""
        return self.infer_ms if objective == "latency" else self.frame_ms


def measure_block(model: DepthModel, batch: int, video: Path, block_s: float = BLOCK_S) -> Block:
    """Run the pipeline on the built-in clip and write a video, for ``block_s`` seconds or longer.

    Blocks are measured and not single frames, since the pipeline works on several at a time. A
    block has at least two batches for every inference that runs at a time, after as many to start.
    """
    model.warm_up(batch)
    source, stats = open_source(DEMO_CLIP), Stats()
    sink = open_sink(video, source.info, model.spec, "depth", "inferno")
    at_start = fewest = 2 * batch * model.parallel
    marks_s: list[float] = []  # when each batch was written
    with closing(stream(source, model, batch=batch, stats=stats)) as results:
        for number, result in enumerate(results, 1):
            sink.write(result)
            if number % batch or number < at_start:
                continue
            marks_s.append(time.perf_counter())
            long_enough = marks_s[-1] - marks_s[0] >= block_s
            if long_enough and (len(marks_s) - 1) * batch >= fewest:
                break
        infer_ms = 1e3 * stats.busy_s["infer"] / stats.frames * batch
    sink.close(complete=False)
    frames = (len(marks_s) - 1) * batch
    return Block(infer_ms, 1e3 * (marks_s[-1] - marks_s[0]) / frames)
