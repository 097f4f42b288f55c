"""`depthrt run --metrics`: what is watched of a run, and the page that says it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from depthrt.errors import UsageError
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
from depthrt.monitor.watch import Watch
from depthrt.monitor.watches import Tell, WatchedModel, Watches, reference_of
from depthrt.sinks.base import check_target
from depthrt.system.address import parse_address


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
        hashes = [model.sha256() for model in models]
        self._models = dict(zip(hashes, models, strict=True))
        self._names = _names({each: model.spec.name for each, model in self._models.items()})
        watched = {
            sha256: WatchedModel(sha256, self._names[sha256], reference_of(model))
            for sha256, model in self._models.items()
        }
        self._watched = {
            id(model): watched[sha256] for model, sha256 in zip(models, hashes, strict=True)
        }
        self._watches = Watches(kept, tell)
        self._start_s = time.time()

    def watch(self, stream: str, model: DepthModel) -> Watch:
        """What watches a stream while a model runs."""
        return self._watches.watch(stream, self._watched[id(model)])

    def page(self, streams: Mapping[str, StreamState]) -> str:
        """The text for Prometheus."""
        return to_text(
            [
                *model_families(self._models, self._names),
                Family(table.STARTED, [({}, self._start_s)]),
                *stream_families(streams),
                *drift_families(self._watches.verdicts()),
            ]
        )

    def judged_against(self) -> str:
        """What drift is judged against, in a few words."""
        models = list(self._watched.values())
        known = [each for each in models if each.reference is not None]
        return self._watches.judged_against((known or models)[0])


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
