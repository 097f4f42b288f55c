"""Earlier results, accuracies and histories that are broken: one sentence, and left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthrt.errors import UsageError
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.bench.compare.earlier_json import read_earlier
from helpers.commands import Command
from helpers.files.hostile_json import ALL, write_unreadable
from helpers.models.small_model import build_model


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


def earlier() -> dict[str, Any]:
    """A result as `depthrt bench --json` writes it, of what the tests look at."""
    latency = dict.fromkeys(("p50", "p90", "p95", "p99", "worst"), 2.0)
    return {
        "machine": {"processor": "x", "cores": 1},
        "versions": {"python": "3"},
        "models": [{"model": "m", "file": "m.onnx", "sha256": "0" * 64, "size": [48, 64]}],
        "cells": [{
            "model": "m", "bound_provider": "cpu", "threads": usable_cores(), "batch": 1,
            "size": [48, 64], "precision": "float32", "latency_ms": latency,
            "blocks_ms": [2.0] * 10,
        }],
        "yardstick": {"sha256": "0" * 64, "blocks_ms": [1.0] * 10},
    }  # fmt: skip


@pytest.mark.parametrize("kind", ALL)
def test_an_earlier_result_that_cannot_be_read(
    command: Command, model: Path, tmp_path: Path, kind: str
) -> None:
    path = write_unreadable(tmp_path / "earlier.json", kind)
    done = command("bench", "compare", path, model)
    assert (done.code, done.out) == (2, "")
    assert str(path) in done.complaint


WRONG: list[tuple[str, Any]] = [
    ("models", {}),
    ("models.0", 3),
    ("models.0.model", ["m"]),
    ("models.0.file", None),
    ("models.0.size", [48]),
    ("models.0.size", [48, 64.5]),
    ("cells", None),
    ("cells.0", []),
    ("cells.0.model", "other"),
    ("cells.0.threads", "1"),
    ("cells.0.threads", True),
    ("cells.0.batch", 0),
    ("cells.0.size", "48x64"),
    ("cells.0.size", [-48, 64]),
    ("cells.0.latency_ms", [2.0]),
    ("cells.0.latency_ms.p50", None),
    ("cells.0.latency_ms.p90", -1.0),
    ("cells.0.blocks_ms", 2.0),
    ("cells.0.blocks_ms", [2.0] * 9 + [0.0]),
    ("cells.0.blocks_ms", [2.0] * 9 + ["2"]),
    ("versions", []),
    ("yardstick", None),
    ("yardstick.sha256", 3),
    ("yardstick.blocks_ms", [1.0] * 9 + [-1.0]),
]


def changed(place: str, value: Any) -> dict[str, Any]:
    document: Any = earlier()
    *way, last = place.split(".")
    part = document
    for key in way:
        part = part[int(key) if key.isdecimal() else key]
    part[int(last) if last.isdecimal() else last] = value
    return dict(document)


@pytest.mark.parametrize(("place", "value"), WRONG)
def test_an_earlier_result_that_says_nonsense(
    command: Command, model: Path, tmp_path: Path, place: str, value: Any
) -> None:
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(changed(place, value)))
    done = command("bench", "compare", path, model)
    assert (done.code, done.out) == (2, "")
    assert f"{path} is no result of `depthrt bench --json`" in done.complaint


def test_an_earlier_result_as_it_should_be(command: Command, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(earlier()))
    (cell,) = read_earlier(path).cells
    assert (cell.size, cell.blocks_ms, cell.latency_ms["p90"]) == ((48, 64), (2.0,) * 10, 2.0)
    done = command("bench", "compare", path, model)
    assert done.code == 2
    assert "was measured on another machine" in done.complaint
    path.write_text(json.dumps(changed("machine", "x" * 100_000)))
    assert len(command("bench", "compare", path, model).complaint) < 500
    missing = earlier()
    del missing["yardstick"]
    path.write_text(json.dumps(missing))
    with pytest.raises(UsageError, match='lacks "yardstick"'):
        read_earlier(path)


@pytest.mark.parametrize("kind", ALL)
def test_accuracies_that_cannot_be_read(
    command: Command, model: Path, tmp_path: Path, kind: str
) -> None:
    path = write_unreadable(tmp_path / "eval.json", kind)
    done = command("bench", model, "--accuracy", path)
    assert (done.code, done.out) == (2, "")
    assert str(path) in done.complaint


@pytest.mark.parametrize(
    "content",
    [
        {"models": 3, "evaluations": []},
        {"models": [{"model": "m", "sha256": "0"}], "evaluations": {}},
        {"models": [{"model": "m"}], "evaluations": [{"model": "m", "dataset": "d"}]},
        {"models": [{"model": "m", "sha256": "0"}],
         "evaluations": [{"model": "m", "dataset": "d", "protocol": "p",
                          "metrics": {"abs_rel": {"value": "0.1"}}}]},
        {"models": [{"model": ["m"], "sha256": "0"}], "evaluations": []},
    ],
)  # fmt: skip
def test_accuracies_that_say_nonsense(
    command: Command, model: Path, tmp_path: Path, content: dict[str, Any]
) -> None:
    path = tmp_path / "eval.json"
    path.write_text(json.dumps(content))
    done = command("bench", model, "--accuracy", path)
    assert (done.code, done.out) == (2, "")
    assert f"{path} is no result of `depthrt eval --json`" in done.complaint


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind != "a list"])
def test_a_history_that_is_none_stays_as_it_is(
    command: Command, model: Path, tmp_path: Path, kind: str
) -> None:
    place = write_unreadable(tmp_path / "history/history.json", kind)
    done = command("bench", "compare", model, model, "--history", place.parent)
    assert (done.code, done.out) == (2, "")
    assert str(place) in done.complaint
    assert [path.name for path in place.parent.iterdir()] == [place.name]
