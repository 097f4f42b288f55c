"""Clips with the habits of real encoders, what an output holds, and an engine that fails."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from depthrt_archives.batch import Batch, execute, prepare
from depthrt_archives.driver import Totals
from depthrt_archives.engines.base import Died, Report
from depthrt_archives.tasks import BatchOptions, Task
from depthrt_archives.work.worker import Worker

RATE = 24


def encode(
    path: Path,
    frames: int = 130,
    *,
    codec: str = "libx264",
    gop: int = 17,
    options: dict[str, str] | None = None,
    sound: bool = False,
    irregular: bool = False,
    size: tuple[int, int] = (96, 160),
) -> Path:
    """A clip of moving stripes at 24/s with cuts, and key frames at odd places."""
    height, width = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = gop
        base = Fraction(1, 2400 if irregular else RATE)
        stream.codec_context.time_base = base
        track = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        rows, columns = np.mgrid[0:height, 0:width]
        time = 0
        for number in range(frames):
            scene = number // 50
            colours = [
                128 + 100 * np.sin((columns + 2 * number) / (9 + scene)),
                128 + 100 * np.sin((rows + number) / (7 + 3 * scene)),
                (rows + columns + 90 * scene) % 256,
            ]
            picture = np.stack(colours, axis=-1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time if irregular else number, base
            time += 60 + (37 * number) % 101
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            count = 16000 * frames // RATE
            for begin in range(0, count, 1024):
                wave = np.sin(np.arange(begin, begin + 1024) / 9).astype(np.float32)[None]
                heard = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                heard.sample_rate, heard.pts = 16000, begin
                container.mux(track.encode(heard))
            container.mux(track.encode(None))
    return path


def facts(path: Path) -> Any:
    """What an output holds: its bytes; of videos the pictures, times and packets of sound."""
    if path.is_dir():
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in path.iterdir()}
    if path.suffix not in (".mp4", ".mkv"):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    form = "gray16le" if path.suffix == ".mkv" else "yuv420p"
    with av.open(str(path)) as container:
        tags = {k: v for k, v in container.metadata.items() if k.startswith("DEPTHRT_")}
        pictures = [
            (f.pts, f.duration, hashlib.sha256(f.to_ndarray(format=form).tobytes()).hexdigest())
            for f in container.decode(video=0)
        ]
        rate = container.streams.video[0].average_rate
    with av.open(str(path)) as container:
        tracks = container.streams.audio
        heard = [
            (p.pts, p.duration, bytes(p)) for p in (container.demux(*tracks) if tracks else ())
        ]
    return tags, rate, pictures, heard


class FailingEngine:
    """Workers in this process that take turns at random, and die before or after a task, or idle.

    Args:
        options: for the workers.
        seed: of what happens.
        deaths: share of the tasks after which a worker dies, its answer lost or its task not begun.
    """

    def __init__(self, options: BatchOptions, seed: int, deaths: float) -> None:
        self._worker = Worker(options)
        self._random, self._deaths = random.Random(seed), deaths
        self._waiting: deque[tuple[int, Task | None]] = deque()
        self._idle: list[int] = []
        self.tasks: list[Task] = []
        self.died = self.died_idle = 0

    def start(self, worker: int) -> None:
        """Start a worker."""
        self._waiting.append((worker, None))

    def submit(self, worker: int, task: Task) -> None:
        """Take a task for later."""
        self._idle.remove(worker)
        self._waiting.append((worker, task))

    def wait(self, timeout_s: float) -> list[Report]:
        """Do one of the tasks that wait, or let its worker or an idle one die."""
        if not self._waiting:
            return []
        if self._idle and self._random.random() < self._deaths / 2:
            self.died_idle += 1
            idle = self._idle.pop(self._random.randrange(len(self._idle)))
            return [Report(idle, Died("it was killed while it had nothing to do"))]
        self._waiting.rotate(self._random.randrange(len(self._waiting)))
        worker, task = self._waiting.popleft()
        if task is None:
            self._idle.append(worker)
            return [Report(worker, self._worker.ready())]
        fate = self._random.random()
        if fate < self._deaths / 2:
            self.died += 1
            return [Report(worker, Died("it was killed before it began"))]
        self.tasks.append(task)
        outcome = self._worker.do(task)
        if fate < self._deaths:
            self.died += 1
            return [Report(worker, Died("it was killed before it answered"))]
        self._idle.append(worker)
        return [Report(worker, outcome)]

    def close(self) -> None:
        """Forget the tasks that wait."""
        self._waiting.clear()


def run_batch(
    words: Sequence[Path | str],
    seed: int = 0,
    deaths: float = 0.0,
    workers: int = 3,
    max_failures: int | None = None,
    **fields: Any,
) -> tuple[Totals, FailingEngine]:
    """Run a batch with workers of this process; ``fields`` are those of its options."""
    options = BatchOptions(provider="cpu", **fields)
    job = prepare(Batch(tuple(map(str, words)), options, workers, 20, max_failures))
    engine = FailingEngine(job.options, seed, deaths)
    return execute(job, engine, lambda event, about: None), engine
