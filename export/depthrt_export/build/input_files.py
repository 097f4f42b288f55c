"""The files that an export reads, which none of its outputs may take the place of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from depthrt.errors import UsageError
from depthrt.sinks.base import check_target
from depthrt.sources.source_files import source_files
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.search.resume import journal_place


def check_outputs(
    source: str,
    target: Path,
    said: SourceOptions,
    options: ExportOptions,
    pages: Sequence[Path] = (),
) -> None:
    """Make sure that model and pages can be written, each to a place of its own.

    Raises:
        TargetError: one exists and may not be overwritten, is read, or cannot be written.
        UsageError: two would be one file.
    """
    named = [source.rpartition(":")[0] or source, said.checkpoint]
    files = [Path(path) for path in named if path]
    for shown in (options.frames, options.calibration, options.validate):
        files += [] if shown is None else source_files(shown)
    labelled = [] if options.dataset is None else [options.dataset]
    taken = {journal_place(target).resolve()}
    for place in (target, *pages):
        if place.resolve() in taken:
            raise UsageError(f"{place} is another output, too: give each a name of its own")
        taken.add(place.resolve())
        check_target(place, overwrite=options.overwrite, sources=files, read=labelled)
