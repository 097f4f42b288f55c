"""Candidates of a search: what was measured of each, kept on the disk, and which is the best.

A search that was cut short goes on from what its journal holds.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from depthrt.errors import DepthrtError, WriteError
from depthrt.files.json_file import read_json, write_json
from depthrt.model.tuning_cache import machine_key
from depthrt_benchmarks.common.pareto import pareto_front
from depthrt_benchmarks.evaluation.metrics import metrics
from depthrt_benchmarks.evaluation.protocol import alignment
from depthrt_calibration import frames as calibration
from depthrt_calibration.frames import Sample
from depthrt_export.proof.evaluator import LatencyRatio
from depthrt_export.quantise.targets import CPU, Target

_SCHEMA = 3  # of the journal

FLOAT = "float32"
_SAME_TIME = 1.05


@dataclass(frozen=True)
class Candidate:
    """A candidate and its figures.

    - ``recipe``: its name; ``float_blocks``: blocks left in float; ``provider`` that ran it,
      with the precision it was told to compute in, if any (``openvino, bf16``);
    - ``error``, ``worst``: mean and worst frame of mean |difference| over the float depth's
      2-98 percentile spread, on frames that calibration never saw;
    - ``drop``: relative growth of AbsRel on a labelled set, None without one;
    - ``latency``: beside float32, None where it was not timed;
    - ``refused``: why it cannot be picked, empty if it can.
    """

    recipe: str
    float_blocks: tuple[str, ...] = ()
    error: float | None = None
    worst: float | None = None
    drop: float | None = None
    latency: LatencyRatio | None = None
    refused: str = ""
    provider: str = CPU

    @property
    def what(self) -> tuple[str, tuple[str, ...], str]:
        """What the figures are of."""
        return self.recipe, self.float_blocks, self.provider

    @property
    def name(self) -> str:
        """The recipe, how many blocks it spares, and the provider if it is not the CPU's."""
        count = len(self.float_blocks)
        spared = f", {count} block{'s' * (count != 1)} float" if count else ""
        return self.recipe + spared + (f" on {self.provider}" if self.provider != CPU else "")

    @property
    def loss(self) -> float | None:
        """What is held against the allowed drop: accuracy's where it is known, else the error."""
        return self.error if self.drop is None else self.drop

    @property
    def ratio(self) -> float | None:
        """Time over float32's."""
        return None if self.latency is None else self.latency.ratio

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Any) -> Candidate:
        """What :meth:`to_dict` made.

        Raises:
            ValueError: it did not make this.
        """
        try:
            latency = content["latency"]
            made = cls(
                recipe=content["recipe"],
                float_blocks=tuple(content["float_blocks"]),
                error=content["error"],
                worst=content["worst"],
                drop=content["drop"],
                latency=None if latency is None else LatencyRatio(**latency),
                refused=content["refused"],
                provider=content["provider"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError("no candidate of a search") from error
        texts = (made.recipe, made.refused, made.provider, *made.float_blocks)
        figures = [n for n in (made.error, made.worst, made.drop) if n is not None]
        times = () if made.latency is None else tuple(asdict(made.latency).values())
        numbers = all(type(n) in (int, float) for n in (*figures, *times))
        named = all(isinstance(text, str) for text in texts)
        if not numbers or not named or min(times, default=0) < 0:
            raise ValueError("no candidate of a search")
        return made


def float32() -> Candidate:
    """The graph that all others are held against."""
    return Candidate(FLOAT, error=0.0, worst=0.0, latency=LatencyRatio(1.0, 1.0, 1.0, 0.0, 0.0, 0))


def front(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Those than which no other is both faster and more exact, fastest first; with float32."""
    usable = [c for c in (*candidates, float32()) if not c.refused]
    timed = [c for c in usable if c.ratio is not None and c.loss is not None]
    return tuple(pareto_front(timed, lambda c: (c.ratio or 0.0, c.loss or 0.0)))


def pick(candidates: Sequence[Candidate], max_drop: float) -> Candidate | None:
    """The fastest that is exact enough and not refused; untimed ones in the order they came.

    Of those within 5% of the fastest, which a timing cannot tell apart, the most exact.
    """
    fitting = [c for c in candidates if not c.refused and fits(c, max_drop)]
    timed = [c for c in fitting if c.ratio is not None]
    if not timed:
        return fitting[0] if fitting else None
    bar = _SAME_TIME * min(c.ratio or 0.0 for c in timed)
    return min((c for c in timed if (c.ratio or 0.0) <= bar), key=lambda c: c.loss or 0.0)


def fits(candidate: Candidate, max_drop: float) -> bool:
    """Whether its loss is known and allowed."""
    return candidate.loss is not None and candidate.loss <= max_drop


def search_key(
    model: onnx.ModelProto, frames: Sequence[Sequence[Sample]], settings: Sequence[object]
) -> str:
    """The hash of all that measurements depend on: graph, frames, settings, code, machine.

    The machine is the one of the tuning cache: the processor and what it can do, the usable cores,
    onnxruntime and its providers. Not only times depend on it: without VNNI, sums of int8 saturate.
    """
    digest = hashlib.sha256(model.SerializeToString(deterministic=True))
    for samples in frames:
        digest.update(b"frames")
        for sample in samples:
            digest.update(sample.pixels.tobytes())
    ours = (version("depthrt"), code_hash())
    facts = [*map(str, settings), machine_key(), version("onnx"), *ours]
    digest.update(json.dumps([_SCHEMA, *facts]).encode())
    return digest.hexdigest()


@cache
def code_hash() -> str:
    """The hash of the source that results come from: export, calibration, alignment, AbsRel."""
    digest = hashlib.sha256()
    for place in (__file__, calibration.__file__, alignment.__file__, metrics.__file__):
        package = Path(place).parents[1 if place == __file__ else 0]
        for file in sorted(package.rglob("*.py")):
            digest.update(f"{package.name}/{file.relative_to(package)}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Journal:
    """A JSON file of results by name, rewritten whole at every entry; ``path`` None keeps none."""

    path: Path | None
    key: str
    entries: dict[str, Any]

    @classmethod
    def open(cls, path: Path | None, key: str) -> Journal:
        """Go on with the file if it is of the same key; a journal of another key is begun anew.

        What is no journal at all is left alone: then nothing is kept.
        """
        content = {} if path is None else _content(path)
        if content is None:
            return cls(None, key, {})
        return cls(path, key, content["entries"] if content.get("key") == key else {})

    def candidate(self, name: str, wanted: Candidate) -> Candidate | None:
        """What was measured of a candidate; None where the entry is not one of it."""
        try:
            kept = Candidate.from_dict(self.entries.get(name))
        except ValueError:
            return None
        return kept if kept.what == wanted.what else None

    def sensitivity(self, name: str, blocks: Sequence[str]) -> dict[str, float] | None:
        """The error of every block; None where the entry does not hold it."""
        kept = self.entries.get(name)
        if not isinstance(kept, dict) or set(kept) != set(blocks):
            return None
        figures = all(type(error) in (int, float) for error in kept.values())
        return {block: float(kept[block]) for block in kept} if figures else None

    def put(self, name: str, value: Any) -> None:
        """Keep a result, unless something that is no journal has come to the file's place.

        Raises:
            WriteError: the disk is full or fails; what was written before is still there.
        """
        self.entries[name] = value
        if self.path is None or _content(self.path) is None:
            return
        content = {"key": self.key, "entries": self.entries}
        try:
            write_json(self.path, content, overwrite=True)
        except WriteError as error:
            raise WriteError(
                f"{error}: make room and run the same command again, it goes on from there"
            ) from error

    def remove(self) -> None:
        """Forget it; what is no journal stays."""
        if self.path is not None and _content(self.path):
            with suppress(OSError):
                self.path.unlink()


def _content(path: Path) -> dict[str, Any] | None:
    """What a journal holds, empty if there is none; None where something else is in its place."""
    if not os.path.lexists(path):
        return {}
    try:
        content = read_json(path)
    except DepthrtError:
        return None
    known = isinstance(content, dict) and content.keys() == {"key", "entries"}
    return content if known and isinstance(content["entries"], dict) else None


@dataclass(frozen=True)
class Limits:
    """What a search may cost and lose; ``budget_s`` counts from its start."""

    max_drop: float = 0.05
    budget_s: float = 600.0


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to: the pick (None: float32 stays), all candidates, the front.

    ``disproved``: the pick that its proof spoke against, and the loss that it found.
    """

    picked: Candidate | None
    candidates: tuple[Candidate, ...]
    sensitivity: Mapping[str, Mapping[str, float]]
    limits: Limits
    target: Target
    frames: int
    providers: tuple[str, ...]
    reused: int
    out_of_time: bool
    disproved: tuple[Candidate, float] | None = None

    @property
    def front(self) -> tuple[Candidate, ...]:
        """The candidates that no other beats in both time and exactness, and float32."""
        return front(self.candidates)
