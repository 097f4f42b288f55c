"""An accuracy gate passes only by what was judged: enough images, finite, by fits that mean it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from depthrt.errors import AccuracyGateError, UsageError
from depthrt_benchmarks.evaluation.gates.judged_images import Need
from depthrt_benchmarks.evaluation.gates.max_abs_rel import Gate, Verdict, judge
from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation
from depthrt_benchmarks.evaluation.scoring.score import Row
from helpers.commands import Command
from helpers.files.labelled import write_png16, write_set
from helpers.models.small_model import SIZE, build_model

PASSES = ("--max-abs-rel", 0.2)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def no_picture(path: Path) -> None:
    path.write_bytes(b"no picture")


def without_depth(path: Path) -> None:
    write_png16(path, np.zeros(SIZE, np.uint16))


def too_few_pixels(path: Path) -> None:
    values = np.zeros(SIZE, np.uint16)
    values[0, :9] = 9000
    write_png16(path, values)


def one_depth(path: Path) -> None:
    write_png16(path, np.full(SIZE, 9000, np.uint16))


BROKEN: dict[str, tuple[str, Callable[[Path], None]]] = {
    "depth cut off": ("depth", cut_off),
    "depth is none": ("depth", no_picture),
    "depth is gone": ("depth", Path.unlink),
    "depth all zero": ("depth", without_depth),
    "depth of few pixels": ("depth", too_few_pixels),
    "depth of one value": ("depth", one_depth),
    "picture cut off": ("rgb", no_picture),
    "picture is gone": ("rgb", Path.unlink),
}


def broken_set(folder: Path, kind: str, count: int, broken: int) -> Path:
    """A set that the tiny model sees exactly, but for so many of its images, which are broken."""
    write_set(folder, count)
    part, spoil = BROKEN[kind]
    for number in range(count - broken, count):
        spoil(folder / part / f"{number:06d}.png")
    return folder


@pytest.mark.parametrize("kind", BROKEN)
def test_one_good_image_of_five_does_not_pass(
    command: Command, model_path: Path, tmp_path: Path, kind: str
) -> None:
    folder = broken_set(tmp_path / "desk", kind, 5, 4)
    done = command("eval", model_path, folder, *PASSES, "--json")
    assert done.code == 3
    assert "1 of 5 images could be judged, but 5 are needed (--min-images 100%)" in done.err
    gate = done.document["gate"]
    assert gate["passed"] is False
    (judged,) = gate["sets"]
    assert (judged["judged"], judged["images"], judged["needed"]) == (1, 5, 5)
    fewer = command("eval", model_path, folder, *PASSES, "--min-images", 1)
    assert fewer.code == 0, fewer.err
    assert "judged 1 of 5 images, at least 1 are needed" in fewer.out


@pytest.mark.parametrize("kind", ["depth cut off", "depth all zero", "depth of one value"])
def test_no_good_image_fails(command: Command, model_path: Path, tmp_path: Path, kind: str) -> None:
    folder = broken_set(tmp_path / "desk", kind, 3, 3)
    done = command("eval", model_path, folder, *PASSES, "--min-images", "1%")
    assert done.code == 3
    assert "0 of 3 images could be judged, but 1 are needed (--min-images 1%)" in done.err


@pytest.mark.parametrize(
    ("least", "code"), [("60%", 0), ("61%", 3), ("3", 0), ("4", 3), ("100%", 3), ("6", 3)]
)
def test_the_share_is_what_was_asked_for(
    command: Command, model_path: Path, tmp_path: Path, least: str, code: int
) -> None:
    folder = broken_set(tmp_path / "desk", "depth cut off", 5, 2)
    assert command("eval", model_path, folder, *PASSES, "--min-images", least).code == code


def test_the_verdict_is_said_with_its_counts(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder, result = write_set(tmp_path / "desk", 4), tmp_path / "r.json"
    done = command("eval", model_path, folder, *PASSES, "-o", result)
    assert (done.code, done.err) == (0, "")
    assert "gate passed: AbsRel of tiny float32 on desk is 0.0000, at most 0.2" in done.out
    assert "judged 4 of 4 images" in done.out
    gate = json.loads(result.read_text())["gate"]
    assert (gate["passed"], gate["max_abs_rel"], gate["min_images"]) == (True, 0.2, "100%")
    assert gate["sets"][0]["abs_rel"] < 1e-3
    assert "gate" not in command("eval", model_path, folder, "--json").document


def test_what_max_images_leaves_out_is_not_missed(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk", 6)
    done = command("eval", model_path, folder, *PASSES, "--max-images", 2)
    assert done.code == 0, done.err
    assert "judged 2 of 2 images" in done.out
    for number in range(1, 6):
        (folder / f"depth/{number:06d}.png").unlink()
    fewer = command("eval", model_path, folder, *PASSES, "--max-images", 2)
    assert fewer.code == 3
    assert "1 of 2 images could be judged" in fewer.err


def test_every_set_must_meet_it(command: Command, model_path: Path, tmp_path: Path) -> None:
    sets = tmp_path / "sets"
    write_set(sets / "a", 3)
    broken_set(sets / "b", "depth cut off", 3, 1)
    write_set(sets / "c", 3, wrong=2.0)
    done = command("eval", model_path, sets, "--max-abs-rel", 0.05, "--json")
    assert done.code == 3
    passed = {s["dataset"]: s["passed"] for s in done.document["gate"]["sets"]}
    assert passed == {"a": True, "b": False, "c": False}
    for words in ("on b: 2 of 3 images could be judged", "on c: AbsRel is 0."):
        assert words in done.err.splitlines()[-1]


def test_a_set_that_lost_its_layout_is_missed(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    sets = tmp_path / "sets"
    write_set(sets / "a", 3)
    write_set(sets / "b", 3)
    shutil.rmtree(sets / "b/depth")
    (sets / "b/dataset.json").unlink()
    (sets / "notes").mkdir()
    (sets / "notes/read.me").write_text("no picture here")
    done = command("eval", model_path, sets, "--json")
    assert (done.code, len(done.document["evaluations"])) == (0, 1)
    assert f"{sets / 'b'} holds pictures, but is of no known layout" in done.complaint
    gated = command("eval", model_path, sets, *PASSES, "--json")
    assert gated.code == 3
    assert "is of no known layout" in gated.err.splitlines()[-1]
    shutil.rmtree(sets / "b")
    assert command("eval", model_path, sets, *PASSES).code == 0


@pytest.mark.parametrize(
    "least", ["0", "0%", "101%", "-1", "0.5", "nan", "inf", "all", "", "5 %%", "1e3", "١"]
)
def test_counts_that_are_none(
    command: Command, model_path: Path, tmp_path: Path, least: str
) -> None:
    folder = write_set(tmp_path / "desk", 1)
    done = command("eval", model_path, folder, *PASSES, f"--min-images={least}")
    assert (done.code, done.out) == (2, "")
    assert "--min-images" in done.complaint


def test_a_count_that_cannot_be_met(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 4)
    done = command("eval", model_path, folder, *PASSES, "--min-images", 3, "--max-images", 2)
    assert (done.code, done.out) == (2, "")
    assert "--min-images 3 is more than the 2 that --max-images leaves" in done.complaint


def test_a_range_in_which_nothing_could_fail(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk", 2)
    narrow = ("--min-depth", 1.0, "--max-depth", 1.2)
    done = command("eval", model_path, folder, *PASSES, *narrow)
    assert (done.code, done.out) == (2, "")
    assert "could not fail on desk: depth is judged and clamped between 1 and 1.2 m" in (
        done.complaint
    )
    assert command("eval", model_path, folder, "--max-abs-rel", 0.19, *narrow).code == 0


def test_the_page_says_the_verdict(command: Command, model_path: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    folder = broken_set(tmp_path / "desk", "depth cut off", 3, 1)
    assert command("eval", model_path, folder, *PASSES, "--report", page).code == 3
    assert "gate failed: tiny float32 on desk: 2 of 3 images could be judged" in page.read_text()


def test_a_count_without_a_gate(command: Command, model_path: Path, tmp_path: Path) -> None:
    done = command("eval", model_path, write_set(tmp_path / "desk", 1), "--min-images", 1)
    assert (done.code, done.out) == (2, "")
    assert "give --max-abs-rel or --fail-worse, too" in done.complaint


@pytest.mark.parametrize(
    ("text", "images", "needed"),
    [("100%", 20, 20), ("95%", 20, 19), ("95%", 21, 20), ("0.1%", 20, 1), ("7", 20, 7),
     ("99.9%", 1000, 999), ("30", 20, 30)],
)  # fmt: skip
def test_shares_are_rounded_up(text: str, images: int, needed: int) -> None:
    assert Need.parse(text).of(images) == needed


def evaluation(rows: list[Row], protocol: str = "none; no crop") -> Evaluation:
    return Evaluation("m", "d", "pairs", protocol, rows, images=len(rows))


@pytest.mark.parametrize(
    "metrics", [{}, {"abs_rel": math.nan}, {"abs_rel": math.inf}, {"delta1": 1.0}]
)
def test_no_number_is_no_pass(metrics: dict[str, float]) -> None:
    found = judge(Gate(0.2, Need()), [evaluation([Row("a", metrics=metrics)])], [])
    assert found.failures
    with pytest.raises(AccuracyGateError, match="m on d: AbsRel is"):
        found.raise_if_failed()


def test_nothing_judged_is_no_pass() -> None:
    with pytest.raises(AccuracyGateError, match="no set was judged"):
        Verdict(Gate(0.2, Need()), ()).raise_if_failed()
    empty = judge(Gate(0.2, Need.parse("1%")), [evaluation([])], [])
    with pytest.raises(AccuracyGateError, match="0 of 0 images could be judged, but 1 are needed"):
        empty.raise_if_failed()
    with pytest.raises(UsageError):
        Need.parse("none")


def test_images_that_say_nothing_do_not_lower_the_mean() -> None:
    rows = [Row("a", metrics={"abs_rel": 0.3}), Row("b", hollow="flat", metrics={"abs_rel": 0.0})]
    found = judge(Gate(0.2, Need.parse("50%")), [evaluation(rows)], [])
    assert found.sets[0].abs_rel == 0.3
    with pytest.raises(AccuracyGateError, match=r"AbsRel is 0\.3000, more than the 0\.2 allowed"):
        found.raise_if_failed()


def test_models_that_it_is_compared_with_are_not_judged(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk", 3)
    dead = build_model(tmp_path / "dead.onnx", gain=0.0)
    beside = ("--max-abs-rel", 0.01, "--compare")
    assert command("eval", model_path, folder, *beside, dead).code == 0
    assert command("eval", dead, folder, *beside, model_path).code == 3
