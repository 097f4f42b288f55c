"""A run of several sources at once: one session, one output each, and no failure stops another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from depthrt.errors import DepthrtError, SourceError, TargetError, UsageError
from depthrt.interrupts import held, hold, is_noted, raise_noted, terminable
from depthrt.jobs.run import (
    Job,
    check_frames,
    check_limits,
    is_paced,
    is_stabilised,
    load_ladder,
    load_model,
    open_sinks,
    shows_pictures,
    stem_of,
    summarise,
    writes_nothing_else,
)
from depthrt.jobs.summary import Summary, Totals, stage_ms
from depthrt.jobs.write_loop import finish, salvage, show_progress, with_word, write
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.model_ladder import Ladder
from depthrt.pipeline.options import StreamOptions, default_batch
from depthrt.pipeline.scheduler import Scheduler
from depthrt.pipeline.stream_state import End, StreamState
from depthrt.render.colormap import colour_table
from depthrt.result import Stats
from depthrt.sinks.base import Sink
from depthrt.sinks.open import check_output
from depthrt.sources.base import Source
from depthrt.sources.images import IMAGE_SUFFIXES
from depthrt.sources.open import is_glob
from depthrt.sources.open_many import open_many
from depthrt.sources.source_files import source_files

Form: TypeAlias = Literal["mp4", "mkv", "npz", "png", "ply"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(eq=False)
class Outlet:
    """One stream on its way into its outputs."""

    name: str
    source: Source
    output: Path | None
    sinks: list[Sink]
    stats: Stats = field(default_factory=Stats)
    open: bool = True
    ended_s: float = 0.0  # by time.perf_counter
    error: str = ""


def execute_many(
    job: Job, sources: Sequence[str], form: Form | None, tell: Callable[[str], None]
) -> Totals:
    """Run several sources through one session, an output of each in the folder ``job.output``.

    Args:
        job: what is to be done with each of them; its ``source`` is not looked at.
        sources: what ``depthrt run`` takes, each for one stream.
        form: what is written; None is .mp4, and a picture for a single image.
        tell: called with a sentence when a stream fails; the others go on.

    Raises:
        DepthrtError: the model cannot be used, an output may not be written, or no source can be
            opened.
    """
    colour_table(job.colormap)
    with terminable():
        return _execute_in_folder(job, sources, form, tell)


def _execute_in_folder(
    job: Job, sources: Sequence[str], form: Form | None, tell: Callable[[str], None]
) -> Totals:
    folder, made = _folder(job.output, several=len(sources) > 1)
    try:
        wanted = form is not None or folder is not None or job.needs_output
        outputs = plan(sources, folder, form) if wanted else [None] * len(sources)
        files = [path for text in sources for path in source_files(text)]
        for output in outputs:
            if output is not None:
                check_output(output, overwrite=job.overwrite, sources=files)
        _check_apart(outputs)
        job.downstream.check(outputs, files, job.overwrite, job.models)
        totals = _execute(job, sources, outputs, tell)
    finally:
        if made and folder is not None:
            with suppress(OSError):  # it holds something
                folder.rmdir()
    return totals


def _check_apart(outputs: Sequence[Path | None]) -> None:
    """Refuse two outputs that links make one."""
    taken: dict[str, Path] = {}
    for output in outputs:
        if output is not None and taken.setdefault(os.path.realpath(output), output) is not output:
            other = taken[os.path.realpath(output)]
            raise TargetError(f"{output} and {other} are one place: choose another folder")


def plan(sources: Sequence[str], folder: Path | None, form: Form | None) -> list[Path | None]:
    """Where the depth of each source goes: names that agree are numbered in the order given."""
    outputs: list[Path | None] = []
    for text in sources:
        stem = stem_of(text)
        single = Path(text).suffix.lower() in IMAGE_SUFFIXES and not is_glob(text)
        suffix = _suffix(form, single=single)
        number, output = 2, (folder or Path()) / f"{stem}_depth{suffix}"
        while output in outputs:
            output, number = output.with_name(f"{stem}_{number}_depth{suffix}"), number + 1
        outputs.append(output)
    return outputs


def _suffix(form: Form | None, *, single: bool) -> str:
    """The ending of an output; none is a folder."""
    if form is None:
        return ".png" if single else ".mp4"
    if form == "png" or (form == "ply" and not single):
        return ""
    return f".{form}"


def _folder(output: Path | None, *, several: bool) -> tuple[Path | None, bool]:
    """The folder for outputs, and whether it was made now."""
    if output is None:
        return None, False
    if output.suffix and not output.is_dir():
        raise UsageError(
            f"{output} is one file, but several sources have an output each: give a folder, and "
            f"--format {'|'.join(FORMS)} for what is written"
            if several
            else f"{output} is one file, but with --format -o is a folder: leave one of them out"
        )
    try:
        if output.is_dir():
            return output, False
        output.mkdir()
    except OSError as error:
        raise TargetError(
            f"the folder {output} cannot be made ({error.strerror or error})"
        ) from error
    return output, True


def _execute(
    job: Job, sources: Sequence[str], outputs: Sequence[Path | None], tell: Callable[[str], None]
) -> Totals:
    named = open_many(sources, job.selection, job.limits)
    opened = {name: source for name, source in named if not isinstance(source, BaseException)}
    if not opened:
        raise SourceError("; ".join(_sentence(name, error) for name, error in named))
    infos = [source.info for source in opened.values()]
    live = any(info.live for info in infos)
    check_limits(job.limits, live=live)
    ladder = load_ladder(job, outputs, tell)
    model = ladder.model if ladder else load_model(job, fast=live)
    outlets: dict[str, Outlet] = {}
    summaries: dict[str, Summary] = {}
    for (name, source), output in zip(named, outputs, strict=True):
        if isinstance(source, BaseException):
            said = _sentence(name, source)
            tell(said)
            summaries[name] = _not_opened(name, said, model)
        else:
            sinks = open_sinks(job, output, source.info, model)
            outlets[name] = Outlet(name, source, output, sinks)
    batch = default_batch(model, len(outlets), live=live) if job.batch is None else job.batch
    states = [StreamState(name, outlet.source, outlet.stats) for name, outlet in outlets.items()]
    stabilise = is_stabilised(job, outputs)
    options = StreamOptions(
        batch, job.wait_s, job.limits, stabilise, job.reuse, shows_pictures(job, outputs)
    )
    streams = Scheduler(states, ladder or model, options)
    counts = [info.frame_count for info in infos]
    total = None if None in counts else sum(count or 0 for count in counts)
    start = time.perf_counter()
    shared = job.downstream.open(
        model, job.colormap, lambda name: outlets[name].stats.dropped,
        paced=is_paced(job, live=live), alone=not any(outputs) and writes_nothing_else(job),
        overwrite=job.overwrite, tell=tell if any(outputs) or job.show else None,
    )  # fmt: skip
    with show_progress(total) as progress, shared as together:
        for outlet in outlets.values():
            outlet.sinks.extend(together)
        interrupted = drive_many(streams, outlets, progress, tell, job)
    seconds = time.perf_counter() - start
    for name, each in outlets.items():
        summaries[name] = summarise(
            each.source, each.stats, model, each.ended_s - start,
            output=each.output, sinks=each.sinks, interrupted=False, name=name, error=each.error,
            stabilised=stabilise, reuse=job.reuse is not None,
        )  # fmt: skip
    in_order = [summaries[name] for name, _ in named]
    return _totals(
        in_order,
        list(outlets.values()),
        model,
        batch,
        seconds,
        interrupted,
        ladder,
        reuse=job.reuse is not None,
        error="; ".join(sink.error for sink in together if sink.error),
    )


def drive_many(
    streams: Scheduler,
    outlets: dict[str, Outlet],
    progress: Callable[[], None],
    tell: Callable[[str], None],
    job: Job,
) -> bool:
    """Write the results of each stream to its sinks; whether Ctrl-C ended it early.

    An output is put in its place when its stream ends. Of a stream that fails, or whose output
    does, what was done is kept beside its place, and the others go on.
    """
    interrupted = cut_short = False

    def fail(outlet: Outlet, error: BaseException) -> None:
        outlet.open = False
        streams.stop(outlet.name)
        outlet.error = with_word(_sentence(outlet.name, error), salvage(outlet.sinks))
        outlet.ended_s = time.perf_counter()
        tell(outlet.error)

    def end(outlet: Outlet, *, early: bool = False) -> None:
        outlet.open = False
        try:
            if not early:
                check_frames(outlet.name, outlet.stats, job.limits)
            finish(outlet.sinks, outlet.stats, cut_short=early)
            outlet.ended_s = time.perf_counter()
        except Exception as error:
            fail(outlet, error)

    try:
        for event in streams:
            if isinstance(event, End):
                outlet = outlets[event.stream]
                with held():  # a signal breaks off no output that is being finished
                    if outlet.open and event.error is not None:
                        fail(outlet, event.error)
                    elif outlet.open:
                        end(outlet)
                raise_noted()
                continue
            outlet = outlets[event.frame.stream]
            if not outlet.open:
                continue
            try:
                wanted = write(event, outlet.sinks, outlet.stats)
            except Exception as error:  # whatever one output stumbles over, the others go on
                with held():
                    fail(outlet, error)
                raise_noted()
                continue
            progress()
            raise_noted()
            if not wanted:
                cut_short = True
                break
        hold()
    except KeyboardInterrupt:
        hold()
        interrupted = cut_short = True
    except BaseException:
        hold()
        streams.close()
        for outlet in outlets.values():
            salvage(outlet.sinks)
        raise
    try:
        streams.close()
        for outlet in outlets.values():
            if outlet.open:
                end(outlet, early=cut_short)
    except KeyboardInterrupt as error:
        kept = [place for outlet in outlets.values() for place in salvage(outlet.sinks)]
        raise KeyboardInterrupt(with_word("interrupted", kept)) from error
    return interrupted or is_noted()


def _sentence(name: str, error: BaseException | Source) -> str:
    """What an error says, with the name of the stream that it ended."""
    said = str(error) if isinstance(error, DepthrtError) else f"{type(error).__name__}: {error}"
    return said if name in said else f"{name}: {said}"


def _not_opened(text: str, error: str, model: DepthModel) -> Summary:
    return Summary(
        source=text, output=None, model=model.spec.name, provider=model.provider, frames=0,
        seconds=0.0, rate_fps=0.0, stage_ms={}, dropped=0, scene_cuts=0, clamped=0, lost="",
        interrupted=False, error=error,
    )  # fmt: skip


def _totals(
    summaries: list[Summary],
    outlets: list[Outlet],
    model: DepthModel,
    batch: int,
    seconds: float,
    interrupted: bool,
    ladder: Ladder | None,
    *,
    reuse: bool,
    error: str,
) -> Totals:
    stats = Stats()
    for outlet in outlets:
        stats.merge(outlet.stats)
    frames = sum(each.frames for each in summaries)
    return Totals(
        streams=summaries,
        model=model.spec.name,
        provider=model.provider,
        batch=batch,
        frames=frames,
        seconds=seconds,
        rate_fps=frames / seconds,
        stage_ms=stage_ms(stats),
        reused=stats.reused if reuse else None,
        dropped=stats.dropped,
        late=stats.late,
        latency_ms=stats.latency.as_ms(),
        interrupted=interrupted,
        ladder=ladder.as_dict() if ladder else None,
        error=error,
    )
