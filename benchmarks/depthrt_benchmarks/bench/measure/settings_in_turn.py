"""Latency and throughput of models, all settings run in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from depthrt.errors import ProviderError, UsageError
from depthrt.model.catalogue.registry import find_model
from depthrt.model.depth_model import DepthModel
from depthrt.model.session import offered_providers
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.bench.measure.frames import Size, network_feed
from depthrt_benchmarks.bench.measure.runners import Local, Workload
from depthrt_benchmarks.common.ratio_interval import percentiles

_LONGEST_TURN_S = 0.2
_FEWEST_TURNS = 10  # so that an earlier result can be compared with
_WARM_UP_S, _FEWEST_WARM_UPS = 0.1, 3
_KEPT = 500  # latencies of a cell that go into the result, evenly thinned


@dataclass(frozen=True)
class Wanted:
    """Settings to measure, in every combination; None: what suits the model or the machine."""

    providers: tuple[str, ...] = ("auto",)
    threads: tuple[int, ...] | None = None
    batches: tuple[int, ...] | None = None
    sizes: tuple[Size, ...] | None = None
    duration_s: float = 2.0


@dataclass
class Cell:
    """One setting while it is measured; times in milliseconds.

    - ``warm_up_ms``: the first runs; ``taken_ms``: all others;
    - ``blocks_ms``: the median of each turn.
    """

    label: str
    model: DepthModel
    provider: str
    threads: int
    batch: int
    size: Size
    runner: Local
    warm_up_ms: list[float] = field(default_factory=list)
    taken_ms: list[float] = field(default_factory=list)
    blocks_ms: list[float] = field(default_factory=list)

    @property
    def throughput_fps(self) -> float:
        """Frames per second while it runs."""
        return 1e3 * self.batch * len(self.taken_ms) / sum(self.taken_ms)

    def to_dict(self) -> dict[str, Any]:
        """The cell in the JSON document."""
        thinned = sorted(self.taken_ms)[:: max(1, -(-len(self.taken_ms) // _KEPT))]
        return {
            "model": self.label,
            "provider": self.provider,
            "bound_provider": self.runner.bound,
            "threads": self.threads,
            "batch": self.batch,
            "size": list(self.size),
            "precision": self.model.spec.precision,
            "runs": len(self.taken_ms),
            "latency_ms": {k: round(v, 4) for k, v in percentiles(self.taken_ms).items()},
            "throughput_fps": round(self.throughput_fps, 2),
            "warm_up": {"runs": len(self.warm_up_ms), "first_ms": round(self.warm_up_ms[0], 3)},
            "blocks_ms": [round(v, 4) for v in self.blocks_ms],
            "latencies_ms": [round(v, 4) for v in thinned],
        }


def cells_of(labels: Sequence[str], models: Sequence[Path], wanted: Wanted) -> list[Cell]:
    """Open every setting of every model.

    Raises:
        DepthrtError: a model, provider, size or batch cannot be used.
    """
    check_wanted(wanted)
    threads = wanted.threads or (usable_cores(),)
    found: list[Cell] = []
    for label, path in zip(labels, models, strict=True):
        for provider in resolve_providers(wanted.providers):
            for count in threads:
                model = DepthModel.load(path, provider=provider, threads=count)
                for size in wanted.sizes or ((model.spec.input.height, model.spec.input.width),):
                    for batch in wanted.batches or usual_batches(model):
                        feed = network_feed(model, batch, size)
                        # A model of its own: on a GPU it pads batches to the largest so far.
                        own = DepthModel(
                            model.session, model.spec, model.path, model.tuned, model.options
                        )
                        runner = Local(Workload(path, provider, count, feed), own)
                        found.append(Cell(label, own, provider, count, batch, size, runner))
    return found


def usual_batches(model: DepthModel) -> tuple[int, ...]:
    """1 and 4 frames where the graph's batch is open."""
    return (1, 4) if model.fixed_batch is None else (model.fixed_batch,)


def yardstick() -> Cell:
    """The built-in model on the CPU, by which results of different days are compared."""
    path = find_model(None)
    model = DepthModel.load(path, provider="cpu", threads=usable_cores())
    feed = network_feed(model, 1, None)
    runner = Local(Workload(path, "cpu", usable_cores(), feed), model)
    size = (model.spec.input.height, model.spec.input.width)
    return Cell("yardstick", model, "cpu", usable_cores(), 1, size, runner)


def run_in_turn(
    cells: Sequence[Cell], duration_s: float, progress: Callable[[Cell], None] = lambda cell: None
) -> None:
    """Run all cells in turn, a fraction of a second each, until each has run for ``duration_s``.

    Load from elsewhere so affects all cells alike. Threads spin during a run only, so they do not
    disturb another cell's turn.
    """
    for cell in cells:
        warm_up(cell)
        progress(cell)
    while any(unfinished := [_wanting(cell, duration_s) for cell in cells]):
        for cell, wanting in zip(cells, unfinished, strict=True):
            if wanting:
                turn(cell, min(_LONGEST_TURN_S, duration_s / _FEWEST_TURNS))
                progress(cell)


def warm_up(cell: Cell) -> None:
    """Run a cell for the first times, which are kept apart."""
    end_s = time.perf_counter() + _WARM_UP_S
    while len(cell.warm_up_ms) < _FEWEST_WARM_UPS or time.perf_counter() < end_s:
        cell.warm_up_ms += cell.runner.run()


def turn(cell: Cell, seconds: float = _LONGEST_TURN_S) -> list[float]:
    """Run a cell for so many seconds and return the times in ms; the cell keeps them, too."""
    cell.runner.run()  # the caches still hold another cell's data
    taken_ms: list[float] = []
    end_s = time.perf_counter() + seconds
    while not taken_ms or time.perf_counter() < end_s:
        taken_ms += cell.runner.run()
    cell.taken_ms += taken_ms
    cell.blocks_ms.append(statistics.median(taken_ms))
    return taken_ms


def _wanting(cell: Cell, duration_s: float) -> bool:
    return len(cell.blocks_ms) < _FEWEST_TURNS or sum(cell.taken_ms) < 1e3 * duration_s


def check_wanted(wanted: Wanted) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        UsageError: what is out of range.
    """
    if not (wanted.duration_s > 0 and np.isfinite(wanted.duration_s)):
        raise UsageError(f"--duration {wanted.duration_s:g} must be above 0 seconds")
    for name, values in (("--threads", wanted.threads), ("--batches", wanted.batches)):
        if values is not None and min(values) < 1:
            raise UsageError(f"{name} {min(values)} is less than 1")


def resolve_providers(providers: Sequence[str]) -> list[str]:
    """Short names of providers; ``all`` becomes those that work here.

    Raises:
        ProviderError: ``all``, and none works.
    """
    found: list[str] = []
    for name in providers:
        found += working_providers() if name == "all" else [name]
    return list(dict.fromkeys(found))


def working_providers() -> list[str]:
    """Providers that run the built-in model here."""
    works = []
    for name in offered_providers():
        try:
            DepthModel.load(provider=name, threads=usable_cores()).warm_up()
            works.append(name)
        except ProviderError:
            continue
    if not works:
        raise ProviderError("no provider works here: see `depthrt doctor`")
    return works
