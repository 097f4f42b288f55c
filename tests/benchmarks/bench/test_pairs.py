"""The order of runs, when a comparison ends, and what it keeps, with runners of known times."""

from __future__ import annotations

import time

import numpy as np
import pytest

from depthrt_benchmarks.bench.compare.pairs import FEWEST_BLOCKS, Rules, time_in_turn


class Known:
    """A runner that says what it is told to say, and writes down when it was asked."""

    def __init__(self, name: str, ms: float, log: list[str]) -> None:
        self.name, self.ms, self.log = name, ms, log

    def open(self) -> None:
        self.log.append(f"open {self.name}")

    def run(self, runs: int = 1) -> list[float]:
        self.log.append(self.name * runs)
        time.sleep(1e-4)
        return [self.ms] * runs

    def close(self) -> None:
        self.log.append(f"close {self.name}")


class Noisy(Known):
    """One whose times scatter by a fifth."""

    def __init__(self, name: str, ms: float, log: list[str]) -> None:
        super().__init__(name, ms, log)
        self._random = np.random.default_rng(ord(name))

    def run(self, runs: int = 1) -> list[float]:
        return [ms * self._random.uniform(0.8, 1.2) for ms in super().run(runs)]


@pytest.mark.parametrize(
    ("head_ms", "verdict"),
    [(12.0, "slower"), (8.0, "faster"), (10.1, "slower"), (10.0, "cannot tell")],
)
def test_the_verdict_follows_the_times(head_ms: float, verdict: str) -> None:
    log: list[str] = []
    rules = Rules(limit_s=0.2)
    pairs = time_in_turn(Known("b", 10.0, log), Known("h", head_ms, log), rules)
    assert rules.verdict(pairs.interval) == verdict
    assert pairs.sure
    assert pairs.interval.ratio == pytest.approx(head_ms / 10)
    assert len(pairs.blocks) >= FEWEST_BLOCKS


def test_runs_alternate_and_the_first_changes_with_every_block() -> None:
    log: list[str] = []
    time_in_turn(Known("b", 10.0, log), Known("h", 10.0, log), Rules(limit_s=0.05))
    text = " ".join(log)
    blocks = text.split("open b open h")[1:], text.split("open h open b")[1:]
    assert all(blocks)
    runs = [word for word in log if word in ("b", "h")]
    starts = [i for i, word in enumerate(log) if word.startswith("open")]
    assert abs(runs.count("b") - runs.count("h")) == 0
    inside = "".join(w for w in log[starts[1] + 3 : starts[2]] if w in ("b", "h"))
    assert "bb" not in inside
    assert "hh" not in inside
    assert log[-2:] == ["close b", "close h"]


def test_it_goes_on_to_the_limit_when_it_cannot_tell() -> None:
    base, head = Noisy("b", 10.0, []), Noisy("h", 10.5, [])  # just at the limit
    pairs = time_in_turn(base, head, Rules(limit_s=0.4, fail_above=1.05))
    assert pairs.seconds >= 0.4
    assert not pairs.sure


def test_an_error_closes_both_sides() -> None:
    log: list[str] = []
    broken = Known("h", 1.0, log)

    def fail(runs: int = 1) -> list[float]:
        raise RuntimeError("lost")

    broken.run = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="lost"):
        time_in_turn(Known("b", 1.0, log), broken, Rules(limit_s=0.1))
    assert log[-2:] == ["close b", "close h"]
