"""Where results go besides a file of their own: standard output, JSON lines, a preview, points."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from depthrt.errors import TargetError, UsageError, WriteError
from depthrt.model.depth_model import DepthModel
from depthrt.render.camera import Intrinsics
from depthrt.render.point_cloud import CloudOptions
from depthrt.result import Result
from depthrt.sinks.base import Sink, check_target
from depthrt.sinks.jsonl import JsonlSink
from depthrt.sinks.pipe import PIPE_FORMATS, PipeFormat, check_standard_output

STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True)
class Downstream:
    """What is wanted besides, or in place of, an output file.

    - ``pipe``: frames on standard output, in this form;
    - ``jsonl``: a JSON line of every frame, into this file; ``-`` is standard output;
    - ``preview``: ``PORT`` or ``HOST:PORT`` of a page to look at;
    - ``points``: folders hold point clouds, not 16-bit PNG;
    - ``cloud``: how points are made.
    """

    pipe: PipeFormat | None = None
    jsonl: Path | None = None
    preview: str | None = None
    points: bool = False
    cloud: CloudOptions = field(default_factory=CloudOptions)

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody who gave no output has said enough."""
        return bool(self.pipe or self.jsonl or self.preview)

    @property
    def takes_standard_output(self) -> bool:
        """Whether nothing else may be written there."""
        return self.pipe is not None or self.jsonl == STANDARD_OUTPUT

    def check(
        self,
        outputs: Sequence[Path | None],
        sources: Sequence[Path],
        overwrite: bool,
        models: Sequence[Path] = (),
    ) -> None:
        """Refuse what cannot be written, before any work is done; sources and models must survive.

        Raises:
            TargetError: a place that cannot be written or would be overwritten.
            UsageError: two things would go to one place, or frames to a terminal.
        """
        place = self.jsonl
        if self.takes_standard_output:
            check_standard_output(frames=self.pipe is not None)
        if self.pipe is not None and place == STANDARD_OUTPUT:
            raise UsageError("-o - and --jsonl - both write to standard output: name a file")
        if place is None or place == STANDARD_OUTPUT:
            return
        for output in outputs:
            if output is not None and _same(place, output):
                raise UsageError(f"-o and --jsonl both write {place}: give them two names")
            if output is not None and _real(output) in _real(place).parents:
                raise UsageError(
                    f"-o {output} is replaced when it is whole: write --jsonl elsewhere"
                )
        if place.exists() and not place.is_file() and not place.is_dir():
            return  # a named pipe or a device
        if any(place.samefile(model) for model in models if place.exists() and model.exists()):
            raise TargetError(f"--jsonl {place} is the model itself: choose another output")
        check_target(place, overwrite=overwrite, sources=sources)

    @contextmanager
    def open(
        self,
        model: DepthModel,
        colormap: str,
        dropped: Callable[[str], int],
        *,
        paced: bool,
        alone: bool,
        overwrite: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> Iterator[list[Shared]]:
        """The sinks that all streams share; they are closed at the end of the block.

        Args:
            model: what the preview says of it.
            colormap: of the preview.
            dropped: how many frames of a stream were dropped so far.
            paced: a preview shows recordings no faster than they were taken.
            alone: nothing else is written or shown: nobody waits for more when a reader goes away.
            overwrite: a file of JSON lines may be replaced.
            tell: called with a sentence when one of them fails, and the streams go on without it;
                None: its error ends the run.
        """
        with ExitStack() as stack:
            sinks: list[Sink] = []
            if self.jsonl is not None:
                target = None if self.jsonl == STANDARD_OUTPUT else self.jsonl
                sinks.append(JsonlSink(target, dropped, overwrite=overwrite))
            if self.preview is not None:
                from depthrt.sinks.preview.sink import PreviewSink

                about = f"{model.spec.name} on {model.provider}"
                preview = PreviewSink(self.preview, about, colormap, dropped, paced=paced)
                sys.stderr.write(f"depthrt: preview at {preview.url}\n")
                sinks.append(preview)
            for sink in sinks:
                stack.callback(sink.close, complete=True)
            alone = alone and len(sinks) == 1
            yield [Shared(sink, tell, alone=alone) for sink in sinks]


def _same(one: Path, other: Path) -> bool:
    """Whether two names stand for one place; neither need exist."""
    return _real(one) == _real(other)


def _real(path: Path) -> Path:
    """The place that a name stands for; links that lead in a circle are left to who opens them."""
    return Path(os.path.realpath(path))


class Shared:
    """A sink of several streams: neither the end of one of them closes it, nor its own stops them.

    ``error`` says why it ended early, else it is empty. ``alone``: there is no other, and the run
    may end when nobody reads it any more.
    """

    def __init__(self, sink: Sink, tell: Callable[[str], None] | None, *, alone: bool) -> None:
        self._sink, self._tell, self._alone = sink, tell, alone
        self._ended = False
        self.error = ""

    def write(self, result: Result) -> bool:
        """Hand on a result."""
        if self._ended or self.error:
            return True
        try:
            self._ended = not self._sink.write(result)
            return not (self._ended and self._alone)
        except (TargetError, WriteError) as error:
            if self._tell is None:
                raise
            self.error = str(error)
            self._tell(f"{error}; all else goes on")
            return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Leave it to whoever opened it."""
        return None


def pipe_format(output: Path | None, form: str | None, sources: int) -> PipeFormat | None:
    """The form of frames on standard output; None when they go elsewhere.

    Raises:
        UsageError: a form of the one for the other, or frames of several sources.
    """
    piped = next((known for known in PIPE_FORMATS if known == form), None)
    if output != STANDARD_OUTPUT:
        if piped is not None:
            raise UsageError(f"--format {form} is for standard output: give -o -, too")
        return None
    if form is not None and piped is None:
        *most, last = PIPE_FORMATS
        raise UsageError(f"--format {form} is for files: -o - takes {', '.join(most)} or {last}")
    if sources > 1:
        raise UsageError(f"-o - takes the frames of one source, not of {sources}")
    return piped or "y4m"


def cloud_options(
    fov_deg: float | None,
    intrinsics: str | None,
    near: float | None,
    far: float | None,
    edge: float | None,
    *,
    wanted: bool,
) -> CloudOptions:
    """The options of the command line.

    Raises:
        UsageError: they contradict one another, or no points are ``wanted``.
    """
    if (near is None) != (far is None):
        raise UsageError("--near and --far go together: give both")
    span = None if near is None or far is None else (near, far)
    camera = None if intrinsics is None else Intrinsics.parse(intrinsics)
    options = CloudOptions(fov_deg, camera, span, edge)
    if not wanted and not options.is_default:
        raise UsageError(
            "--fov, --intrinsics, --near, --far and --edge are for point clouds: write .ply, or "
            "--format ply"
        )
    return options
