"""A clip from file to file, stage by stage and end to end, as `depthrt run` does it."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

from depthrt import Stats, stream
from depthrt.model.depth_model import DepthModel
from depthrt.sinks.open import open_sink
from depthrt.sources.open import open_source

_WARM_UP = 8  # frames


def run_clip(clip: str, model: DepthModel, duration_s: float) -> dict[str, float]:
    """Decode, prepare, infer, colour and encode for ``duration_s``, or to the end of the clip.

    Returns:
        ``end_to_end_fps`` and ``end_to_end_ms`` a frame (wall), ``cpu_ms`` a frame (this process),
        and ``decode_ms``, ``prepare_ms``, ``infer_ms``, ``write_ms``: the time that each stage
        works per frame. Stages run side by side, so these do not add up to the wall time.

    Raises:
        SourceError: no such clip.
    """
    stats, batch = Stats(), model.batch
    source = open_source(clip)
    with tempfile.TemporaryDirectory(prefix="depthrt-bench-") as folder:
        sink = open_sink(Path(folder) / "depth.mp4", source.info, model.spec, "depth", "inferno")
        with closing(stream(source, model, batch=batch, stats=stats)) as results:
            for result in islice(results, max(_WARM_UP, 2 * batch)):
                sink.write(result)
            before, frames = dict(stats.busy_s), stats.frames
            written, write_s = 0, 0.0
            begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
            for result in results:
                start_s = time.perf_counter()
                sink.write(result)
                write_s += time.perf_counter() - start_s
                written += 1
                if time.perf_counter() - begin_s > duration_s:
                    break
            wall_s = time.perf_counter() - begin_s
            cpu_s = time.process_time() - begin_cpu_s
        sink.close(complete=False)
    if not written:
        return {}
    inferred = max(1, stats.frames - frames)
    busy = {
        f"{stage}_ms": 1e3 * (spent_s - before.get(stage, 0.0)) / inferred
        for stage, spent_s in stats.busy_s.items()
    }
    figures = {
        "end_to_end_fps": written / wall_s,
        "end_to_end_ms": 1e3 * wall_s / written,
        "cpu_ms": 1e3 * cpu_s / written,
        **busy,
        "write_ms": 1e3 * write_s / written,
    }
    return {"frames": written, "batch": batch, **{k: round(v, 3) for k, v in figures.items()}}
