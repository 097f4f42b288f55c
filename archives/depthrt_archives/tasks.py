"""What a driver asks of workers, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from depthrt.render.views import View
from depthrt.sinks.depth.codes import MapSize
from depthrt.temporal.frame_reuse import Reuse
from depthrt.temporal.keyframes import Keyframes

Form: TypeAlias = Literal["mp4", "mkv", "npz", "png"]


@dataclass(frozen=True)
class BatchOptions:
    """What decides the outputs, and how a worker computes them.

    - ``out``: the folder of all outputs, an absolute path that every worker can write to;
    - ``model``: the path of the model file;
    - ``form``: what is written of each source;
    - ``segment_s``: how long the segments of long videos are at least, in seconds;
    - ``cores``: of each worker.
    """

    out: Path
    model: Path
    form: Form = "mp4"
    view: View = "depth"
    colormap: str = "inferno"
    size: MapSize = "network"
    stabilise: bool | None = None
    reuse: Reuse | None = None
    keyframes: Keyframes | None = None
    provider: str = "auto"
    segment_s: float = 60.0
    cores: int = 1
    overwrite: bool = False

    @property
    def is_stabilised(self) -> bool:
        """Whether flicker is taken out; by default only where depth is just looked at."""
        return self.form == "mp4" if self.stabilise is None else self.stabilise

    @property
    def may_run_ahead(self) -> bool:
        """Whether the network may run for a segment before the one ahead of it is done."""
        return self.keyframes is None and self.reuse is None and self.view == "depth"

    def as_dict(self) -> dict[str, Any]:
        """What decides the outputs, as JSON."""
        return {
            "format": self.form,
            "view": self.view,
            "colormap": self.colormap,
            "size": self.size,
            "stabilised": self.is_stabilised,
            "reuse": None if self.reuse is None else [self.reuse.threshold, self.reuse.max_age_s],
            "keyframes": None if self.keyframes is None else self.keyframes.budget,
        }


@dataclass(frozen=True)
class Item:
    """One source and its output.

    - ``id``: the same for the same source in every run;
    - ``source``: an absolute path or a URL;
    - ``output``: path below the folder of outputs.
    """

    id: str
    source: str
    output: str


@dataclass(frozen=True)
class Task:
    """What a worker is to do.

    - ``start``: begin or take up a source: all of it, where it is short;
    - ``run``: the next segment of a long video;
    - ``ahead``: run the network for a later segment.
    """

    kind: Literal["start", "run", "ahead"]
    item: Item
    segment: int = 0
    known: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it the same task when it is tried again."""
        return self.kind, self.item.id, self.segment


@dataclass(frozen=True)
class Ready:
    """A worker has loaded its model; ``facts`` says which, and on what."""

    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """A source is done; ``record`` is its line of the manifest. ``frames``: computed just now."""

    record: Mapping[str, Any]
    frames: int = 0


@dataclass(frozen=True)
class Split:
    """A source has so many segments, of which the first ``done`` are done already.

    ``ahead``: the later ones whose network was run.
    """

    segments: int
    done: int = 0
    ahead: frozenset[int] = frozenset()


@dataclass(frozen=True)
class SegmentDone:
    """A segment is done, or its network was run ahead."""

    frames: int


@dataclass(frozen=True)
class StartOver:
    """What was done of a source cannot be used, because of ``reason``: it is to be started anew."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """A task failed; ``fatal``: so would every other one."""

    sentence: str
    fatal: bool = False
    exit_code: int = 1


Outcome: TypeAlias = "Ready | Done | Split | SegmentDone | StartOver | Failed"
