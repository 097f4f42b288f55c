"""The search for the fastest graph that still sees depth.

1. Every recipe of the target by itself: error on unseen frames, time beside float32 on the CPU; on
   this machine through every provider that is installed and works, where it has to beat float32
   through the same provider as well. A provider that computes what is float in 16 bits when told so
   is one more.
2. The fastest recipes once more, with the blocks in float that int8 makes no faster, by the times
   of their kernels (:mod:`depthrt_export.search.block_costs`).
3. Of the fastest recipes that lose too much, the blocks' sensitivity; then the recipe again with
   the most sensitive blocks left in float, more of them until the error fits.
4. The pick: the fastest that fits and is clearly faster than float32.

What is not clearly faster is refused; it is measured up to three times as long before that is said.

Every measurement goes into the journal at once; a search that was cut short goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from depthrt.errors import DepthrtError, WriteError
from depthrt.model.providers import SessionOptions
from depthrt_calibration.ranges import OutOfTimeError, never
from depthrt_export.graph.nodes import blocks
from depthrt_export.model_file import write_model
from depthrt_export.proof.evaluator import Evaluator
from depthrt_export.quantise.recipes import (
    Applied,
    DynamicRecipe,
    FloatRecipe,
    Material,
    Recipe,
    StaticRecipe,
    apply,
)
from depthrt_export.quantise.targets import CPU, Target, suited
from depthrt_export.search.block_costs import (
    KernelTimer,
    block_errors,
    block_times,
    counts,
    int8_over_float,
    ranked,
    unpaid,
    without_shared,
)
from depthrt_export.search.candidates import Candidate, Found, Journal, Limits, fits, pick

__all__ = ["Found", "Limits", "Search"]

_SENSITIVITY_FRAMES = 4
_SENSITIVITY_SHARE = 0.5  # of the time that is left
_RECOVERED_RECIPES = 2
_HOPELESS = 20.0  # times the allowed loss

Say = Callable[[str], None]


@dataclass(eq=False)
class Search:
    """One search; ``folder`` takes the candidates' files, one at a time.

    ``providers``: those beside the CPU's that work here, as :meth:`SessionOptions.named` takes
    them; one with a precision stands behind the same without. ``time_kernels``: None leaves out
    what blocks cost.
    """

    material: Material
    evaluator: Evaluator
    target: Target
    limits: Limits
    journal: Journal
    folder: Path
    say: Say = lambda _: None
    providers: tuple[str, ...] = ()
    time_kernels: KernelTimer | None = None
    clock: Callable[[], float] = time.monotonic
    _start_s: float = field(init=False, default=0.0)
    _groups: Mapping[str, tuple[str, ...]] = field(init=False)
    _float_ratio: dict[str, float] = field(init=False, default_factory=dict)
    _reused: int = field(init=False, default=0)
    _cut: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._groups = blocks(self.material.model.graph)
        self.material = replace(self.material, late=lambda: self._left_s() <= 0)

    def run(self) -> Found:
        """Measure, recover, pick."""
        self._start_s = self.clock()
        recipes = self.target.recipes(self.material.model.graph)
        alone = [m for r in recipes if (m := self._candidate(r)) is not None]
        for provider in self.providers:
            alone.extend(self._through(provider))
        alone.extend(self._without_unpaid(alone))
        found, sensitivity = list(alone), {}
        for recipe, plain in self._worth_saving(alone):
            errors = self._sensitivity(recipe)
            sensitivity[recipe.name] = errors
            found.extend(self._saved(recipe, errors, plain))
        return Found(
            pick(found, self.limits.max_drop),
            tuple(found),
            sensitivity,
            self.limits,
            self.target,
            len(self.evaluator.validation),
            (CPU, *self.providers),
            self._reused,
            self._cut,
        )

    def make(self, measured: Candidate) -> Applied:
        """The graph of a candidate; ranges are collected again if an earlier search did."""
        graph = self.material.model.graph
        recipes = (FloatRecipe(), *self.target.recipes(graph, measured.provider))
        recipe = next(r for r in recipes if r.name == measured.recipe)
        material = replace(self.material, late=never)
        return self._applied(recipe, material, measured.float_blocks, measured.provider)

    def _through(self, provider: str) -> list[Candidate]:
        """float32 and every recipe through another provider."""
        plain = self._candidate(FloatRecipe(), provider=provider)
        if plain is None or plain.ratio is None:
            return [] if plain is None else [plain]
        self._float_ratio[provider] = min(self._bar(provider)[1], plain.ratio)
        recipes = self.target.recipes(self.material.model.graph, provider)
        others = [self._candidate(r, provider=provider) for r in recipes]
        return [plain, *(m for m in others if m is not None)]

    def _worth_saving(self, alone: Sequence[Candidate]) -> list[tuple[Recipe, Candidate]]:
        """Recipes that are fast but lose too much, fastest first, if they would beat what fits."""
        best = pick(alone, self.limits.max_drop)
        bar = best.ratio if best is not None and best.ratio is not None else 1.0
        by_name = self._to_int8(CPU, *self.providers)
        wanting = [
            m
            for m in alone
            if m.recipe in by_name and not (m.latency and m.latency.slower)
            and m.loss is not None and m.loss <= _HOPELESS * self.limits.max_drop
            and not fits(m, self.limits.max_drop)
            and (best is None or (m.ratio is not None and m.ratio < 0.95 * bar))
        ]  # fmt: skip
        wanting.sort(key=lambda m: m.ratio if m.ratio is not None else 0.0)
        return [(by_name[m.recipe], m) for m in wanting[:_RECOVERED_RECIPES]]

    def _to_int8(self, *providers: str) -> dict[str, Recipe]:
        graph = self.material.model.graph
        offered = (r for p in providers for r in self.target.recipes(graph, p))
        return {r.name: r for r in offered if isinstance(r, (StaticRecipe, DynamicRecipe))}

    def _without_unpaid(self, alone: Sequence[Candidate]) -> list[Candidate]:
        """The fastest recipes on the CPU, with the blocks in float that int8 makes no faster."""
        by_name, made = self._to_int8(CPU), []
        timed = [m for m in alone if m.provider == CPU and m.ratio and m.recipe in by_name]
        for plain in sorted(timed, key=lambda m: m.ratio or 0.0)[:_RECOVERED_RECIPES]:
            recipe = by_name[plain.recipe]
            slow = unpaid(self._kernel_ratios(recipe))
            if 0 < len(slow) < len(self._groups):
                made.append(self._candidate(recipe, slow))
        return [candidate for candidate in made if candidate is not None]

    def _kernel_ratios(self, recipe: Recipe) -> dict[str, float]:
        """The time of every block over float32's, measured now or before."""
        name = f"kernels|{recipe.name}"
        kept = self.journal.sensitivity(name, list(self._groups))
        if kept is not None or self.time_kernels is None or self._left_s() <= 0:
            self._reused += kept is not None
            return kept or {}
        self.say(f"what the kernels of {recipe.name} cost")
        files = (self.evaluator.float_path, self._write(recipe, ()))
        times = without_shared(*self.time_kernels(files, self.evaluator.validation[0].pixels))
        graph = self.material.model.graph
        ratios = int8_over_float(*(block_times(graph, self._groups, t) for t in times))
        self.journal.put(name, ratios)
        return ratios

    def _saved(
        self, recipe: Recipe, errors: Mapping[str, float], plain: Candidate
    ) -> list[Candidate]:
        """The recipe with more and more blocks in float, until it fits or is clearly too slow."""
        made: list[Candidate] = []
        order = ranked(errors)
        for count in counts(errors, plain.loss or 0.0, self.limits.max_drop):
            spared = tuple(dict.fromkeys((*plain.float_blocks, *order[:count])))
            candidate = self._candidate(recipe, spared, plain.provider)
            if candidate is None:
                break
            made.append(candidate)
            slow = candidate.latency is not None and candidate.latency.slower
            failed = candidate.loss is None
            if slow or failed or fits(candidate, self.limits.max_drop):
                break
        return made

    def _sensitivity(self, recipe: Recipe) -> dict[str, float]:
        name = f"sensitivity|{recipe.name}"
        kept = self.journal.sensitivity(name, list(self._groups))
        if kept is not None:
            self._reused += 1
            return kept
        end_s = self.clock() + _SENSITIVITY_SHARE * self._left_s()

        def error_of(spared: Sequence[str]) -> float | None:
            (block,) = set(self._groups) - set(spared)
            self.say(f"sensitivity of {block}, {recipe.name}")
            try:
                path = self._write(recipe, spared)
            except (WriteError, OutOfTimeError):
                raise
            except DepthrtError:
                return None
            errors = self.evaluator.errors(path, _SENSITIVITY_FRAMES)
            return sum(errors) / len(errors)

        def late() -> bool:
            return self.clock() >= end_s

        try:
            errors = block_errors(list(self._groups), error_of, late)
        except OutOfTimeError:
            errors = {}
        if len(errors) == len(self._groups):
            self.journal.put(name, errors)
        else:
            self._cut = True
        return errors

    def _candidate(
        self, recipe: Recipe, spared: tuple[str, ...] = (), provider: str = CPU
    ) -> Candidate | None:
        """A candidate measured, now or before; None where the time is up."""
        name = f"{recipe.name}|{provider}|{','.join(spared)}"
        blank = Candidate(recipe.name, spared, provider=provider)
        kept = self.journal.candidate(name, blank)
        if kept is not None:
            self._reused += 1
            return kept
        if self._left_s() <= 0:
            self._cut = True
            return None
        self.say(blank.name)
        try:
            measured = self._evaluate(recipe, blank)
        except OutOfTimeError:
            self._cut = True
            return None
        self.journal.put(name, measured.to_dict())
        return measured

    def _evaluate(self, recipe: Recipe, blank: Candidate) -> Candidate:
        provider = blank.provider
        try:
            path = self._write(recipe, blank.float_blocks, provider)
            errors = self.evaluator.errors(path, provider=provider)
            drop = self.evaluator.drop(path, provider)
        except (WriteError, OutOfTimeError):
            raise
        except DepthrtError as error:
            return replace(blank, refused=_reason(error))
        seen = replace(
            blank,
            error=float(f"{sum(errors) / len(errors):.4g}"),
            worst=float(f"{max(errors):.4g}"),
            drop=None if drop is None else float(f"{drop:.4g}"),
        )
        if not self.target.timed:
            return seen
        if (seen.loss or 0.0) > _HOPELESS * self.limits.max_drop:
            return replace(seen, refused=f"sees no depth any more (loss {seen.loss:.2g})")
        latency = self.evaluator.latency(path, provider)
        through, bar = self._bar(provider)
        what = "float32" if bar == 1 else f"float32 through {through} ({bar:.2f})"
        slow = "" if latency.high < bar else (
            f"not clearly faster than {what}: {latency.ratio:.2f} of float32's time "
            f"[{latency.low:.2f}-{latency.high:.2f}]"
        )  # fmt: skip
        return replace(seen, latency=latency, refused=slow)

    def _bar(self, provider: str) -> tuple[str, float]:
        """The way to run float32 that is to be beaten through a provider, and its time."""
        plainly = SessionOptions.named(provider).provider
        through = provider if provider in self._float_ratio else plainly
        return through, self._float_ratio.get(through, 1.0)

    def _write(self, recipe: Recipe, spared: Sequence[str], provider: str = CPU) -> Path:
        path = self.folder / "candidate.onnx"
        write_model(self._applied(recipe, self.material, spared, provider).model, path)
        return path

    def _applied(
        self, recipe: Recipe, material: Material, spared: Sequence[str], provider: str
    ) -> Applied:
        nodes = tuple(node for name in spared for node in self._groups[name])
        applied = apply(recipe, material, nodes)
        provider = self.target.provider if provider == CPU else provider
        return replace(applied, model=suited(applied.model, provider))

    def _left_s(self) -> float:
        return self.limits.budget_s - (self.clock() - self._start_s)


def _reason(error: DepthrtError) -> str:
    """Why a candidate cannot be run, without the path of a temporary file."""
    _, found, what = str(error).partition("Could not find an implementation for ")
    if found:
        return f"onnxruntime has no kernel here for {what.split(' ')[0]}"
    return str(error).splitlines()[0]
