"""The output of each source: where it goes, whether it can be written, and its sinks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from depthrt.errors import DepthrtError, TargetError, UsageError
from depthrt.jobs.run_job import Job
from depthrt.model.depth_model import DepthModel
from depthrt.sinks.base import Sink
from depthrt.sinks.image import WindowSink
from depthrt.sinks.open import Output, check_output, check_size, open_sink
from depthrt.sinks.pipe import PipeSink, check_standard_output
from depthrt.sources.base import Source, SourceInfo
from depthrt.sources.display_name import shown_source
from depthrt.sources.images import IMAGE_SUFFIXES
from depthrt.sources.open import is_glob
from depthrt.sources.source_files import existing

Form: TypeAlias = Literal["mp4", "mkv", "npz", "png", "ply"]
FORMS: tuple[Form, ...] = get_args(Form)


def stem_of(text: str) -> str:
    """The name of a source's output, without ``_depth`` and extension."""
    name = f"camera {text}" if text.isdecimal() else shown_source(text)
    stem = Path(text).stem if name == text and (existing(text) or text == "demo") else ""
    return stem or "".join(c if c.isalnum() else "_" for c in name).strip("_")


def default_output(text: str, info: SourceInfo) -> Output:
    """The output of a single source, if none was given: in the working folder."""
    single = info.rate is None
    return Output(Path(f"{stem_of(text)}_depth{'.png' if single else '.mp4'}"), False)


def plan_outputs(sources: Sequence[str], folder: Path | None, form: Form | None) -> list[Output]:
    """The output of each of several sources; equal names are numbered in the order given.

    Args:
        sources: as on the command line.
        folder: for all of them; None is the working folder.
        form: what is written; None is .mp4, and .png for a single image.
    """
    outputs: list[Output] = []
    taken: set[Path] = set()
    for text in sources:
        stem = stem_of(text)
        single = Path(text).suffix.lower() in IMAGE_SUFFIXES and not is_glob(text)
        suffix = _suffix(form, single=single)
        number, output = 2, (folder or Path()) / f"{stem}_depth{suffix}"
        while output in taken:
            output, number = output.with_name(f"{stem}_{number}_depth{suffix}"), number + 1
        taken.add(output)
        outputs.append(Output(output, is_folder=not suffix))
    return outputs


def _suffix(form: Form | None, *, single: bool) -> str:
    """The extension of an output; a folder has none."""
    if form is None:
        return ".png" if single else ".mp4"
    if form == "png" or (form == "ply" and not single):
        return ""
    return f".{form}"


@contextmanager
def output_folder(output: Output | None, *, several: bool) -> Iterator[Path | None]:
    """The folder for the outputs of all sources; None if none was given.

    It is made if need be, and removed again if it is empty at the end of the block.

    Args:
        output: the folder.
        several: there are several sources.

    Raises:
        TargetError: it cannot be made.
        UsageError: the name is that of a file.
    """
    path = None if output is None else output.path
    try:
        if output is None or path is None or path.is_dir():
            made = None
        elif not output.is_folder:
            raise UsageError(
                f"{path} is one file, but several sources have an output each: give a folder, as "
                f"{path}/, and --format {'|'.join(FORMS)} for what is written"
                if several
                else f"{path} is one file, but with --format -o is a folder: leave one of them "
                f"out, or give {path}/"
            )
        else:
            path.mkdir()
            made = path
    except OSError as error:
        reason = error.strerror or error
        raise TargetError(f"the folder {path} cannot be made ({reason})") from error
    try:
        yield path
    finally:
        if made is not None:
            with suppress(OSError):  # it is not empty
                made.rmdir()


def check_outputs(job: Job, outputs: Sequence[Output | None], sources: Sequence[Path]) -> None:
    """Refuse outputs that cannot be written, before any work is done.

    Args:
        job: says what else is written.
        outputs: of all sources.
        sources: files that must not be replaced.

    Raises:
        TargetError: an output exists, is a source or the model, or cannot be written.
        UsageError: two outputs have the same target, a file format is unknown, frames would go to
            a terminal, or a size is asked for of what has none.
    """
    for output in outputs:
        if output is not None:
            check_output(output, overwrite=job.overwrite, sources=sources)
    job.check_size(outputs)
    paths = [None if output is None else output.path for output in outputs]
    _check_distinct(paths)
    if job.takes_standard_output:
        check_standard_output(frames=job.pipe is not None)
    if job.pipe is not None and job.shared.takes_standard_output:
        raise UsageError("-o - and --jsonl - both write to standard output: name a file")
    job.shared.check(paths, sources, job.model_paths, overwrite=job.overwrite)
    job.metrics.check()


def _check_distinct(outputs: Sequence[Path | None]) -> None:
    """Refuse two outputs that are the same file or folder, as links may make them."""
    taken: dict[str, Path] = {}
    for output in outputs:
        if output is not None and taken.setdefault(os.path.realpath(output), output) is not output:
            other = taken[os.path.realpath(output)]
            raise TargetError(f"{output} and {other} are one place: choose another folder")


def fitting(
    job: Job, source: Source | BaseException, output: Output | None
) -> Source | BaseException:
    """A source that could be opened, or the error of pictures that its output cannot hold."""
    if output is None or isinstance(source, BaseException):
        return source
    try:
        check_size(output, source.info, job.view, job.size)
    except DepthrtError as error:
        source.close()
        return error
    return source


def open_sinks(
    job: Job, output: Output | None, info: SourceInfo, model: DepthModel, *, paced: bool
) -> list[Sink]:
    """The sinks of one source: its output, standard output, a window.

    Args:
        job: says which there are.
        output: the file or folder; None without one.
        info: of the source.
        model: gives the depth.
        paced: a window shows a recording no faster than it was recorded.
    """
    sinks: list[Sink] = []
    if output is not None:
        sink = open_sink(
            output, info, model.spec, job.view, job.colormap, job.cloud,
            points=job.points, size=job.size, overwrite=job.overwrite,
        )  # fmt: skip
        sinks.append(sink)
    if job.pipe is not None:
        sinks.append(PipeSink(job.pipe, info, model.spec, job.view, job.colormap, job.size))
    if job.show:
        sinks.append(WindowSink(info.name, job.view, job.colormap, paced=paced))
    return sinks
