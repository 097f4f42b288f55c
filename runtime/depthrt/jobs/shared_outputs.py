"""The outputs that all streams of a run share: JSON lines, and a preview in the browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from depthrt.errors import TargetError, UsageError, WriteError
from depthrt.result import Result
from depthrt.sinks.base import Sink, check_target
from depthrt.sinks.jsonl import JsonlSink

STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True)
class SharedOutputs:
    """Which shared outputs are wanted.

    - ``jsonl``: the file for a JSON line of every frame; ``-`` is standard output;
    - ``preview``: ``PORT`` or ``HOST:PORT`` of the preview.
    """

    jsonl: Path | None = None
    preview: str | None = None

    @property
    def is_asked_for(self) -> bool:
        """Whether there is any."""
        return bool(self.jsonl or self.preview)

    @property
    def takes_standard_output(self) -> bool:
        """Whether JSON lines are written to standard output."""
        return self.jsonl == STANDARD_OUTPUT

    def check(
        self,
        outputs: Sequence[Path | None],
        sources: Sequence[Path],
        models: Sequence[Path],
        *,
        overwrite: bool,
    ) -> None:
        """Refuse a file of JSON lines that cannot be written, before any work is done.

        Args:
            outputs: of the sources.
            sources: files that must not be replaced.
            models: likewise.
            overwrite: an existing file may be replaced.

        Raises:
            TargetError: it cannot be written, exists, or is a source or a model.
            UsageError: it is one of ``outputs``, or inside one.
        """
        path = self.jsonl
        if path is None or path == STANDARD_OUTPUT:
            return
        for output in outputs:
            if output is not None and _real(path) == _real(output):
                raise UsageError(f"-o and --jsonl both write {path}: give them two names")
            if output is not None and _real(output) in _real(path).parents:
                raise UsageError(
                    f"-o {output} is replaced when it is whole: write --jsonl elsewhere"
                )
        if path.exists() and not path.is_file() and not path.is_dir():
            return  # a named pipe or a device
        if any(path.samefile(model) for model in models if path.exists() and model.exists()):
            raise TargetError(f"--jsonl {path} is the model itself: choose another output")
        check_target(path, overwrite=overwrite, sources=sources)

    @contextmanager
    def open(
        self,
        about: str,
        colormap: str,
        dropped: Callable[[str], int],
        *,
        paced: bool,
        alone: bool,
        overwrite: bool,
        tell: Callable[[str], None] | None,
    ) -> Iterator[list[SharedSink]]:
        """The sinks that all streams write to; they are closed at the end of the block.

        Args:
            about: what the preview says of the model.
            colormap: the colours of the preview.
            dropped: gives how many frames of a stream were dropped so far.
            paced: the preview shows recordings no faster than they were recorded.
            alone: there is no other output: the run ends when the only shared one has no reader.
            overwrite: an existing file of JSON lines may be replaced.
            tell: called with a sentence when one of them fails, and the streams go on without it;
                None: its error ends the run.
        """
        with ExitStack() as stack:
            sinks: list[Sink] = []
            if self.jsonl is not None:
                target = None if self.takes_standard_output else self.jsonl
                sinks.append(JsonlSink(target, dropped, overwrite=overwrite))
            if self.preview is not None:
                from depthrt.sinks.preview.sink import PreviewSink

                preview = PreviewSink(self.preview, about, colormap, dropped, paced=paced)
                sys.stderr.write(f"depthrt: preview at {preview.url}\n")
                sinks.append(preview)
            for sink in sinks:
                stack.callback(sink.close, complete=True)
            ends_run = alone and len(sinks) == 1
            yield [SharedSink(sink, tell, ends_run=ends_run) for sink in sinks]


class SharedSink(Sink):
    """A sink that several streams write to.

    It stays open when one of the streams ends. When it has no reader any more, the streams go on,
    unless it ``ends_run``. ``error`` says why it failed; it is empty if it did not.
    """

    def __init__(self, sink: Sink, tell: Callable[[str], None] | None, *, ends_run: bool) -> None:
        self._sink, self._tell, self._ends_run = sink, tell, ends_run
        self._has_reader = True
        self.error = ""

    def write(self, result: Result) -> bool:
        """Write a result, if the sink still takes any."""
        if not self._has_reader or self.error:
            return True
        try:
            self._has_reader = self._sink.write(result)
            self.paused_s = self._sink.paused_s
            return self._has_reader or not self._ends_run
        except (TargetError, WriteError) as error:
            if self._tell is None:
                raise
            self.error = str(error)
            self._tell(f"{error}; all else goes on")
            return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Do nothing: it is closed where it was opened, once all streams have ended."""
        return None


def _real(path: Path) -> Path:
    """What a path points to; it need not exist, and may be a link to itself."""
    return Path(os.path.realpath(path))
