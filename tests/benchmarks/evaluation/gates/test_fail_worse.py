"""`--compare BASE --fail-worse`: fails where the model is surely worse, and where nothing tells."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from depthrt_benchmarks.evaluation.gates import fail_worse
from depthrt_benchmarks.evaluation.gates.fail_worse import (
    WorseGate,
    WorseVerdicts,
    judge_worse,
    with_margin,
)
from depthrt_benchmarks.evaluation.gates.judged_images import Need
from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation
from depthrt_benchmarks.evaluation.scoring.score import Row
from helpers.commands import Command
from helpers.files.labelled import write_set
from helpers.models import gate_models

PROTOCOL = "none; no crop"


def evaluation(errors: list[float], model: str = "new", **facts: object) -> Evaluation:
    rows = [Row(f"{n}", valid=100, metrics={"abs_rel": error}) for n, error in enumerate(errors)]
    return Evaluation(
        model, "d", str(facts.get("layout", "pairs")), str(facts.get("protocol", PROTOCOL)), rows,
        images=len(rows),
    )  # fmt: skip


def judged(own: list[float], base: list[float], margin: float = 0.01) -> WorseVerdicts:
    sides = [(evaluation(own), "old", evaluation(base, "old"))]
    return judge_worse(WorseGate(margin, Need()), sides)


def scattered(count: int, spread: float = 0.02, seed: int = 0) -> list[float]:
    return list(0.1 + np.random.default_rng(seed).uniform(-spread, spread, count))


def test_figures_of_known_errors() -> None:
    base = scattered(60)
    found = judged([1.1 * error for error in base], base)
    (one,) = found.found
    assert one.abs_rel == pytest.approx(1.1 * np.mean(base))
    assert one.difference == pytest.approx(0.1 * np.mean(base))
    assert one.allowed == pytest.approx(0.01 * np.mean(base))
    assert one.low is not None
    assert one.high is not None
    assert one.allowed < one.low < one.difference < one.high
    assert found.failures[0].startswith("new beside old on d: surely worse than allowed: AbsRel 0.")
    assert found.as_dict()["passed"] is False
    assert "100 is allowed" not in found.lines()[0]
    assert judged([1.1 * error for error in base], base, margin=0.2).failures == []


def test_the_verdict_follows_the_interval() -> None:
    base = scattered(40)
    noise = np.random.default_rng(1).normal(0, 0.02, 40)
    unsure = judged([b + 0.004 + n for b, n in zip(base, noise, strict=True)], base)
    assert unsure.failures == []
    assert "gate passed: new beside old on d: not surely worse than allowed" in unsure.lines()[0]
    better = judged([0.9 * b for b in base], base)
    assert "surely not worse than allowed" in better.lines()[0]
    few = judged([1.1 * b for b in base[:2]], base[:2])
    assert few.failures == []  # two images are enough for an interval, a very wide one
    assert "not surely worse" in few.lines()[0]


@pytest.mark.parametrize("sets", [1, 4])
def test_models_alike_fail_once_in_a_hundred_runs_at_most(
    sets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two models whose errors are drawn alike, image by image, at a margin of nothing."""
    monkeypatch.setattr(fail_worse, "_RESAMPLES", 2000)
    failed, tries = 0, 60
    for seed in range(tries):
        drawn = np.random.default_rng(seed).gamma(2, 0.05, (sets, 2, 25))
        sides = [
            (evaluation(list(own)), f"old{n}", evaluation(list(base), f"old{n}"))
            for n, (own, base) in enumerate(drawn)
        ]
        failed += bool(judge_worse(WorseGate(0.0, Need()), sides).failures)
    assert failed <= 3  # 0.6 expected; three standard errors above


@pytest.mark.parametrize(
    ("base", "why"),
    [
        (None, "old was not measured on d"),
        (evaluation([0.1] * 3, "old", layout=""), "every figure is the base's"),
        (evaluation([0.2] * 3, "old", protocol="median; no crop"), "not one protocol (none and me"),
        (evaluation([0.2] * 2, "old"), "2 of 3 images could be judged for both, but 3 are needed"),
        (evaluation([], "old"), "0 of 3 images could be judged for both"),
    ],
)
def test_nothing_compared_is_no_pass(base: Evaluation | None, why: str) -> None:
    gate = WorseGate(0.5, Need())
    found = judge_worse(gate, [(evaluation([0.1] * 3), "old", base)])
    assert why in found.failures[0]
    assert found.as_dict()["passed"] is False


def test_no_side_and_a_lost_folder_are_no_pass() -> None:
    gate = WorseGate(0.5, Need())
    assert judge_worse(gate, []).failures == ["--fail-worse: nothing was compared"]
    fine = [(evaluation([0.1, 0.2]), "old", evaluation([0.1, 0.2], "old"))]
    assert judge_worse(gate, fine).failures == []
    assert judge_worse(gate, fine, ["b is no set"]).failures == ["b is no set"]


def test_one_image_has_no_interval() -> None:
    assert "1 image has no interval: 2 are needed" in judged([0.1], [0.1]).failures[0]


def test_nan_and_other_truth_are_no_pass() -> None:
    own, base = evaluation([0.1] * 3), evaluation([0.1] * 3, "old")
    own.rows[1] = Row("1", valid=100, non_finite=4, metrics={"abs_rel": 0.1})
    (failure,) = judge_worse(WorseGate(0.5, Need.parse("50%")), [(own, "old", base)]).failures
    assert "the network gave NaN or infinite values in 1 of 3 images" in failure
    own = evaluation([0.1] * 3)
    base.rows[2] = Row("2", valid=99, metrics={"abs_rel": 0.1})
    (failure,) = judge_worse(WorseGate(0.5, Need()), [(own, "old", base)]).failures
    assert "1 images have other valid pixels (first: 2)" in failure


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--fail-worse"], ["--fail-worse", "1%"]),
        (["--fail-worse", "--json"], ["--fail-worse", "1%", "--json"]),
        (["m", "--fail-worse", "sets/"], ["m", "--fail-worse", "1%", "sets/"]),
        (["--fail-worse", "0.2", "sets/"], ["--fail-worse", "0.2", "sets/"]),
        (["--fail-worse", "5%"], ["--fail-worse", "5%"]),
        (["--fail-worse=5%"], ["--fail-worse=5%"]),
        (["m", "sets/"], ["m", "sets/"]),
    ],
)
def test_the_margin_may_be_left_out(given: list[str], read: list[str]) -> None:
    assert with_margin(given) == read


# Through the command line.


@pytest.fixture
def bent(tmp_path: Path) -> Path:
    return gate_models.bent(tmp_path / "bent.onnx")


def test_a_worse_model_fails_and_a_better_one_passes(
    command: Command, model_path: Path, bent: Path, tmp_path: Path
) -> None:
    folder, result, page = (
        write_set(tmp_path / "desk", 12),
        tmp_path / "r.json",
        tmp_path / "r.html",
    )
    done = command("eval", bent, folder, "--compare", model_path, "--fail-worse", "-o", result)
    assert done.code == 3, done.err
    assert "surely worse than allowed: AbsRel" in done.err.splitlines()[-1]
    found = json.loads(result.read_text())["fail_worse"]
    assert (found["passed"], found["margin"], found["confidence"]) == (False, 0.01, 0.99)
    (one,) = found["comparisons"]
    assert one["low"] > one["allowed"]
    assert (one["images"], one["needed"]) == (12, 12)
    passed = command(
        "eval", model_path, folder, "--compare", bent, "--fail-worse", "0.02", "--report", page
    )
    assert passed.code == 0, passed.err
    assert "gate passed: tiny float32" in passed.out
    assert "surely not worse than allowed" in page.read_text()


def test_a_table_of_the_base_will_do(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder, table = write_set(tmp_path / "desk", 12, wrong=0.02), tmp_path / "base.csv"
    assert command("eval", model_path, folder, "--csv", table).code == 0
    same = command("eval", model_path, folder, "--compare", table, "--fail-worse")
    assert same.code == 3
    assert "nothing was compared: every figure is the base's" in same.err.splitlines()[-1]
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        line["abs_rel"] = repr(0.5 * float(line["abs_rel"]))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    assert command("eval", model_path, folder, "--compare", table, "--fail-worse").code == 3
    assert command("eval", model_path, folder, "--compare", table, "--fail-worse", "100%").code == 0


def test_one_model_is_refused_before_anything_is_measured(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.onnx"
    shutil.copy(model_path, copy)
    folder = write_set(tmp_path / "desk", 2)
    for base in (model_path, copy):
        done = command("eval", model_path, folder, "--compare", base, "--fail-worse")
        assert (done.code, done.out) == (3, "")
        assert "nothing was compared" in done.complaint
    assert command("eval", model_path, folder, "--compare", copy).code == 0


@pytest.mark.parametrize("margin", ["-1", "1.5", "200%", "-5%", "2024"])
def test_margins_that_are_none(
    command: Command, model_path: Path, tmp_path: Path, margin: str
) -> None:
    folder = write_set(tmp_path / "desk", 1)
    done = command("eval", model_path, folder, "--compare", model_path, f"--fail-worse={margin}")
    assert (done.code, done.out) == (2, "")
    assert f"--fail-worse {margin}: give the share" in done.complaint


def test_a_gate_needs_a_base_and_labels(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 1)
    alone = command("eval", model_path, folder, "--fail-worse")
    assert alone.code == 2
    assert "--fail-worse needs a base: give --compare" in alone.complaint
    clip = command("eval", model_path, "demo", "--compare", model_path, "--fail-worse")
    assert clip.code == 2
    assert "--fail-worse needs a labelled set" in clip.complaint


def test_both_gates_say_why_they_fail(
    command: Command, model_path: Path, bent: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk", 12)
    done = command("eval", bent, folder, "--compare", model_path, "--fail-worse",
                   "--max-abs-rel", 0.001)  # fmt: skip
    assert done.code == 3
    last = done.err.splitlines()[-1]
    assert "allowed by --max-abs-rel" in last
    assert "bent float32 beside tiny float32 on desk: surely worse" in last
