"""A ladder of models, from the most exact to the fastest, and the one that is in use.

Slower is taken for more exact: variants of one network differ in size, width or precision.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from depthrt.errors import UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.ladder.rate_controller import RateController, Switch

_SCALES = (1.0, 0.85, 0.7, 0.55, 0.4)  # of a network whose size may be chosen
_SMALLEST = 96  # pixels; below that there is little to see
_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class Rung:
    """A model of the ladder: ``cost_s`` is one frame of it alone, in seconds."""

    model: DepthModel
    cost_s: float

    @property
    def name(self) -> str:
        """The model and its size."""
        return _name(self.model)


@dataclass(frozen=True)
class Load:
    """What the streams that are open ask for.

    - ``wanted_fps``: frames a second of all, where live ones give no more than they have;
    - ``starved``: whether the sources give all that they have, so that they are the limit.
    """

    wanted_fps: float
    starved: bool


class Ladder:
    """Models that one run may switch between, and how it went.

    Args:
        rungs: heaviest first; at least two.
        target_fps: frames a second that are wanted of each stream.
        tell: called with a sentence at every switch.
    """

    def __init__(
        self, rungs: Sequence[Rung], target_fps: float, tell: Callable[[str], None] | None = None
    ) -> None:
        self.rungs = list(rungs)
        self.target_fps = target_fps
        self.frames = [0] * len(self.rungs)
        self._tell = tell or (lambda sentence: None)
        self._controller = RateController([rung.cost_s for rung in rungs])
        self._levels = {id(rung.model): level for level, rung in enumerate(self.rungs)}
        self._start_s = time.monotonic()

    @property
    def model(self) -> DepthModel:
        """The model to prepare the next frame for."""
        return self.rungs[self._controller.level].model

    @property
    def switches(self) -> list[Switch]:
        """The steps so far."""
        return self._controller.switches

    @property
    def one_size(self) -> bool:
        """Whether all depth maps have the same size."""
        return len({rung.model.spec.input for rung in self.rungs}) == 1

    def observe(
        self, model: DepthModel, frames: int, *, busy_s: float, idle_s: float, load: Load
    ) -> None:
        """Count an inference, and step down or up when it is time; see :class:`RateController`."""
        level = self._levels[id(model)]
        self.frames[level] += frames
        if not load.wanted_fps:  # these are the last frames of streams that have ended
            return
        changed = self._controller.observe(
            time.monotonic() - self._start_s,
            level=level,
            frames=frames,
            busy_s=busy_s,
            idle_s=idle_s,
            starved=load.starved,
            wanted_fps=load.wanted_fps,
        )
        if changed:
            step = self.switches[-1]
            self._tell(
                f"after {step.time_s:.1f} s: {self.rungs[step.before].name} -> "
                f"{self.rungs[step.after].name}, at {step.rate_fps:.1f} frames/s"
            )

    def as_dict(self) -> dict[str, Any]:
        """What was used, for how many frames, and every switch."""
        total = max(1, sum(self.frames))
        return {
            "target_fps": self.target_fps,
            "rungs": [
                {
                    "model": rung.name,
                    "alone_ms": round(1e3 * rung.cost_s, 3),
                    "frames": count,
                    "share": round(count / total, 4),
                }
                for rung, count in zip(self.rungs, self.frames, strict=True)
            ],
            "switches": [
                {
                    "time_s": round(step.time_s, 3),
                    "from": self.rungs[step.before].name,
                    "to": self.rungs[step.after].name,
                    "rate_fps": round(step.rate_fps, 2),
                }
                for step in self.switches
            ],
        }


class LadderMeter:
    """Tells a ladder how the inferences of one run go, and how long the network waited for them."""

    def __init__(self, ladder: Ladder) -> None:
        self.target_fps = ladder.target_fps
        self._ladder = ladder
        self._idle_since_s: float | None = None
        self._idle_s = 0.0  # since the ladder was told

    def idle(self) -> None:
        """The network waits for frames."""
        if self._idle_since_s is None:
            self._idle_since_s = time.perf_counter()

    def infer(self) -> None:
        """An inference begins."""
        if self._idle_since_s is not None:
            self._idle_s += time.perf_counter() - self._idle_since_s
            self._idle_since_s = None

    def observe(self, model: DepthModel, frames: int, busy_s: float, load: Load) -> None:
        """An inference of so many frames took ``busy_s`` seconds."""
        idle_s, self._idle_s = self._idle_s, 0.0
        self._ladder.observe(model, frames, busy_s=busy_s, idle_s=idle_s, load=load)


def build_ladder(
    models: Sequence[DepthModel],
    target_fps: float,
    tell: Callable[[str], None] | None = None,
) -> Ladder:
    """The ladder of several models, or of the sizes of one whose size may be chosen.

    Every model is timed for a moment, in turn with the others.

    Raises:
        UsageError: one model only, models whose depth means different things, or no rate.
    """
    variants = sizes_of(models[0]) if len(models) == 1 else list(models)
    _check(variants, target_fps)
    for model in variants:
        model.warm_up()
    took_s: list[list[float]] = [[] for _ in variants]
    for _ in range(_ROUNDS):
        for model, times_s in zip(variants, took_s, strict=True):
            start_s = time.perf_counter()
            model.warm_up()
            took = time.perf_counter() - start_s
            times_s.append(took / (model.fixed_batch or 1))
    rungs = [Rung(m, statistics.median(t)) for m, t in zip(variants, took_s, strict=True)]
    return Ladder(sorted(rungs, key=lambda rung: -rung.cost_s), target_fps, tell)


def _check(variants: Sequence[DepthModel], target_fps: float) -> None:
    if not 0 < target_fps < float("inf"):
        raise UsageError(f"--target-fps {target_fps:g} is not above 0")
    if len(variants) < 2:
        raise UsageError(
            f"--target-fps needs something to switch between, and there is only "
            f"{_name(variants[0])}: give several -m, a folder of models, or a model of dynamic size"
        )
    kinds = sorted({f"{m.spec.kind} in {m.spec.unit or 'no unit'}" for m in variants})
    if len(kinds) > 1:
        raise UsageError(
            f"the models of a ladder must mean the same, but they give {' and '.join(kinds)}"
        )
    extras = sorted({", ".join(sorted(m.spec.outputs)) or "nothing" for m in variants})
    if len(extras) > 1:
        raise UsageError(
            "the models of a ladder must give the same, but beside depth they give "
            f"{' and '.join(extras)}"
        )


def _name(model: DepthModel) -> str:
    spec = model.spec
    return f"{spec.name} {spec.input.height}x{spec.input.width}"


def sizes_of(model: DepthModel) -> list[DepthModel]:
    """One session at several sizes, largest first; the model alone where its size is fixed."""
    if not model.dynamic_size:
        return [model]
    spec = model.spec
    step = spec.input.multiple_of
    found: dict[tuple[int, int], DepthModel] = {}
    for scale in _SCALES:
        height, width = (
            max(step, round(side * scale / step) * step)
            for side in (spec.input.height, spec.input.width)
        )
        if scale == 1 or min(height, width) >= _SMALLEST:
            smaller = replace(spec, input=replace(spec.input, height=height, width=width))
            found[height, width] = DepthModel(model.session, smaller, model.path, model.tuned)
    return list(found.values())


def model_files(names: Sequence[str]) -> list[str]:
    """The model files that several ``-m`` stand for; a folder stands for each .onnx in it.

    Raises:
        UsageError: a folder without one.
    """
    files: list[str] = []
    for name in names:
        if not Path(name).is_dir():
            files.append(name)
            continue
        inside = sorted(str(path) for path in Path(name).glob("*.onnx"))
        if not inside:
            raise UsageError(f"the folder {name} holds no .onnx file")
        files += inside
    return files
