"""Results of one stream into sinks, as `depthrt run` writes them."""

from __future__ import annotations

from depthrt import LiveLimits, Stats
from depthrt.jobs.write_loop import Events, StreamSinks, write_results
from depthrt.sinks.base import Sink


def write_into(sinks: list[Sink], events: Events, name: str, stats: Stats | None = None) -> bool:
    """Write the results of the stream ``name``; whether Ctrl-C ended it early."""
    stream = StreamSinks(name, sinks, stats or Stats())
    return write_results(events, [stream], LiveLimits(), lambda: None)
