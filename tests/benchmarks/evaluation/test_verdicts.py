"""Which of two is better is said only where it can be told, and by names that tell them apart."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from depthrt.spec import InputSpec, ModelSpec
from depthrt_benchmarks.evaluation.dataset_warnings import findings
from depthrt_benchmarks.evaluation.protocol.protocol import Protocol
from depthrt_benchmarks.evaluation.report.outputs import write_outputs
from depthrt_benchmarks.evaluation.scoring.score import Row
from depthrt_benchmarks.evaluation.scoring.statistics import bootstrap_mean, paired_differences
from helpers.commands import Command, outcome, spawn
from helpers.files.labelled import write_set
from helpers.models.small_model import SIZE, build_model

NO_UTF8 = os.fsdecode(b"caf\xe9")
PROTOCOL = Protocol("disparity-lsq", "none", 0.1, 10.0, "half-pixel")


def rows(values: list[float]) -> list[Row]:
    return [Row(str(i), metrics={"abs_rel": value}) for i, value in enumerate(values)]


@pytest.mark.parametrize("images", [2, 5, 10, 30])
def test_no_winner_where_there_is_none(images: int) -> None:
    random, tries = np.random.default_rng(1), 400
    wrong = 0
    for _ in range(tries):
        (found,) = paired_differences(rows([0.0] * images), rows(list(random.normal(size=images))))
        wrong += found.better != "cannot tell"
    assert wrong <= 0.07 * tries  # 5% and two standard errors


def test_one_image_cannot_tell() -> None:
    (found,) = paired_differences(rows([0.1]), rows([0.2]))
    assert (found.value, found.better) == (pytest.approx(0.1), "cannot tell")


def test_the_interval_of_few_images_is_students() -> None:
    found = bootstrap_mean([1.0, 3.0])  # the bootstrap reaches from 1 to 3
    reach = 12.7062 / 1.959964 * 2**0.5
    assert found.low == pytest.approx(2 - reach, rel=1e-4)
    assert found.high == pytest.approx(2 + reach, rel=1e-4)


def test_a_table_of_the_same_label_is_named(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.csv"
    wrong = write_set(tmp_path / "was/desk", wrong=0.1)
    assert command("eval", model_path, wrong, "--csv", old).code == 0
    now = write_set(tmp_path / "is/desk")
    found = command("eval", model_path, now, "--compare", old, "--json").document
    (comparison,) = found["comparisons"]
    assert comparison["first"] == "tiny float32"
    assert comparison["second"] == "tiny float32 of old.csv"
    (tmp_path / "x").mkdir()
    again = shutil.copy(old, tmp_path / "x/old.csv")
    both = command("eval", model_path, now, "--compare", old, "--compare", again, "--json")
    places = [c["second"] for c in both.document["comparisons"]]
    assert places == [f"tiny float32 of {tmp_path.name}/old.csv", "tiny float32 of x/old.csv"]


def test_brackets_and_colons_of_names_are_shown(command: Command, tmp_path: Path) -> None:
    spec = ModelSpec("net [bold] :cat:", "inverse_depth", InputSpec(*SIZE))
    model = build_model(tmp_path / "m.onnx", spec=spec)
    one, two = (write_set(tmp_path / name, 3) for name in ("desk [day]", "desk [night]"))
    table = tmp_path / "t.csv"
    assert command("eval", model, one, "--csv", table).code == 0
    shown = command("eval", model, one, two, "--compare", table).out
    label = "net [bold] :cat: float32"
    for text in ("desk [day]", "desk [night]", f"{label} minus {label} of t.csv (95%"):
        assert text in shown
    assert shown.count(label) == 4
    assert label in command("bench", model, "--threads", 1, "--batches", 1, "--duration", 0.05,
                            "--no-fresh", "--clip", "none").out.replace("m (", label)  # fmt: skip


def test_names_that_are_no_utf8(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 3)
    for part in ("rgb", "depth"):
        (folder / part / "000001.png").rename(folder / part / f"{NO_UTF8}.png")
    table, page = tmp_path / "t.csv", tmp_path / "r.html"
    done = command("eval", model_path, folder, "--csv", table, "--report", page)
    assert done.code == 0, done.err
    assert b",caf\xe9," in table.read_bytes()
    assert "caf?" in page.read_text(encoding="utf-8")
    again = command("eval", model_path, folder, "--compare", table, "--json").document
    assert again["comparisons"][0]["differences"][0]["images"] == 3


def test_a_folder_that_is_no_utf8(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")  # as on a terminal
    folder = write_set(tmp_path / "desk", 2).rename(tmp_path / NO_UTF8)
    done = outcome(spawn("eval", model_path, folder))
    assert done.code == 0, done.err
    assert "caf?" in done.out


def test_what_was_not_finished_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depthrt_benchmarks.evaluation.job import Outcome
    from depthrt_benchmarks.evaluation.report import outputs

    def failing(path: Path, evaluations: object) -> None:
        path.write_text("half")
        raise ValueError("a bug")

    monkeypatch.setattr(outputs, "write_table", failing)
    with pytest.raises(ValueError, match="a bug"):
        write_outputs(Outcome(), None, tmp_path / "t.csv", None)
    assert list(tmp_path.iterdir()) == []


def test_where_infinity_is_laid_is_said_by_kind() -> None:
    bad = [Row("a", outputs=10, non_finite=2)]
    (far,) = findings(bad, PROTOCOL, "depth")
    assert "infinity counts as the far end of the range" in far
    (near,) = findings(bad, PROTOCOL, "inverse_depth")
    assert "infinite inverse depth and NaN count as the near end of the range" in near
