"""What bench and eval write beside what others have, and what they leave alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from depthrt.errors import TargetError, UsageError
from depthrt_benchmarks.bench.compare import history
from depthrt_benchmarks.bench.report import outputs
from depthrt_benchmarks.common.environment import write_result
from depthrt_benchmarks.common.report import mlflow_log
from depthrt_benchmarks.evaluation.job import Outcome
from depthrt_benchmarks.evaluation.report.outputs import write_outputs
from depthrt_benchmarks.evaluation.scoring.resume_file import ResumeFile
from experiments.pipeline import bench_honesty
from helpers.commands import Command
from helpers.files.labelled import write_set
from helpers.models.small_model import build_model

MEANWHILE = "made or changed by somebody else meanwhile"


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    return build_model(tmp_path / "model/tiny.onnx")


def write_json(path: Path, *, overwrite: bool) -> None:
    write_outputs(Outcome(), path, None, None, overwrite=overwrite)


def write_csv(path: Path, *, overwrite: bool) -> None:
    write_outputs(Outcome(), None, path, None, overwrite=overwrite)


def write_page(path: Path, *, overwrite: bool) -> None:
    write_outputs(Outcome(), None, None, path, overwrite=overwrite)


def write_markdown(path: Path, *, overwrite: bool) -> None:
    document = {"machine": {"processor": "x", "instructions": [], "cores": 1, "system": "y"},
                "versions": {"python": "3", "onnxruntime": "1"}, "commit": "c", "cells": [],
                "models": [], "starts": [], "clips": [], "profiles": []}  # fmt: skip
    outputs.write(document, path, None, overwrite=overwrite)


@pytest.mark.parametrize("write", [write_json, write_csv, write_page, write_markdown])
def test_a_file_that_came_meanwhile_survives(tmp_path: Path, write: Callable[..., None]) -> None:
    target = tmp_path / "out.txt"
    beside = tmp_path / "out.partial.txt"
    beside.write_text("theirs")
    target.write_text("theirs")
    with pytest.raises(TargetError, match=MEANWHILE) as caught:
        write(target, overwrite=False)
    assert target.read_text() == beside.read_text() == "theirs"
    kept = Path(str(caught.value).split("the finished output is in ")[1])
    assert kept.stat().st_size
    kept.unlink()
    write(target, overwrite=True)
    assert target.read_text() != "theirs"
    assert beside.read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_measured_is_told_though_its_report_has_no_place(
    command: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "r.md"
    real = outputs.write

    def late(*given: object, **named: bool) -> None:
        report.write_text("theirs")
        real(*given, **named)

    monkeypatch.setattr(outputs, "write", late)
    done = command("bench", model, "--threads", 1, "--batches", 1, "--duration", 0.02, "--clip",
                   "none", "--no-fresh", "--markdown", report, "--json")  # fmt: skip
    assert done.code == 2
    assert report.read_text() == "theirs"
    assert done.document["cells"]
    assert "tiny" in done.kept.read_text()


def test_eval_replaces_no_file_of_a_set(command: Command, model: Path, tmp_path: Path) -> None:
    desk = write_set(tmp_path / "desk", 1)
    before = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()}
    assert len(before) >= 3
    for place in before:
        for option in ("-o", "--csv", "--report"):
            done = command("eval", model, desk, option, place, "--overwrite")
            assert done.code == 2
            assert f"{place} stands in {desk}, which is read" in done.complaint
    assert {path: path.read_bytes() for path in before} == before


COMPARISON = {
    "benchmark": "compare", "threads": 1,
    "head": {"label": "b", "bound_provider": "cpu", "latency_ms": {"p50": 1}},
    "batch": 1, "high": 1.1, "low": 0.9, "ratio": 1.0, "sentence": "same",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("history.json", '["a diary", "of my own"]'),
        ("history.json", '[{"time": "yesterday"}]'),
        ("history.json", "[" * 100_000),
        ("benchmark.json", '{"mine": 1}'),
        ("benchmark.json", '[{"name": "a", "unit": "s", "value": 1, "note": "mine"}]'),
        ("benchmark.json", "no JSON"),
    ],
)
def test_a_history_that_is_not_ours_is_left_alone(
    command: Command, model: Path, tmp_path: Path, name: str, content: str
) -> None:
    folder = tmp_path / "h"
    folder.mkdir()
    (folder / name).write_text(content)
    with pytest.raises(UsageError, match=r"is no history|cannot be read"):
        history.add(folder, COMPARISON)
    done = command("bench", "compare", model, model, "--history", folder)
    assert (done.code, done.out) == (2, "")  # before anything was measured
    assert name in done.complaint
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == content


def test_comparisons_that_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    (tmp_path / "h").mkdir()
    (tmp_path / "h/history.partial.json").write_text("theirs")
    threads = [
        threading.Thread(target=history.add, args=(tmp_path / "h", {**COMPARISON, "number": n}))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = json.loads((tmp_path / "h/history.json").read_text())
    assert sorted(entry["number"] for entry in entries) == list(range(12))
    names = sorted(path.name for path in (tmp_path / "h").iterdir())
    assert names == ["benchmark.json", "history.json", "history.partial.json"]
    assert (tmp_path / "h/history.partial.json").read_text() == "theirs"


def test_a_result_of_this_project_is_whole_or_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "results/a.json"
    write_result(place, {"figure": 1})
    with pytest.raises(TypeError):
        write_result(place, {"figure": object()})
    assert json.loads(place.read_text())["figure"] == 1
    assert list(place.parent.iterdir()) == [place]


def test_an_experiment_goes_on_from_nothing_but_its_own_progress(tmp_path: Path) -> None:
    place = tmp_path / "result.progress.json"
    assert bench_honesty.progress_of(place) == {}
    bench_honesty.keep(place, {"same": [1]})
    assert bench_honesty.progress_of(place)["same"] == [1]
    place.write_text('{"same": [1]}')
    with pytest.raises(UsageError, match="something else"):
        bench_honesty.progress_of(place)


def test_a_journal_that_another_evaluation_writes_to_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mine, other = ResumeFile.open("k" * 40), ResumeFile.open("k" * 40)
    for number, journal in enumerate((mine, other)):
        journal.put(f"image {number}", number)
    mine.remove()
    assert ResumeFile.open("k" * 40).entries == {"image 0": 0, "image 1": 1}
    other.remove()
    assert ResumeFile.open("k" * 40).entries == {}


def test_a_database_of_others_gets_no_tables(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as opened, opened:
        opened.execute("CREATE TABLE letters (text TEXT)")
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(TargetError, match=r"mlflow\.db is no database of MLflow"):
        mlflow_log.check(str(tmp_path))
    assert (tmp_path / "mlflow.db").read_bytes() == before
    (tmp_path / "mlflow.db").write_text("no database at all")
    with pytest.raises(TargetError, match="no database of MLflow"):
        mlflow_log.check(str(tmp_path))
