"""A comparison compares what it says: one size, each environment's own depthrt, honest percents."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from depthrt.confidence_interval import Interval
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.bench.compare.comparison import Comparison, Setting, Side
from depthrt_benchmarks.bench.compare.pairs import Pairs, Rules
from helpers.commands import Command
from helpers.models.small_model import build_model

QUICK = ("--threads", usable_cores(), "--batches", 1, "--duration", 0.05, "--no-fresh", "--clip",
         "none", "--json")  # fmt: skip


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


@pytest.fixture
def earlier(command: Command, tmp_path: Path) -> Path:
    """A result of an open model at 96x160, which is not its own size."""
    model = build_model(tmp_path / "open.onnx", dynamic_size=True)
    path = tmp_path / "earlier.json"
    path.write_text(command("bench", model, "--sizes", "96x160", *QUICK).out)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("gone", [False, True])
def test_head_runs_at_the_size_of_the_earlier_result(
    command: Command, earlier: Path, tmp_path: Path, gone: bool
) -> None:
    head = build_model(tmp_path / "head.onnx", dynamic_size=True)
    if gone:
        (tmp_path / "open.onnx").unlink()
        head = build_model(tmp_path / "head.onnx", dynamic_size=True, gain=2.0)
    done = command("bench", "compare", earlier, head, "--seconds", 0.3, "--json")
    assert done.code == 0, done.err
    assert done.document["comparison"] == ("by yardstick" if gone else "interleaved")
    assert done.document["size"] == [96, 160]
    assert not any("not of one size" in note for note in done.document["notes"])


def test_a_head_that_cannot_run_at_that_size_is_refused(
    command: Command, earlier: Path, tmp_path: Path
) -> None:
    done = command("bench", "compare", earlier, build_model(tmp_path / "head.onnx"))
    assert done.code == 2
    assert "earlier.json was measured at 96x160 (say --size" in done.complaint
    document = json.loads(earlier.read_text())
    document["cells"].append({**document["cells"][0], "size": [48, 64]})
    earlier.write_text(json.dumps(document))
    two = command("bench", "compare", earlier, tmp_path / "head.onnx")
    assert two.code == 2
    assert "(open at 96x160, open at 48x64): say --size" in two.complaint
    none = command("bench", "compare", earlier, tmp_path / "head.onnx", "--size", "32x32")
    assert "batch 1, size 32x32" in none.complaint


def test_networks_of_two_sizes_are_said(command: Command, tmp_path: Path) -> None:
    from helpers.models.small_model import build_spec

    small = build_model(tmp_path / "small.onnx")
    size = (96, 128)
    large = build_model(tmp_path / "large.onnx", size=size, spec=build_spec(size, "large"))
    done = command("bench", "compare", small, large, "--seconds", 0.1, "--json")
    assert done.document["notes"] == ["not of one size: small ran at 48x64, large at 96x128"]


def wrapped(folder: Path) -> Path:
    """An environment whose Python is this one."""
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    return folder


@pytest.mark.slow
def test_environments_import_their_own_depthrt(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path/depthrt").mkdir(parents=True)
    (tmp_path / "path/depthrt/__init__.py").write_text("raise ImportError('shadowed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    model = build_model(tmp_path / "tiny.onnx")
    one, two = (wrapped(tmp_path / name) for name in ("one", "two"))
    said = ("--model", model, "--seconds", 0.1, "--json")
    done = command("bench", "compare", one, two, *said)
    assert done.code == 0, done.err
    (note,) = done.document["notes"]
    assert note.startswith("both environments run one depthrt, ")
    assert "depthrt/__init__.py" in note
    assert command("bench", "compare", one, one, *said).document["notes"] == []


@pytest.mark.parametrize(
    ("alpha", "margin", "words"),
    [(0.005, 0.005, ("99.5% sure", "below 0.5%")), (0.01, 0.02, ("99% sure", "below 2%"))],
)
def test_percents_are_those_asked_for(alpha: float, margin: float, words: tuple[str, ...]) -> None:
    pairs = Pairs(interval=Interval(1.0, 0.999, 1.001), sure=True)
    side, times = Side("a", Path("a")), ({}, {})
    found = Comparison(side, side, Setting(), Rules(alpha, margin), pairs, ({}, {}), times)
    for word in words:
        assert word in found.sentence()
