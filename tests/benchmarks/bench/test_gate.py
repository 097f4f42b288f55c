"""A latency gate sees more than the median, and passes nothing that was not compared."""

from __future__ import annotations

import math
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import depthrt
from depthrt.confidence_interval import Interval
from depthrt.errors import InferenceError, LatencyGateError
from depthrt.model.catalogue.registry import find_model
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.bench.compare.comparison import Comparison, Setting, Side
from depthrt_benchmarks.bench.compare.distinct_sides import refuse_two_providers
from depthrt_benchmarks.bench.compare.pairs import LOOKS, STATISTICS, Pairs, Rules, time_in_turn
from depthrt_benchmarks.common import ratio_interval as statistics
from depthrt_benchmarks.common.ratio_interval import mean_interval, p90_interval
from helpers.commands import Command
from helpers.models.slow_model import slower
from helpers.models.small_model import build_model

Factor = Callable[[np.random.Generator, int], np.ndarray[Any, np.dtype[np.float64]]]
GATE = ("--fail-above", 1.05, "--seconds", 0.3)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer resamples: these tests draw hundreds of intervals."""
    monkeypatch.setattr(statistics, "_RESAMPLES", 400)


def times(seed: int, blocks: int, factor: Factor) -> Pairs:
    """Pairs of 10 ms that scatter, one run in 30 held up; the head's are longer by a factor."""
    random, pairs = np.random.default_rng(seed), Pairs()
    for _ in range(blocks):
        both = 10 * np.exp(random.normal(0, 0.02, (2, 1)) + np.abs(random.normal(0, 0.05, (2, 12))))
        both *= np.where(random.random(both.shape) < 1 / 30, random.uniform(1.5, 10), 1)
        base, head = both[0], both[1] * factor(random, 12)
        pairs.blocks.append(list(zip(base.tolist(), head.tolist(), strict=True)))
    return pairs


def share(of_runs: float, factor: float) -> Factor:
    """A factor for a share of the runs."""
    return lambda random, count: np.where(random.random(count) < of_runs, factor, 1.0)


def comparison(pairs: Pairs, rules: Rules) -> Comparison:
    side, facts = Side("a", Path("a")), {"bound_provider": "cpu"}
    return Comparison(side, Side("b", Path("b")), Setting(), rules, pairs, (facts, facts), ({}, {}))


@pytest.mark.parametrize(
    ("of_runs", "factor", "by"),
    [(0.49, 3.0, "p90"), (0.2, 3.0, "p90"), (0.15, 3.0, "p90"), (1.0, 1.15, "median")],
)
def test_slow_runs_that_the_median_does_not_show_fail(
    fewer: None, of_runs: float, factor: float, by: str
) -> None:
    rules, found = Rules(fail_above=1.05), []
    for seed in range(10):
        pairs = times(seed, 40, share(of_runs, factor))
        pairs.look(rules)
        found.append(comparison(pairs, rules))
    assert sum(one.regressed for one in found) >= 9
    assert sum(by in one.failed_by for one in found) >= 8
    shown = [one.rules.regressed(one.pairs.interval) for one in found]
    assert sum(shown) <= 3 or by == "median"
    failed = next(one for one in found if by in one.failed_by)
    with pytest.raises(LatencyGateError, match=f"gate failed: surely above 1.05 x .*{by}"):
        failed.raise_if_regressed()


def test_a_gate_that_cannot_tell_is_not_called_passed(fewer: None) -> None:
    rules, pairs = Rules(fail_above=1.05), times(1, 10, share(1.0, 1.05))
    pairs.look(rules)
    found = comparison(pairs, rules)
    assert not found.regressed
    sentence = found.gate()
    assert sentence.startswith("gate not failed, but it could not tell: ")
    assert "median" in sentence.partition(" not surely above 1.05 x the base's time")[0]
    found.raise_if_regressed()


@pytest.mark.parametrize("tries", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_times_alike_are_no_alarm(fewer: None, tries: int) -> None:
    """As the command looks: six times, over at the first look that is sure."""
    rules, alarms = Rules(fail_above=1.05), 0
    for seed in range(tries):
        whole = times(seed, 40, share(0.0, 1.0)).blocks
        for count in np.linspace(10, 40, LOOKS).astype(int):
            pairs = Pairs(whole[:count])
            pairs.look(rules)
            alarms += comparison(pairs, rules).regressed
            if pairs.sure:
                break
    assert alarms == 0


@pytest.mark.parametrize("interval", [mean_interval, p90_interval])
def test_the_intervals_hold_the_true_ratio(fewer: None, interval: Any) -> None:
    held = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        both = np.exp(random.normal(0, 0.1, (20, 12, 2)) + random.normal(0, 0.03, (20, 1, 2)))
        found = interval([[(b, 1.2 * h) for b, h in block] for block in both.tolist()], 0.1, seed)
        held += found.low <= 1.2 <= found.high
    assert held >= 0.79 * 60  # 90%, and three standard errors of 60 draws


def test_mean_and_p90_of_known_times() -> None:
    blocks = [[(10.0, 10.0)] * 8 + [(10.0, 30.0)] * 2] * 12
    assert mean_interval(blocks, 0.01).ratio == pytest.approx(1.4)
    assert p90_interval(blocks, 0.01).ratio == pytest.approx(3.0)
    rarer = [[(10.0, 10.0)] * 19 + [(10.0, 30.0)]] * 12
    assert p90_interval(rarer, 0.01).ratio == pytest.approx(1.0)
    uneven = [[(10.0, 20.0)], [(10.0, 20.0)] * 5, [(10.0, 20.0)] * 3]
    assert mean_interval(uneven, 0.01) == Interval(*[pytest.approx(2.0)] * 3)


def test_one_long_run_is_no_alarm() -> None:
    blocks = [[(10.0, 10.0)] * 10 for _ in range(20)]
    blocks[3][4] = (10.0, 5000.0)
    found = mean_interval(blocks, 0.01)
    assert found.ratio > 3
    assert found.low < 1.05


def test_the_error_is_shared_by_what_a_gate_looks_at() -> None:
    assert Rules(alpha=0.06).alpha_of_a_look == pytest.approx(0.01)
    assert Rules(alpha=0.06, fail_above=1.1).alpha_of_a_look == pytest.approx(0.01 / 3)


def test_what_was_not_looked_at_is_said() -> None:
    rules, fine = Rules(fail_above=1.05), Interval(1.0, 0.99, 1.01)
    alone = comparison(Pairs(interval=fine, sure=True), rules)
    assert "the median alone was looked at" in alone.gate()
    wide = comparison(Pairs(interval=fine, mean=fine, p90=Interval(1.0, 0.7, 1.4)), rules)
    assert "median and mean surely not above 1.05" in wide.gate()
    assert "p90 not surely above 1.05" in wide.gate()
    assert "fewer than 1 run in 10" in wide.gate()


def test_a_difference_beyond_the_median_is_no_sameness() -> None:
    fine, slow = Interval(1.0, 0.995, 1.005), Interval(3.0, 2.9, 3.1)
    found = comparison(Pairs(interval=fine, mean=slow, p90=slow, sure=True), Rules())
    assert "cannot tell b from a" in found.sentence()
    assert "some runs are slower (mean and p90)" in found.sentence()
    assert "below 2%" not in found.sentence()
    assert found.to_dict()["statistics"]["p90"] == {"ratio": 3.0, "low": 2.9, "high": 3.1}


@pytest.mark.parametrize("bad", STATISTICS)
def test_an_interval_that_is_no_number_fails(bad: str) -> None:
    fine, none = Interval(1.0, 0.99, 1.01), Interval(math.nan, math.nan, math.nan)
    found = {name: none if name == bad else fine for name in STATISTICS}
    pairs = Pairs([[(1.0, 1.0)]], found["median"], found["mean"], found["p90"], looks=1)
    with pytest.raises(LatencyGateError):
        comparison(pairs, Rules(fail_above=1.05)).raise_if_regressed()


def test_no_pair_is_no_pass() -> None:
    with pytest.raises(LatencyGateError, match="not one pair"):
        comparison(Pairs(), Rules(fail_above=1.05)).raise_if_regressed()
    comparison(Pairs(), Rules()).raise_if_regressed()


class Says:
    """A runner that says what it is told to."""

    def __init__(self, *said: float) -> None:
        self._said = list(said)

    def open(self) -> None: ...

    def close(self) -> None: ...

    def run(self, runs: int = 1) -> list[float]:
        return (self._said * runs)[: max(runs, 1)]


@pytest.mark.parametrize("wrong", [(0.0,), (-1.0,), (math.nan,), (math.inf,), ()])
@pytest.mark.parametrize("is_head", [False, True])
def test_times_that_are_none(wrong: tuple[float, ...], is_head: bool) -> None:
    sides = [Says(1.0), Says(*wrong)]
    base, head = sides if is_head else reversed(sides)
    with pytest.raises(InferenceError, match="which are no times"):
        time_in_turn(base, head, Rules(limit_s=0.1))


# Through the command line.


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return build_model(tmp_path / "tiny.onnx")


def environment(folder: Path, before: str = "") -> Path:
    """An environment whose Python is this one, after some lines of shell."""
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\n{before}\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    return folder


def test_one_model_passes_no_gate(command: Command, model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(model.read_bytes())
    link = tmp_path / "link.onnx"
    link.symlink_to(model)
    for other in (model, copy, link):
        done = command("bench", "compare", model, other, *GATE)
        assert (done.code, done.out) == (4, "")
        assert "nothing was compared" in done.complaint
        assert "are one model (sha256" in done.complaint
    noise = command("bench", "compare", model, copy, "--seconds", 0.1, "--json")
    assert noise.code == 0
    assert noise.document["notes"] == ["both are one model: what differs is this machine's noise"]
    assert noise.document["gate"] is None


@pytest.mark.parametrize("head", ["one", "two"])
def test_one_installation_passes_no_gate(
    command: Command, model: Path, tmp_path: Path, head: str
) -> None:
    places = {name: environment(tmp_path / name) for name in ("one", "two")}
    done = command("bench", "compare", places["one"], places[head], "--model", model, *GATE)
    assert (done.code, done.out) == (4, "")
    assert "are one installation (" in done.complaint


def copied_depthrt(folder: Path) -> str:
    """A copy of depthrt, and the shell's line by which Python finds it first (without its -E)."""
    source = Path(depthrt.__file__).parent
    shutil.copytree(source, folder / "depthrt", ignore=shutil.ignore_patterns("__pycache__"))
    return f"shift; export PYTHONPATH={shlex.quote(str(folder))}"


@pytest.mark.slow
def test_equal_code_in_two_places_is_measured_and_said(
    command: Command, model: Path, tmp_path: Path
) -> None:
    one = environment(tmp_path / "one")
    two = environment(tmp_path / "two", copied_depthrt(tmp_path / "copy"))
    said = ("--model", model, "--fail-above", 10_000, "--seconds", 0.3, "--json")
    done = command("bench", "compare", one, two, *said)
    assert done.code == 0, done.err
    (note,) = done.document["notes"]
    assert note.startswith("both environments have the same code of depthrt")
    assert done.document["gate"]["passed"] is True
    changed = tmp_path / "copy/depthrt/errors.py"
    changed.write_text(changed.read_text() + "\n# another\n")
    assert command("bench", "compare", one, two, *said).document["notes"] == []


def test_an_equal_model_of_another_file_passes(command: Command, tmp_path: Path) -> None:
    model = build_model(tmp_path / "tiny.onnx")
    limit = 10_000  # which no other work of this machine exceeds
    equal = slower(model, tmp_path / "equal.onnx", poolings=0)
    done = command("bench", "compare", model, equal, "--fail-above", limit, "--seconds", 0.3,
                   "--threads", 1, "--json")  # fmt: skip
    assert done.code == 0, done.err
    assert set(done.document["statistics"]) == set(STATISTICS)
    gate = done.document["gate"]
    assert (gate["limit"], gate["passed"], gate["failed_by"]) == (limit, True, [])
    assert f"gate passed: median, mean and p90 surely not above {limit} x" in gate["sentence"]


def test_two_providers_pass_no_gate() -> None:
    with pytest.raises(LatencyGateError, match="BASE ran on cpu and HEAD on cuda"):
        refuse_two_providers([{"bound_provider": "cpu"}, {"bound_provider": "cuda"}])


@pytest.fixture
def forgotten(command: Command, model: Path, tmp_path: Path) -> Path:
    """An earlier result of a model that is gone."""
    path = tmp_path / "then/earlier.json"
    path.parent.mkdir()
    done = command("bench", model, "--threads", usable_cores(), "--batches", 1, "--duration", 0.05,
                   "--no-fresh", "--clip", "none", "--json")  # fmt: skip
    path.write_text(done.out)
    return path


def test_an_earlier_result_of_the_same_model_passes_no_gate(
    command: Command, forgotten: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (model.parent, forgotten.parent):  # where the earlier file is at hand, or not
        monkeypatch.chdir(folder)
        done = command("bench", "compare", forgotten, model, *GATE)
        assert done.code == 4
        assert "nothing was compared" in done.complaint


@pytest.mark.slow
def test_by_yardstick_the_gate_says_that_it_saw_the_median_alone(
    command: Command, forgotten: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(forgotten.parent)
    head = build_model(tmp_path / "head.onnx", gain=2.0)
    done = command(
        "bench", "compare", forgotten, head, "--fail-above", 10_000, "--seconds", 0.3, "--json"
    )
    assert done.code == 0, done.err
    assert done.document["comparison"] == "by yardstick"
    assert list(done.document["statistics"]) == ["median"]
    assert "the median alone was looked at" in done.document["gate"]["sentence"]


def test_a_model_that_is_the_built_in_one_is_no_other(command: Command, tmp_path: Path) -> None:
    copy = tmp_path / "mine.onnx"
    copy.write_bytes(find_model(None).read_bytes())
    assert command("bench", "compare", "depthrt-s", copy, *GATE).code == 4
