"""`depthrt run --metrics`: what is watched of a run, and the page that says it."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from depthrt.address import parse_address
from depthrt.errors import ModelError, UsageError
from depthrt.jobs.write_loop import SinkState, StreamSinks
from depthrt.model.depth_model import DepthModel
from depthrt.monitor.exposition import metric_table as table
from depthrt.monitor.exposition.families import (
    StreamState,
    drift_families,
    model_families,
    stream_families,
)
from depthrt.monitor.exposition.http import serve_metrics
from depthrt.monitor.exposition.text_format import Family, to_text
from depthrt.monitor.kept import KeptReferences
from depthrt.monitor.reference import Reference, reference_in
from depthrt.monitor.watch import Watch, WatchOptions
from depthrt.sinks.base import check_target

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Metrics:
    """What is wanted.

    - ``address``: ``[HOST:]PORT`` of the page; None: nothing is watched;
    - ``reference``: the file that keeps the references of the streams.
    """

    address: str | None = None
    reference: Path | None = None

    def check(self) -> None:
        """Refuse what cannot be, before any work is done.

        Raises:
            UsageError: an address that is none, or a reference without metrics.
            ModelError: the file of references holds something else.
            TargetError: it cannot be written.
        """
        if self.address is not None:
            parse_address(self.address, "--metrics")
        if self.reference is None:
            return
        if self.address is None:
            raise UsageError("--reference keeps what drift is judged against: give --metrics, too")
        KeptReferences.open(self.reference)
        check_target(self.reference, overwrite=True)


class RunMonitor:
    """Watches the streams of a run.

    Args:
        models: that may run.
        kept: the references of earlier runs; None: they are not kept.
        tell: called with a sentence when drift begins or ends, for instance.

    Raises:
        ModelError: the reference in a model's file is broken.
    """

    def __init__(
        self, models: Sequence[DepthModel], kept: KeptReferences | None, tell: Tell
    ) -> None:
        self._kept, self._tell = kept, tell
        hashes = [model.sha256() for model in models]
        self._sha256 = {id(model): each for model, each in zip(models, hashes, strict=True)}
        self._models = dict(zip(hashes, models, strict=True))
        self._in_files = {sha256: _in_file(model) for sha256, model in self._models.items()}
        self._names = _names({each: model.spec.name for each, model in self._models.items()})
        self._watches: dict[tuple[str, str], Watch] = {}
        self._lock = threading.Lock()
        self._start_s = time.time()

    def watch(self, stream: str, model: DepthModel) -> Watch:
        """What watches a stream while a model runs."""
        sha256 = self._sha256[id(model)]
        with self._lock:
            found = self._watches.get((stream, sha256))
            if found is None:
                found = self._watches[stream, sha256] = self._new(stream, sha256)
        return found

    def page(self, streams: Mapping[str, StreamState]) -> str:
        """The text for Prometheus."""
        with self._lock:
            watches = dict(self._watches)
        verdicts = [
            ({"stream": stream, "model": self._names[sha256]}, watch.verdict)
            for (stream, sha256), watch in watches.items()
        ]
        return to_text(
            [
                *model_families(self._models, self._names),
                Family(table.STARTED, [({}, self._start_s)]),
                *stream_families(streams),
                *drift_families(verdicts),
            ]
        )

    def judged_against(self) -> str:
        """What drift is judged against, in a few words."""
        known = [each for each in self._in_files.values() if each is not None]
        kept = sorted(self._kept.references) if self._kept else []
        if kept:
            return f"the references of {', '.join(kept)} in {self._kept and self._kept.path}"
        if known:
            return f"{known[0].frames} frames of {known[0].source}, kept in the model file"
        return "the first 10 minutes of each stream: all should be well then"

    def _new(self, stream: str, sha256: str) -> Watch:
        kept = self._kept.references.get(stream) if self._kept else None
        tell = partial(self._tell_of, stream)
        in_file = self._in_files.get(sha256)
        if kept is not None:
            if kept.model != sha256:
                tell("its reference was made with another model file: depth may differ for that")
            return Watch(WatchOptions(kept, "kept", model_sha256=sha256), tell)
        if in_file is not None:
            return Watch(WatchOptions(in_file, "file", model_sha256=sha256), tell)
        keep = self._kept and partial(self._kept.keep, stream, tell=tell)
        return Watch(WatchOptions(model_sha256=sha256), tell, keep or (lambda reference: None))

    def _tell_of(self, stream: str, sentence: str) -> None:
        self._tell(f"{stream}: {sentence}")


@contextmanager
def monitored(
    monitor: RunMonitor | None, metrics: Metrics, streams: Sequence[StreamSinks]
) -> Iterator[None]:
    """Serve the page of a run until the end of the block.

    Raises:
        UsageError, TargetError: the address is none, or cannot be opened.
    """
    if monitor is None or metrics.address is None:
        yield
        return

    for stream in streams:
        stream.stats.count_stages()

    def page() -> str:
        return monitor.page({stream.name: _state(stream) for stream in streams})

    with serve_metrics(metrics.address, page) as url:
        against = monitor.judged_against()
        sys.stderr.write(f"depthrt: metrics at {url}; drift is judged against {against}\n")
        yield


def open_monitor(metrics: Metrics, models: Sequence[DepthModel], tell: Tell) -> RunMonitor | None:
    """What watches a run; None if nothing is to be watched."""
    if metrics.address is None:
        return None
    kept = None if metrics.reference is None else KeptReferences.open(metrics.reference)
    return RunMonitor(models, kept, tell)


def _names(names: Mapping[str, str]) -> dict[str, str]:
    """A label for each model by its hash; of equal names, with the start of the hash."""
    counts = Counter(names.values())
    return {
        sha256: name if counts[name] == 1 else f"{name}@{sha256[:8]}"
        for sha256, name in names.items()
    }


def _state(stream: StreamSinks) -> StreamState:
    return StreamState(stream.stats, stream.state is not SinkState.OPEN, bool(stream.error))


def _in_file(model: DepthModel) -> Reference | None:
    try:
        return reference_in(model.session.get_modelmeta().custom_metadata_map)
    except ModelError as error:
        raise ModelError(f"{model.path}: {error}: export the file again") from error
