"""Whether keyframes pay for a model here: the built-in clip with and without, in turn."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from depthrt.confidence_interval import Interval, paired_interval
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.stream import stream
from depthrt.result import Stats
from depthrt.sinks.open import open_sink
from depthrt.sources.open import open_source
from depthrt.temporal.keyframes import Keyframes

_ROUNDS = 5
_ALPHA = 0.05


@dataclass(frozen=True)
class KeyframeGain:
    """What keyframes gain for files.

    - ``budget``: the error allowed, as a share of the depth's spread;
    - ``time``: of a file with them over that without, paired, with a 95% interval;
    - ``inferred_share``: of the frames of the built-in clip that the network saw.
    """

    budget: float
    time: Interval
    inferred_share: float

    def line(self) -> str:
        """What was found, in a sentence."""
        verdict = "it pays" if self.time.high < 1 else "it does not surely pay"
        if self.time.low > 1:
            verdict = "it costs more than it saves"
        return (
            f"files with --keyframes {self.budget:.3g}: {self.time.line()} of the time without, "
            f"the network on {self.inferred_share:.0%} of the built-in clip's frames: {verdict}"
        )


def keyframe_gain(model: DepthModel, batch: int, keyframes: Keyframes, video: Path) -> KeyframeGain:
    """Run the built-in clip to a video file with and without keyframes, five times each.

    Raises:
        DepthrtError: the model does not run.
    """
    ways = (None, keyframes)
    ratios, share = [], 1.0
    for number in range(_ROUNDS + 1):
        seconds = {}
        for way in ways if number % 2 else ways[::-1]:
            seconds[way], stats = _run(model, batch, way, video)
            if way is not None:
                share = 1 - stats.interpolated / stats.frames
        if number:  # the first round warms up
            ratios.append(math.log(seconds[keyframes] / seconds[None]))
    return KeyframeGain(keyframes.budget, paired_interval(ratios, _ALPHA), round(share, 4))


def _run(
    model: DepthModel, batch: int, keyframes: Keyframes | None, video: Path
) -> tuple[float, Stats]:
    source, stats = open_source(DEMO_CLIP), Stats()
    sink = open_sink(video, source.info, model.spec, "depth", "inferno")
    begin_s = time.perf_counter()
    with closing(stream(source, model, batch=batch, stats=stats, keyframes=keyframes)) as results:
        for result in results:
            sink.write(result)
    took_s = time.perf_counter() - begin_s
    sink.close(complete=False)
    return took_s, stats
