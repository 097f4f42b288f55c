"""One run from a source to its sinks, and what is to be said of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from depthrt.errors import SourceError, UsageError
from depthrt.interrupts import terminable
from depthrt.jobs.process_priority import prefer_throughput
from depthrt.jobs.shared_outputs import Downstream
from depthrt.jobs.summary import Summary, stage_ms
from depthrt.jobs.write_loop import drive, show_progress
from depthrt.model.depth_model import DepthModel
from depthrt.model.registry import built_in_models
from depthrt.pipeline.model_ladder import Ladder, build_ladder, model_files
from depthrt.pipeline.options import default_batch
from depthrt.pipeline.stream import stream
from depthrt.process_state import in_own_process
from depthrt.render.colormap import colour_table
from depthrt.render.views import View
from depthrt.result import Stats
from depthrt.sinks.base import Sink
from depthrt.sinks.image import WindowSink
from depthrt.sinks.open import check_output, open_sink
from depthrt.sinks.pipe import PipeSink
from depthrt.sources.base import Selection, Source, SourceInfo
from depthrt.sources.display_name import shown_source
from depthrt.sources.live.live_limits import LiveLimits
from depthrt.sources.open import open_source
from depthrt.sources.source_files import existing, source_files
from depthrt.temporal.frame_reuse import Reuse

PICTURE_SUFFIXES = (".mp4", ".png", ".jpg", ".jpeg")  # outputs to look at

__all__ = ["Job", "Summary", "drive", "execute"]


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
    wait_s: float | None = None
    overwrite: bool = False
    limits: LiveLimits = field(default_factory=LiveLimits)
    downstream: Downstream = field(default_factory=Downstream)
    ladder: tuple[str, ...] = ()
    target_fps: float | None = None
    stabilise: bool | None = None
    reuse: Reuse | None = None

    @property
    def needs_output(self) -> bool:
        """Whether depth would go nowhere without an output."""
        return self.output is None and not self.show and not self.downstream.is_asked_for

    @property
    def models(self) -> list[Path]:
        """The model files that are named."""
        return [Path(name) for name in {self.model, *self.ladder} if name]


def execute(job: Job, tell: Callable[[str], None] = lambda sentence: None) -> Summary:
    """Run a job to its end, or to Ctrl-C, and say what was done.

    ``tell`` is called with a sentence whenever the model is changed to hold a rate.

    Raises:
        DepthrtError: of any stage; what was written before it is finished beside the output's
            place and named in the message.
    """
    colour_table(job.colormap)
    with terminable(), ExitStack() as stack:
        output, files = job.output, source_files(job.source)
        if output is not None:
            check_output(output, overwrite=job.overwrite, sources=files)
        job.downstream.check([output], files, job.overwrite, job.models)
        source = open_source(job.source, job.selection, reconnect_s=job.limits.reconnect_s)
        if job.needs_output:
            output = default_output(job.source, source)
            check_output(output, overwrite=job.overwrite, sources=files)
        info = source.info
        check_limits(job.limits, live=info.live)
        ladder = load_ladder(job, [output], tell)
        model = ladder.model if ladder else load_model(job, fast=info.live or info.frame_count == 1)
        stats = Stats()
        shared = job.downstream.open(
            model, job.colormap, lambda _: stats.dropped,
            paced=is_paced(job, live=info.live), alone=output is None and writes_nothing_else(job),
            overwrite=job.overwrite,
        )  # fmt: skip
        sinks = [*open_sinks(job, output, info, model), *stack.enter_context(shared)]
        batch = default_batch(model, 1, live=info.live) if job.batch is None else job.batch
        stabilise = is_stabilised(job, [output])
        results = stream(
            source, ladder or model, batch=batch, wait_s=job.wait_s, stats=stats,
            limits=job.limits, stabilise=stabilise, reuse=job.reuse,
            pictures=shows_pictures(job, [output]),
        )  # fmt: skip
        start = time.perf_counter()
        progress = stack.enter_context(show_progress(info.frame_count))
        interrupted = drive(results, sinks, stats, progress)
        seconds = time.perf_counter() - start
    if not interrupted:
        check_frames(info.name, stats, job.limits)
    return summarise(
        source, stats, model, seconds,
        output=output, sinks=sinks, interrupted=interrupted, ladder=ladder,
        stabilised=stabilise, reuse=job.reuse is not None,
    )  # fmt: skip


def load_model(job: Job, *, fast: bool) -> DepthModel:
    """The job's model; ``fast``: for one frame at a time, not for the most frames a second."""
    if not fast:
        in_own_process(prefer_throughput)
    return DepthModel.load(
        job.model,
        provider=job.provider,
        threads=job.threads,
        objective="live" if fast else "throughput",
    )


def load_ladder(
    job: Job, outputs: Sequence[Path | None], tell: Callable[[str], None]
) -> Ladder | None:
    """The models to hold the job's rate with; None where no rate is to be held.

    Raises:
        UsageError: there is nothing to switch between, models that do not go together, or an
            output that cannot hold depth maps of several sizes.
    """
    if job.target_fps is None:
        if len(job.ladder) > 1:
            raise UsageError(
                "several -m are steps to hold a rate with: give --target-fps, or one of them"
            )
        return None
    names = model_files(job.ladder) or [*built_in_models()]
    models = [load_model(replace(job, model=name), fast=True) for name in names]
    ladder = build_ladder(models, job.target_fps, tell)
    for output in outputs:
        if output is not None and output.suffix.lower() in (".npz", ".mkv") and not ladder.one_size:
            raise UsageError(
                f"{output.name} holds depth maps of one size, and --target-fps changes it: write "
                ".mp4 or a folder of PNG"
            )
    return ladder


def open_sinks(job: Job, output: Path | None, info: SourceInfo, model: DepthModel) -> list[Sink]:
    """The sinks of one source."""
    sinks: list[Sink] = []
    if output is not None:
        down = job.downstream
        sink = open_sink(
            output, info, model.spec, job.view, job.colormap, down.cloud,
            points=down.points, overwrite=job.overwrite,
        )  # fmt: skip
        sinks.append(sink)
    if job.downstream.pipe is not None:
        sinks.append(PipeSink(job.downstream.pipe, info, model.spec, job.view, job.colormap))
    if job.show:
        paced = is_paced(job, live=info.live)
        sinks.append(WindowSink(info.name, job.view, job.colormap, paced=paced))
    return sinks


def writes_nothing_else(job: Job) -> bool:
    """Whether results are neither shown nor piped on, besides what goes downstream of all."""
    return not job.show and job.downstream.pipe is None


def is_paced(job: Job, *, live: bool) -> bool:
    """Whether a recording is only looked at, and so shown no faster than it was taken."""
    down = job.downstream
    return not live and job.output is None and down.pipe is None and down.jsonl is None


def is_stabilised(job: Job, outputs: Sequence[Path | None]) -> bool:
    """Whether depth is steadied: as was asked, else where it is only looked at.

    Depth to compute with stays what the model gave: 16-bit and float files and pipes, point clouds,
    JSON lines.
    """
    if job.stabilise is not None:
        return job.stabilise
    down = job.downstream
    raw = down.points or down.jsonl is not None or down.pipe in ("gray16le", "grayf32le")
    return not raw and all(
        output is None or output.suffix.lower() in PICTURE_SUFFIXES for output in outputs
    )


def shows_pictures(job: Job, outputs: Sequence[Path | None]) -> bool:
    """Whether anything shows the picture itself, or takes its colours, beside its depth."""
    points = job.downstream.points or any(
        o is not None and o.suffix.lower() == ".ply" for o in outputs
    )
    return points or job.view != "depth" or job.downstream.preview is not None


def check_limits(limits: LiveLimits, *, live: bool) -> None:
    """Refuse limits of live sources where there is none.

    Raises:
        UsageError: there is none.
    """
    given = (("--max-latency", limits.max_latency_s), ("--fps", limits.max_rate))
    for option, value in given:
        if value is not None and not live:
            raise UsageError(
                f"{option} limits live sources, and there is none: a recording keeps every frame "
                "(--stride takes every n-th)"
            )


def check_frames(name: str, stats: Stats, limits: LiveLimits) -> None:
    """Make sure that a source gave something.

    Raises:
        SourceError: it did not.
    """
    if stats.frames and not (limits.max_latency_s and stats.late and not stats.latency.count):
        return
    if stats.late and limits.max_latency_s is not None:
        raise SourceError(
            f"{name}: every frame was older than --max-latency {1e3 * limits.max_latency_s:g} ms "
            "by the time its depth was there: allow more, or take a faster model"
        )
    raise SourceError(f"{name} has no frame in the selection")


def summarise(
    source: Source,
    stats: Stats,
    model: DepthModel,
    seconds: float,
    *,
    output: Path | None,
    sinks: list[Sink],
    interrupted: bool,
    name: str | None = None,
    error: str = "",
    ladder: Ladder | None = None,
    stabilised: bool = False,
    reuse: bool = False,
) -> Summary:
    """What is to be said of one source."""
    live = source.info.live  # of its results, those that were too late went nowhere
    frames = stats.latency.count if live else stats.written
    return Summary(
        source=name or source.info.name,
        output=str(output) if output is not None and frames and not error else None,
        model=model.spec.name,
        provider=model.provider,
        frames=frames,
        seconds=seconds,
        rate_fps=frames / seconds,
        stage_ms=stage_ms(stats),
        dropped=stats.dropped,
        scene_cuts=stats.scene_cuts,
        stabilised=stabilised,
        reused=stats.reused if reuse else None,
        clamped=sum(getattr(sink, "clamped", 0) for sink in sinks),
        lost=source.losses.sentence(),
        interrupted=interrupted,
        late=stats.late,
        latency_ms=stats.latency.as_ms(),
        gaps_s=list(source.losses.gaps_s),
        error=error,
        ladder=ladder.as_dict() if ladder else None,
        assumed="".join({getattr(sink, "assumed", "") for sink in sinks}),
    )


def default_output(text: str, source: Source) -> Path:
    """Where the depth of a source goes when nobody says: the working folder, named after it."""
    single = source.info.rate is None
    return Path(f"{stem_of(text)}_depth{'.png' if single else '.mp4'}")


def stem_of(text: str) -> str:
    """What a source's outputs are named after."""
    name = f"camera {text}" if text.isdecimal() else shown_source(text)
    stem = Path(text).stem if name == text and (existing(text) or text == "demo") else ""
    return stem or "".join(c if c.isalnum() else "_" for c in name).strip("_")
