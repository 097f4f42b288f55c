"""What the stages of `depthrt batch` cost one worker of one core, measured on this machine.

Costs are processor time: a worker has a core of its own, and what else the machine does is left
out.
"""

from __future__ import annotations

import os
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

from depthrt import DepthModel
from depthrt_archives.driver import Driver
from depthrt_archives.engines.base import Report
from depthrt_archives.plan.seams import find_seams
from depthrt_archives.record.manifest import Manifest
from depthrt_archives.tasks import (
    BatchOptions,
    Done,
    Item,
    Outcome,
    Ready,
    SegmentDone,
    Split,
    Task,
)
from experiments.archives.cluster_model import Costs
from experiments.archives.real_runs import batch_seconds
from experiments.pipeline.ceiling import SIZES, make_clip, stage_times_ms

_FRAMES, _FPS = 500, 25.0
_SEGMENT_S = 2.0
_DRIVER_VIDEOS, _DRIVER_SEGMENTS = 200, 10
_CALL_S = 0.001  # assumed: a call of a Ray actor and its answer, beside the driver's own work


def measure() -> Costs:
    """All costs; a minute of a quiet machine."""
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_clip(folder / "clip.mp4", SIZES["720p"], _FRAMES)
        os.sched_setaffinity(0, {min(cores)})  # a worker has one core
        try:
            model = DepthModel.load(provider="cpu", threads=1, parallel=1)
            stages = {
                stage: 1e-3 * cpu_ms
                for stage, (cpu_ms, _) in stage_times_ms(clip, model, folder, _FRAMES).items()
            }
            start_s = time.process_time()
            find_seams(clip, _SEGMENT_S)
            plan_s = (time.process_time() - start_s) / (_FRAMES / _FPS)
        finally:
            os.sched_setaffinity(0, cores)
        tiny = make_clip(folder / "tiny.mp4", SIZES["720p"], 1)
        start_s = min(batch_seconds([tiny], 1, 60.0)[1] for _ in range(3))
        whole_s = min(batch_seconds([clip], 1, 1000.0)[1] for _ in range(2))
        cut_s = min(batch_seconds([clip], 1, _SEGMENT_S)[1] for _ in range(2))
        written = folder / "alone.mp4"
        write_bytes = written.stat().st_size / (_FRAMES / _FPS)
        read_bytes = clip.stat().st_size / (_FRAMES / _FPS)
    segments = _FRAMES / _FPS / _SEGMENT_S
    return Costs(
        decode_s=stages["decode"] + stages["prepare"],
        infer_s=stages["infer"],
        finish_s=stages["finish"] + stages["write"],
        aside_s=aside_s(model),
        task_s=max(0.0, (cut_s - whole_s) / segments),
        plan_s=plan_s,
        join_s=plan_s,  # packets are read and written again, no picture is touched
        start_s=start_s,
        driver_s=driver_s() + _CALL_S,
        fps=_FPS,
        read_bytes=read_bytes,
        write_bytes=write_bytes,
    )


def aside_s(model: DepthModel) -> float:
    """Seconds to write a frame aside and to read it again: pixels and depth, with a checksum."""
    size = model.spec.input
    content = np.random.default_rng(0).bytes(7 * size.height * size.width)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "ahead"
        start_s = time.process_time()
        with path.open("wb") as file:
            for _ in range(100):
                zlib.crc32(content)
                file.write(content)
        with path.open("rb") as file:
            while part := file.read(len(content)):
                zlib.crc32(part)
        return (time.process_time() - start_s) / 100


def driver_s() -> float:
    """Seconds of the driver for a task, with workers that have done everything at once."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        options = BatchOptions(out, Path("model.onnx"))
        items = (
            Item(f"{number:016x}", f"/videos/{number}.mp4", f"{number}.mp4")
            for number in range(_DRIVER_VIDEOS)
        )
        driver = Driver(
            _Instant(), 8, options, items, Manifest(out), lambda facts: facts, lambda *event: None
        )
        start_s = time.process_time()
        driver.run()
        passed_s = time.process_time() - start_s
    return passed_s / (_DRIVER_VIDEOS * (_DRIVER_SEGMENTS + 1))


class _Instant:
    """An engine whose workers need no time."""

    def __init__(self) -> None:
        self._reports: list[Report] = []

    def start(self, worker: int) -> None:
        """A worker is ready at once."""
        self._reports.append(Report(worker, Ready({})))

    def submit(self, worker: int, task: Task) -> None:
        """A task is done at once."""
        outcome: Outcome = SegmentDone(1500)
        if task.kind == "start":
            outcome = Split(_DRIVER_SEGMENTS)
        elif task.kind == "run" and task.segment == _DRIVER_SEGMENTS - 1:
            facts = {"stamp": [1, 2], "sha256": "0" * 64}
            record = {
                "id": task.item.id,
                "input": facts,
                "output": task.item.output,
                "output_sha256": "0" * 64,
            }
            outcome = Done(record, 1500)
        self._reports.append(Report(worker, outcome))

    def wait(self, timeout_s: float) -> list[Report]:
        """All that was reported."""
        found, self._reports = self._reports, []
        return found

    def close(self) -> None:
        """There is nothing to end."""
