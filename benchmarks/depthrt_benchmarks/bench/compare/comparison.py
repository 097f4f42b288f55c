"""The result of a comparison: verdict and gate, as data and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from depthrt.confidence_interval import Interval
from depthrt.errors import LatencyGateError
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.bench.compare.pairs import STATISTICS, Pairs, Rules
from depthrt_benchmarks.bench.measure.frames import Size
from depthrt_benchmarks.bench.measure.runners import What

_UNSEEN = "what fewer than 1 run in 10 does is seen only where it moves the mean"
_DIGITS = 5


@dataclass(frozen=True)
class Side:
    """A model file and the Python that runs it; None: this process."""

    label: str
    model: Path
    python: Path | None = None


@dataclass(frozen=True)
class Setting:
    """How both sides are run."""

    provider: str = "cpu"
    threads: int | None = None
    batch: int = 1
    size: Size | None = None
    what: What = "network"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sides and their timed pairs."""

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
        """Faster, slower or cannot tell, by the side of 1 on which the median's interval lies."""
        return self.rules.verdict(self.pairs.interval)

    @property
    def failed_by(self) -> list[str]:
        """The statistics that fail the gate."""
        found = self.pairs.intervals
        return [name for name in STATISTICS if name in found and self.rules.regressed(found[name])]

    @property
    def regressed(self) -> bool:
        """Whether the gate has been failed."""
        return bool(self.failed_by)

    def sentence(self) -> str:
        """The verdict in words: median, then mean and 90th percentile where known."""
        rules = self.rules
        said = f"{_said(self.pairs.interval)} ({percent(1 - rules.alpha)} sure of "
        span = f"{said}{_span(self.pairs.interval)}){self._others()}"
        if self.verdict == "cannot tell":
            return f"cannot tell {self.head.label} from {self.base.label}: {span}; {self._why()}"
        return f"{self.head.label} is {self.verdict} than {self.base.label}: {span}{self._little()}"

    def _little(self) -> str:
        """That a sure difference is small, or may be; empty where it is beyond the margin."""
        rules, interval = self.rules, self.pairs.interval
        if rules.beyond_margin(interval):
            return ""
        surely = "" if rules.same(interval) else "perhaps "
        return f"; the median differs by {surely}less than {percent(rules.margin)}"

    def _others(self) -> str:
        found = self.pairs.intervals
        return "".join(
            f", {name} {found[name].ratio:.3f} x ({_span(found[name])})"
            for name in STATISTICS[1:]
            if name in found
        )

    def _why(self) -> str:
        """Why it cannot be told."""
        rules, pairs = self.rules, self.pairs
        slower = [n for n, i in pairs.intervals.items() if rules.verdict(i) == "slower"]
        if slower:
            return f"the median does not show it, but some runs are slower ({_listed(slower)})"
        if rules.same(pairs.interval):
            others = all(map(rules.same, pairs.intervals.values()))
            what = "a difference" if others else "a difference of the median"
            return f"if there is {what}, it is below {percent(rules.margin)}"
        if not pairs.sure:
            return f"{pairs.seconds:.0f} s were too short for this machine's noise"
        return "what was asked is settled"

    def gate(self) -> str:
        """The gate's verdict and what it does not cover; empty without a gate."""
        limit, found = self.rules.fail_above, self.pairs.intervals
        if limit is None:
            return ""
        allowed = f"above {limit:g} x the base's time"
        if self.failed_by:
            return f"gate failed: surely {allowed} by {_listed(self.failed_by)}"
        unsure = [name for name in found if found[name].high > limit]
        sure = [name for name in found if name not in unsure]
        parts = [f"{_listed(sure)} surely not {allowed}"] if sure else []
        parts += [f"{_listed(unsure)} not surely {allowed}"] if unsure else []
        unseen = _UNSEEN if len(found) == len(STATISTICS) else "the median alone was looked at"
        verdict = "gate not failed, but it could not tell" if unsure else "gate passed"
        return f"{verdict}: {', '.join(parts)}; {unseen}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of ``--json``."""
        pairs, rules = self.pairs, self.rules
        sides = {}
        for number, name in enumerate(("base", "head")):
            side, times = (self.base, self.head)[number], self.latency_ms[number]
            sides[name] = {
                "label": side.label,
                **self.facts[number],
                "latency_ms": {k: round(v, 4) for k, v in times.items()},
            }
        size = self.setting.size
        gate = {"limit": rules.fail_above, "passed": not self.regressed,
                "failed_by": self.failed_by, "sentence": self.gate()}  # fmt: skip
        return {
            "comparison": "interleaved" if self.interleaved else "by yardstick",
            "verdict": self.verdict,
            "beyond_margin": rules.beyond_margin(pairs.interval),
            **_rounded(pairs.interval),
            "statistics": {name: _rounded(found) for name, found in pairs.intervals.items()},
            "confidence": 1 - rules.alpha,
            "margin": rules.margin,
            "fail_above": rules.fail_above,
            "regressed": self.regressed,
            "gate": None if rules.fail_above is None else gate,
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
        """Raise what the command line turns into exit code 4.

        Raises:
            LatencyGateError: the head is surely slower than the gate allows, or there is a gate
                and nothing was measured.
        """
        if self.rules.fail_above is not None and not (self.pairs.looks and self.pairs.count):
            raise LatencyGateError("nothing was compared: not one pair of runs was measured")
        if self.regressed:
            raise LatencyGateError(f"{self.sentence()}; {self.gate()}")


def percent(share: float) -> str:
    """A share in percent, with the digits it has: 0.995 is 99.5%."""
    return f"{100 * share:g}%"


def _said(found: Interval) -> str:
    return f"median {found.ratio:.3f} x the time"


def _span(found: Interval) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _rounded(found: Interval) -> dict[str, float]:
    return {key: round(value, _DIGITS) for key, value in asdict(found).items()}
