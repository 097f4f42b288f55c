"""`depthrt bench compare`: is HEAD slower than BASE?"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthrt.errors import LatencyGateError, UsageError
from depthrt.model import DepthModel
from depthrt.models import find_model
from depthrt.session import usable_cores
from depthrt_benchmarks.bench.frames import Size, network_feed, picture_feed
from depthrt_benchmarks.bench.pairs import Pairs, Rules, compare_in_turn
from depthrt_benchmarks.bench.runners import Load, Local, Remote, What
from depthrt_benchmarks.bench.statistics import percentiles


@dataclass(frozen=True)
class Side:
    """One of both: a model file, and the Python that runs it (None: this one, in this process)."""

    label: str
    model: Path
    python: Path | None = None


@dataclass(frozen=True)
class Setting:
    """How both are run."""

    provider: str = "cpu"
    threads: int | None = None
    batch: int = 1
    size: Size | None = None
    what: What = "network"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sides and what was measured of them."""

    base: Side
    head: Side
    setting: Setting
    rules: Rules
    pairs: Pairs
    facts: tuple[dict[str, Any], dict[str, Any]]
    latency_ms: tuple[dict[str, float], dict[str, float]]
    interleaved: bool = True
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Faster, slower or cannot tell."""
        return self.rules.verdict(self.pairs.interval)

    @property
    def regressed(self) -> bool:
        """Whether the gate has been failed."""
        return self.rules.regressed(self.pairs.interval)

    def sentence(self) -> str:
        """The verdict in words."""
        found, rules = self.pairs.interval, self.rules
        span = (
            f"{found.ratio:.3f} x the time ({percent(1 - rules.alpha)} sure of {found.low:.3f} to "
        )
        span += f"{found.high:.3f})"
        if self.verdict == "cannot tell":
            why = (
                f"if there is a difference, it is below {percent(rules.margin)}"
                if rules.same(found)
                else f"{self.pairs.seconds:.0f} s were too short for this machine's noise"
                if not self.pairs.sure
                else "what was asked is settled"
            )
            return f"cannot tell {self.head.label} from {self.base.label}: {span}; {why}"
        return f"{self.head.label} is {self.verdict} than {self.base.label}: {span}"

    def gate(self) -> str:
        """What the gate says; empty without one."""
        limit, found = self.rules.fail_above, self.pairs.interval
        if limit is None:
            return ""
        if self.regressed:
            return f"gate failed: surely above {limit:g} x the base's time"
        if found.high <= limit:
            return f"gate passed: surely not above {limit:g} x the base's time"
        return f"gate passed: not surely above {limit:g} x the base's time"

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of ``--json``."""
        found, pairs, rules = self.pairs.interval, self.pairs, self.rules
        sides = {}
        for number, name in enumerate(("base", "head")):
            side, times = (self.base, self.head)[number], self.latency_ms[number]
            sides[name] = {
                "label": side.label,
                **self.facts[number],
                "latency_ms": {k: round(v, 4) for k, v in times.items()},
            }
        size = self.setting.size
        return {
            "comparison": "interleaved" if self.interleaved else "by yardstick",
            "verdict": self.verdict,
            "ratio": round(found.ratio, 5),
            "low": round(found.low, 5),
            "high": round(found.high, 5),
            "confidence": 1 - rules.alpha,
            "margin": rules.margin,
            "fail_above": rules.fail_above,
            "regressed": self.regressed,
            "sure": pairs.sure,
            "looks": pairs.looks,
            "blocks": len(pairs.blocks),
            "pairs": pairs.count,
            "seconds": round(pairs.seconds, 2),
            "what": self.setting.what,
            "provider": self.setting.provider,
            "threads": self.setting.threads or usable_cores(),
            "batch": self.setting.batch,
            "size": None if size is None else list(size),
            **sides,
            "notes": list(self.notes),
            "sentence": self.sentence(),
        }

    def raise_if_regressed(self) -> None:
        """Raise what the command line turns into exit code 4."""
        if self.regressed:
            raise LatencyGateError(f"{self.sentence()}; {self.gate()}")


def percent(share: float) -> str:
    """A share with as many digits as it was given with: 0.995 is 99.5%."""
    return f"{100 * share:g}%"


def compare_texts(
    base: str,
    head: str,
    model: str | None,
    setting: Setting,
    rules: Rules,
    progress: Callable[[Pairs], None] = lambda pairs: None,
) -> Comparison:
    """What `depthrt bench compare BASE HEAD` does.

    Raises:
        DepthrtError: a side or a setting that cannot be had.
    """
    from depthrt_benchmarks.bench.earlier import compare_with_earlier

    check_rules(rules)
    check_setting(setting)
    if head.endswith(".json"):
        raise UsageError(f"{head}: HEAD is measured now; give the earlier JSON as BASE")
    if base.endswith(".json"):
        if model is not None:
            raise UsageError("--model goes with two environments; BASE is a JSON here")
        return compare_with_earlier(Path(base), head, setting, rules, progress)
    sides = parse_sides(base, head, model)
    return compare(sides[0], sides[1], setting, rules, progress)


def parse_sides(base: str, head: str, model: str | None) -> tuple[Side, Side]:
    """What BASE and HEAD mean: model files or names, or environments that run ``model``.

    Raises:
        UsageError: an environment beside a model, or ``--model`` without any environment.
    """
    pythons = (environment_python(base), environment_python(head))
    if not any(pythons):
        if model is not None:
            raise UsageError("--model goes with two environments; BASE and HEAD are models here")
        labels = labels_of(base, head)
        return Side(labels[0], find_model(base)), Side(labels[1], find_model(head))
    if not all(pythons):
        raise UsageError(
            f"{base} and {head}: one is an environment, the other is not; give two environments "
            "(folders made by python -m venv) and --model, or two models"
        )
    path = find_model(model)
    sides = [Side(text, path, python) for text, python in zip((base, head), pythons, strict=True)]
    return sides[0], sides[1]


def labels_of(*texts: str) -> list[str]:
    """Short names: file stems, with as many folders before them as tell all apart."""
    parts = [Path(text).with_suffix("").parts for text in texts]
    for count in range(1, max(len(names) for names in parts) + 1):
        labels = ["/".join(names[-count:]) for names in parts]
        if len(set(labels)) == len(labels):
            return labels
    return list(texts)


def environment_python(text: str) -> Path | None:
    """The Python of an environment's folder, or the path itself where it is a Python."""
    path = Path(text)
    for place in (path / "bin" / "python", path / "Scripts" / "python.exe"):
        if path.is_dir() and place.is_file():
            return place
    is_python = path.name.startswith("python") and path.is_file() and os.access(path, os.X_OK)
    return path if is_python else None


def compare(
    base: Side,
    head: Side,
    setting: Setting,
    rules: Rules,
    progress: Callable[[Pairs], None] = lambda pairs: None,
) -> Comparison:
    """Run both in turn on the same frames and say what can be said.

    Raises:
        ModelError, ProviderError, InferenceError: of either side.
        UsageError: a size or batch that one of both does not take.
    """
    check_rules(rules)
    check_setting(setting)
    threads = setting.threads or usable_cores()
    runners: list[Local | Remote] = []
    facts: list[dict[str, Any]] = []
    sizes: list[Size] = []
    try:
        for side in (base, head):
            model = DepthModel.load(side.model, provider="cpu", threads=1)
            feed = (
                picture_feed()
                if setting.what == "frame"
                else network_feed(model, setting.batch, setting.size)
            )
            given = model.spec.input
            framed = setting.what == "frame"
            sizes.append((given.height, given.width) if framed else feed.shape[2:])
            load = Load(side.model, setting.provider, threads, feed, setting.what)
            runners.append(Local(load) if side.python is None else Remote(load, side.python))
            facts.append({"sha256": model.sha256(), "precision": model.spec.precision})
        pairs = compare_in_turn(runners[0], runners[1], rules, progress)
    finally:
        for runner in runners:
            runner.close()
    for runner, known in zip(runners, facts, strict=True):
        known["bound_provider"] = runner.bound
        if isinstance(runner, Remote):
            known["versions"] = runner.facts.get("versions", {})
    latency_ms = (percentiles(pairs.times_ms(0)), percentiles(pairs.times_ms(1)))
    notes = (*size_note(base, head, sizes), *_shared_note(base, head, runners))
    return Comparison(
        base, head, setting, rules, pairs, (facts[0], facts[1]), latency_ms, notes=notes
    )


def size_note(base: Side, head: Side, sizes: Sequence[Size]) -> tuple[str, ...]:
    """The sentence for networks that were fed with pictures of two sizes (height, width)."""
    if sizes[0] == sizes[1]:
        return ()
    (h, w), (head_h, head_w) = sizes
    return (f"not of one size: {base.label} ran at {h}x{w}, {head.label} at {head_h}x{head_w}",)


def _shared_note(base: Side, head: Side, runners: Sequence[Local | Remote]) -> tuple[str, ...]:
    """The sentence for two environments that import one and the same depthrt."""
    files = {r.facts.get("file") for r in runners if isinstance(r, Remote)}
    if base.python is None or head.python is None or len(files) != 1 or None in files:
        return ()
    if base.python.absolute() == head.python.absolute():
        return ()
    return (f"both environments run one depthrt, {files.pop()}: its code was not compared",)


def check_rules(rules: Rules) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        UsageError: what is out of range.
    """
    if not 0 < rules.alpha < 0.5:
        raise UsageError(f"--confidence {1 - rules.alpha:g} must lie between 0.5 and 1")
    if not 0 <= rules.margin < math.inf:
        raise UsageError(f"--margin {rules.margin:g} must be a number, not below 0")
    if rules.fail_above is not None and not 1 <= rules.fail_above < math.inf:
        raise UsageError(f"--fail-above {rules.fail_above:g} must be at least 1: 1.05 allows 5%")
    if not 0 < rules.limit_s < math.inf:
        raise UsageError(f"--seconds {rules.limit_s:g} must be a number above 0")


def check_setting(setting: Setting) -> None:
    """Refuse what a whole frame cannot heed: it is one picture, as it was filmed.

    Raises:
        UsageError: a batch or a size beside ``frame``.
    """
    given = {
        f"--batch {setting.batch}": setting.batch != 1,
        f"--size {'x'.join(map(str, setting.size or ()))}": setting.size is not None,
    }
    wrong = [option for option, said in given.items() if said]
    if setting.what == "frame" and wrong:
        raise UsageError(
            f"--frame runs one picture as it was filmed: leave out {' and '.join(wrong)}"
        )
