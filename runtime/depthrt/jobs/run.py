"""A run from sources to outputs, and its summary: one source, or several through one session."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from depthrt.errors import SourceError
from depthrt.jobs.monitoring import monitored, open_monitor
from depthrt.jobs.outputs import (
    Form,
    check_outputs,
    default_output,
    fitting,
    open_sinks,
    output_folder,
    plan_outputs,
)
from depthrt.jobs.run_job import Job, load_ladder, load_model
from depthrt.jobs.summary import Summary, Totals, keyframe_facts, stage_ms
from depthrt.jobs.write_loop import StreamSinks, sentence_of, show_progress, write_results
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.ladder.model_ladder import Ladder
from depthrt.pipeline.options import StreamOptions, default_batch
from depthrt.pipeline.scheduling.scheduler import Scheduler
from depthrt.pipeline.stream_state import StreamState
from depthrt.render.colormap import colour_table
from depthrt.result import Stats
from depthrt.sinks.open import Output
from depthrt.sources.base import Source
from depthrt.sources.open_many import open_many
from depthrt.sources.source_files import source_files
from depthrt.system.interrupts import terminable

__all__ = ["Job", "Summary", "Totals", "execute", "execute_many"]

Tell = Callable[[str], None]
"""Called with a sentence for the user."""

Progress = Callable[["int | None"], AbstractContextManager[Callable[[], None]]]
"""Called with the number of frames, if it is known; gives what is called after every frame."""


@dataclass(frozen=True)
class SourceRun:
    """What became of one source that could be opened."""

    source: Source
    output: Output | None
    stream: StreamSinks


@dataclass(frozen=True)
class Run:
    """What became of all sources, by their names; of one that was not opened, the error's sentence.

    ``shared_error`` says why an output that they share failed; it is empty if none did.
    """

    job: Job
    model: DepthModel
    ladder: Ladder | None
    options: StreamOptions
    sources: dict[str, SourceRun | str]
    start_s: float
    seconds: float
    interrupted: bool
    shared_error: str

    @property
    def opened(self) -> list[SourceRun]:
        """The sources that could be opened."""
        return [run for run in self.sources.values() if isinstance(run, SourceRun)]


def execute(
    job: Job, tell: Tell = lambda sentence: None, progress: Progress = show_progress
) -> Summary:
    """Run one source to its end, or to Ctrl-C.

    Args:
        job: what is to be done.
        tell: called with a sentence whenever the model is changed to hold a rate.
        progress: is told how far it is; by default a bar on a terminal.

    Raises:
        DepthrtError: of any stage. What was written before it stays beside the output's target, and
            the message says where.
    """
    colour_table(job.colormap)
    with terminable():
        output, files = job.target, source_files(job.source)
        check_outputs(job, [output], files)
        ((name, source),) = open_many([job.source], job.selection, job.limits)
        if isinstance(source, BaseException):
            raise source
        if job.needs_output:
            output = default_output(job.source, source.info)
            check_outputs(job, [output], files)
        source = fitting(job, source, output)
        if isinstance(source, BaseException):
            raise source
        run = _run(job, {name: source}, [output], tell, progress, go_on=False)
    (only,) = run.opened
    ladder = run.ladder.as_dict() if run.ladder else None
    return _summary(run, only, interrupted=run.interrupted, ladder=ladder)


def execute_many(job: Job, sources: Sequence[str], form: Form | None, tell: Tell) -> Totals:
    """Run several sources through one session; one that fails does not stop the others.

    Args:
        job: what is to be done with each; ``output`` is the folder for their outputs, and
            ``source`` is not used.
        sources: as on the command line.
        form: what is written; None is .mp4, and .png for a single image.
        tell: called with a sentence when a source fails, or the model is changed to hold a rate.

    Raises:
        DepthrtError: the model cannot be used, an output may not be written, or no source can be
            opened.
    """
    colour_table(job.colormap)
    with terminable(), output_folder(job.target, several=len(sources) > 1) as folder:
        wanted = form is not None or folder is not None or job.needs_output
        outputs: Sequence[Output | None] = [None] * len(sources)
        if wanted:
            outputs = plan_outputs(sources, folder, form)
        check_outputs(job, outputs, [path for text in sources for path in source_files(text)])
        opened = open_many(sources, job.selection, job.limits)
        found = {
            name: fitting(job, source, output)
            for (name, source), output in zip(opened, outputs, strict=True)
        }
        errors = {name: e for name, e in found.items() if isinstance(e, BaseException)}
        if len(errors) == len(found):
            raise SourceError("; ".join(sentence_of(name, e) for name, e in errors.items()))
        return _totals(_run(job, found, outputs, tell, show_progress, go_on=True))


def _run(
    job: Job,
    found: dict[str, Source | BaseException],
    outputs: Sequence[Output | None],
    tell: Tell,
    progress: Progress,
    *,
    go_on: bool,
) -> Run:
    """Run open sources to their ends.

    Args:
        job: what is to be done.
        found: the sources by name, and the errors of those that cannot be opened.
        outputs: of all of them.
        tell: called with a sentence for the user.
        progress: is told how far it is.
        go_on: a source that fails is told and does not stop the others; else its error is raised.
    """
    infos = [source.info for source in found.values() if not isinstance(source, BaseException)]
    counts = [info.frame_count for info in infos]
    total = None if None in counts else sum(count or 0 for count in counts)
    live = any(info.live for info in infos)
    paced = job.is_paced(outputs, live=live)
    job.check_limits(live=live)
    ladder = load_ladder(job, outputs, tell)
    model = ladder.model if ladder else load_model(job, fast=live or total == 1)
    watched = [rung.model for rung in ladder.rungs] if ladder else [model]
    monitor = open_monitor(job.metrics, watched, tell)
    runs: dict[str, SourceRun | str] = {}
    for (name, source), output in zip(found.items(), outputs, strict=True):
        if isinstance(source, BaseException):
            runs[name] = sentence_of(name, source)
            tell(sentence_of(name, source))
        else:
            for note in source.info.notes:
                tell(f"{name}: {note}")
            sinks = open_sinks(job, output, source.info, model, paced=paced)
            runs[name] = SourceRun(source, output, StreamSinks(name, sinks))
    opened = {name: run for name, run in runs.items() if isinstance(run, SourceRun)}
    streams = [run.stream for run in opened.values()]
    options = StreamOptions(
        default_batch(model, len(opened), live=live) if job.batch is None else job.batch,
        job.wait_s,
        job.limits,
        job.is_stabilised(outputs),
        job.reuse,
        job.needs_pictures(outputs),
        job.keyframes,
        None if monitor is None else monitor.watch,
    )
    states = [StreamState(name, r.source, r.stream.stats) for name, r in opened.items()]
    scheduler = Scheduler(states, ladder or model, options)

    def on_failure(name: str, sentence: str) -> None:
        scheduler.stop(name)
        tell(sentence)

    has_own_outputs = any(outputs) or job.show
    start_s = time.perf_counter()
    with ExitStack() as stack:
        stack.callback(scheduler.close)
        shared = stack.enter_context(
            job.shared.open(
                f"{model.spec.name} on {model.provider}",
                job.colormap,
                lambda name: opened[name].stream.stats.dropped,
                paced=paced,
                alone=not has_own_outputs and job.pipe is None,
                overwrite=job.overwrite,
                tell=tell if go_on and has_own_outputs else None,
            )
        )
        for stream in streams:
            stream.sinks.extend(shared)
        stack.enter_context(monitored(monitor, job.metrics, streams))
        if paced:
            tell("shown at the pace of the recording; with -o it runs as fast as it can")
        advance = stack.enter_context(progress(total))
        interrupted = write_results(
            scheduler, streams, job.limits, advance, on_failure if go_on else None
        )
        seconds = time.perf_counter() - start_s
    error = "; ".join(sink.error for sink in shared if sink.error)
    return Run(job, model, ladder, options, runs, start_s, seconds, interrupted, error)


def _summary(
    run: Run,
    one: SourceRun,
    *,
    interrupted: bool = False,
    ladder: dict[str, object] | None = None,
) -> Summary:
    """The summary of one source."""
    source, stream = one.source, one.stream
    stats, warnings = stream.stats, [sink.warnings() for sink in stream.sinks]
    seconds = stream.ended_s - run.start_s
    has_output = one.output is not None and stats.written and not stream.error
    return Summary(
        source=stream.name,
        output=str(one.output) if has_output else None,
        model=run.model.spec.name,
        provider=run.model.provider,
        frames=stats.written,
        seconds=seconds,
        rate_fps=stats.written / seconds,
        stage_ms=stage_ms(stats),
        dropped=stats.dropped,
        scene_cuts=stats.scene_cuts,
        stabilised=run.options.stabilise,
        reused=stats.reused if run.job.reuse is not None else None,
        keyframes=keyframe_facts(stats) if run.job.keyframes is not None else None,
        clamped=sum(each.clamped for each in warnings),
        lost=source.losses.sentence(),
        interrupted=interrupted,
        late=stats.late,
        latency_ms=stats.latency.as_ms(),
        gaps_s=list(source.losses.gaps_s),
        error=stream.error,
        ladder=ladder,
        assumed="".join({each.assumed for each in warnings}),
        notes=list(source.info.notes),
    )


def _summary_of_unopened(run: Run, name: str, error: str) -> Summary:
    return Summary(
        source=name, output=None, model=run.model.spec.name, provider=run.model.provider, frames=0,
        seconds=0.0, rate_fps=0.0, stage_ms={}, dropped=0, scene_cuts=0, clamped=0, lost="",
        interrupted=False, error=error,
    )  # fmt: skip


def _totals(run: Run) -> Totals:
    """The summary of several sources."""
    stats = Stats()
    for each in run.opened:
        stats.merge(each.stream.stats)
    summaries = [
        _summary_of_unopened(run, name, one) if isinstance(one, str) else _summary(run, one)
        for name, one in run.sources.items()
    ]
    frames = sum(summary.frames for summary in summaries)
    return Totals(
        streams=summaries,
        model=run.model.spec.name,
        provider=run.model.provider,
        batch=run.options.batch or 1,
        frames=frames,
        seconds=run.seconds,
        rate_fps=frames / run.seconds,
        stage_ms=stage_ms(stats),
        reused=stats.reused if run.job.reuse is not None else None,
        keyframes=keyframe_facts(stats) if run.job.keyframes is not None else None,
        dropped=stats.dropped,
        late=stats.late,
        latency_ms=stats.latency.as_ms(),
        interrupted=run.interrupted,
        ladder=run.ladder.as_dict() if run.ladder else None,
        error=run.shared_error,
    )
