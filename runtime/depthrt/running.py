"""One run from a source to its sinks, and what is to be said of it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from depthrt.colour import colour_table
from depthrt.errors import DepthrtError, SourceError, UsageError
from depthrt.model import DepthModel
from depthrt.pipeline import Result, Stats, stream
from depthrt.sinks import Sink, WindowSink, check_output, open_sink
from depthrt.sources import Selection, Source, open_source
from depthrt.views import View


@dataclass(frozen=True)
class Job:
    """What is to be run; see ``depthrt run --help`` for each field."""

    source: str
    output: Path | None = None
    model: str | None = None
    selection: Selection = field(default_factory=Selection)
    view: View = "depth"
    colormap: str = "inferno"
    show: bool = False
    provider: str = "auto"
    threads: int | None = None
    batch: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Summary:
    """What a run did; times in milliseconds are the busy time of a stage per frame."""

    source: str
    output: str | None
    model: str
    provider: str
    frames: int
    seconds: float
    rate_fps: float
    stage_ms: dict[str, float]
    dropped: int
    scene_cuts: int
    clamped: int
    lost: str
    interrupted: bool

    def as_dict(self) -> dict[str, Any]:
        """The summary as a JSON object."""
        return asdict(self)

    def line(self) -> str:
        """The summary in one line."""
        stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in self.stage_ms.items())
        parts = [
            f"{self.frames} frames in {self.seconds:.1f} s ({self.rate_fps:.1f} frames/s)",
            f"ms a frame: {stages}",
            f"{self.model} on {self.provider}",
        ]
        if self.dropped:
            parts.append(f"{self.dropped} dropped")
        if self.output is not None:
            parts.append(self.output)
        return " | ".join(parts)

    @property
    def warnings(self) -> list[str]:
        """Sentences for what did not go as it should."""
        found = []
        if self.lost:
            found.append(f"{self.source}: {self.lost}; what could be read was processed")
        if self.clamped:
            found.append(f"{self.clamped} depth values lay outside the 16-bit range: use .npz")
        if self.interrupted:
            found.append("interrupted; what was done is kept")
        return found


def execute(job: Job) -> Summary:
    """Run a job to its end, or to Ctrl-C, and say what was done.

    Raises:
        DepthrtError: of any stage; what was written before it is finished beside the output's
            place and named in the message.
    """
    colour_table(job.colormap)
    with ExitStack() as stack:
        output = job.output
        if output is not None:
            check_output(output, overwrite=job.overwrite, source=_existing(job.source))
        source = open_source(job.source, job.selection)
        if output is None and not job.show:
            output = default_output(job.source, source)
            check_output(output, overwrite=job.overwrite, source=None)
        info = source.info
        model = DepthModel.load(
            job.model,
            provider=job.provider,
            threads=job.threads,
            objective="latency" if info.live or info.frame_count == 1 else "throughput",
        )
        sinks: list[Sink] = []
        if output is not None:
            sinks.append(open_sink(output, source.info, model.spec, job.view, job.colormap))
        if job.show:
            paced = output is None and not source.info.live
            sinks.append(WindowSink(source.info.name, job.view, job.colormap, paced=paced))
        stats = Stats()
        batch = model.batch if job.batch is None else job.batch
        results = stream(source, model, batch=batch, stats=stats)
        start = time.perf_counter()
        progress = stack.enter_context(show_progress(source.info.frame_count))
        interrupted = drive(results, sinks, stats, progress)
        seconds = time.perf_counter() - start
    if stats.frames == 0 and not interrupted:
        raise SourceError(f"{source.info.name} has no frame in the selection")
    return Summary(
        source=source.info.name,
        output=str(output) if output is not None and stats.frames else None,
        model=model.spec.name,
        provider=model.provider,
        frames=stats.frames,
        seconds=seconds,
        rate_fps=stats.frames / seconds,
        stage_ms={k: 1e3 * s / max(1, stats.frames) for k, s in stats.busy_s.items()},
        dropped=stats.dropped,
        scene_cuts=stats.scene_cuts,
        clamped=sum(getattr(sink, "clamped", 0) for sink in sinks),
        lost=source.losses.sentence(),
        interrupted=interrupted,
    )


def drive(
    results: Generator[Result, None, None],
    sinks: list[Sink],
    stats: Stats,
    progress: Callable[[], None],
) -> bool:
    """Write every result to every sink; whether Ctrl-C or a closed window ended it early.

    An interrupted output is finished and put in place. After an error the outputs are finished
    beside their place, so that nothing done is lost, and the error goes on.
    """
    interrupted = cut_short = False
    try:
        with terminable():
            for result in results:
                start = time.perf_counter()
                wanted = [sink.write(result) for sink in sinks]
                stats.add("write", time.perf_counter() - start)
                progress()
                if not all(wanted):
                    cut_short = True
                    break
    except KeyboardInterrupt:
        interrupted = cut_short = True
    except BaseException as error:
        results.close()
        _keep(sinks, error)
        raise
    results.close()
    start = time.perf_counter()
    try:
        for sink in sinks:
            sink.close(complete=True, cut_short=cut_short)
    except DepthrtError as error:
        _keep(sinks, error)
        raise
    stats.add("write", time.perf_counter() - start)
    return interrupted


def _keep(sinks: list[Sink], error: BaseException) -> None:
    """Finish the outputs beside their place; an error of ours goes on with a word of where."""
    kept = _salvage(sinks)
    if kept and isinstance(error, DepthrtError):
        raise type(error)(f"{error}; what was done before is in {', '.join(kept)}") from error


def _salvage(sinks: list[Sink]) -> list[str]:
    kept = []
    for sink in sinks:
        try:
            place = sink.close(complete=False)
        except DepthrtError:
            continue  # the first error says why; the file holds what reached the disk
        if place is not None:
            kept.append(str(place))
    return kept


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def show_progress(total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, on a terminal only; yields what to call per frame."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = [
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} frames/s"),
        TextColumn("left"),
        TimeLeft(),
    ]
    start, done = time.perf_counter(), 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("depth", total=total, rate=0.0)

        def advance() -> None:
            nonlocal done
            done += 1
            bar.update(task, advance=1, rate=done / (time.perf_counter() - start))

        yield advance


def default_output(text: str, source: Source) -> Path:
    """Where the depth of a source goes when nobody says: the working folder, named after it."""
    stem = Path(text).stem if _existing(text) or text == "demo" else ""
    if not stem:
        stem = "".join(c if c.isalnum() else "_" for c in source.info.name).strip("_")
    single = source.info.rate is None
    return Path(f"{stem}_depth{'.png' if single else '.mp4'}")


def _existing(text: str) -> Path | None:
    if "://" in text:
        return None
    try:
        return Path(text) if Path(text).exists() else None
    except OSError as error:  # a name longer than the file system allows
        raise UsageError(f"{text[:80]}... is no usable path ({error.strerror})") from error
