"""`depthrt batch` without its command line."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from depthrt.errors import DepthrtError, ModelError, SourceError, TargetError
from depthrt.files.file_hash import file_sha256
from depthrt.model.catalogue.registry import find_model
from depthrt.render.colormap import colour_table
from depthrt_archives.driver import Driver, Tell, Totals
from depthrt_archives.engines.base import Engine
from depthrt_archives.plan.items import batch_items, check_sources
from depthrt_archives.record.manifest import Manifest
from depthrt_archives.record.work_folder import WorkFolder
from depthrt_archives.tasks import BatchOptions


@dataclass(frozen=True)
class Batch:
    """What is to be done.

    - ``words``: sources, as on the command line;
    - ``workers``: how many;
    - ``retries``, ``max_failures``: see :class:`Driver`.
    """

    words: tuple[str, ...]
    options: BatchOptions
    workers: int
    retries: int = 4
    max_failures: int | None = None


def prepare(batch: Batch) -> Batch:
    """The batch with the paths of its model and its folder; nothing is made yet.

    Raises:
        DepthrtError: there is no such source, model or colour map, or the folder is a file.
    """
    check_sources(batch.words, batch.options.out)
    colour_table(batch.options.colormap)
    model = find_model(batch.options.model if str(batch.options.model) != "." else None)
    if not model.is_file():
        raise ModelError(f"no model file at {model}: check the path, or see `depthrt models`")
    out = batch.options.out
    if out.exists() and not out.is_dir():
        raise TargetError(f"the folder {out} cannot be made (there is a file)")
    options = replace(batch.options, out=out.resolve(), model=model.resolve())
    return replace(batch, options=options)


def execute(batch: Batch, engine: Engine, tell: Tell) -> Totals:
    """Run a batch that :func:`prepare` has prepared.

    Where nothing was begun, because of a mistake in the command, no folder is left.

    Raises:
        DepthrtError: the folder cannot be made or belongs to another job, or a source that was
            named is not there, or there is no source at all.
        KeyboardInterrupt: Ctrl-C; what is done stays.
    """
    options = batch.options
    work = WorkFolder(options.out)
    settings = {"model_sha256": file_sha256(options.model), **options.as_dict()}
    replaced = work.begin(settings, overwrite=options.overwrite)
    try:
        if replaced is not None and (form := replaced.get("format")) != options.form:
            tell("outputs_stay", {"format": form, "out": str(options.out)})
        manifest = Manifest(options.out)

        def head(facts: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"format": "depthrt batch", **facts, "options": options.as_dict()}

        items = batch_items(batch.words, options.form, options.out)
        driver = Driver(
            engine, batch.workers, options, items, manifest, head, tell,
            retries=batch.retries, max_failures=batch.max_failures,
        )  # fmt: skip
        try:
            totals = driver.run()
        finally:
            engine.close()
        if manifest.path.is_file():
            manifest.finish()
        if not (totals.done or totals.skipped or totals.failures or totals.stopped):
            raise SourceError(f"there is no video and no picture at {', '.join(batch.words)}")
        return totals
    finally:
        work.end()


class SourceCount:
    """Counts the sources in the background, for the progress bar."""

    def __init__(self, batch: Batch) -> None:
        self._batch, self._count = batch, 0
        self._is_over = False
        threading.Thread(target=self._run, daemon=True).start()

    def __call__(self) -> int | None:
        """How many there are; None while that is not known."""
        return self._count if self._is_over else None

    def _run(self) -> None:
        options = self._batch.options
        try:
            for _ in batch_items(self._batch.words, options.form, options.out):
                self._count += 1
        except DepthrtError:
            return  # the driver says what is wrong
        self._is_over = True
