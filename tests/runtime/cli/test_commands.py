"""What all commands have in common: their order in the help, and how their words are spelt."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthrt.cli import Commands, app
from helpers.commands import Command


def test_commands_stand_in_the_order_of_the_work(command: Command) -> None:
    order = ["run", "export", "calibrate", "tune", "bench", "eval", "info", "models", "doctor"]
    listed = command("--help").out.split("Commands", 1)[1]
    found = [line.split()[1] for line in listed.splitlines() if line[:2] == "│ " and line[2] != " "]
    assert [name for name in found if name in order] == order


def test_a_command_that_we_do_not_know_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    points = [EntryPoint(name, "x:y", "depthrt.commands") for name in ("zoo", "export", "ant")]
    monkeypatch.setattr("depthrt.cli.entry_points", lambda group: points)
    listed = Commands(name="depthrt").list_commands(None)
    assert listed == ["export", "ant", "zoo"]
    assert app.info.cls is Commands


@pytest.mark.parametrize(
    ("spelt", "expected"),
    [
        (["--kind", "inverse_depth"], "no-such"),
        (["--kind", "inverse-depth"], "no-such"),
        (["--resize", "keep_aspect", "--multiple_of", "14"], "no-such"),
        (["--kind", "inverse_death"], "inverse-depth, depth, metric"),
    ],
)
def test_both_spellings_are_understood_by_export(
    command: Command, tmp_path: Path, spelt: list[str], expected: str
) -> None:
    ended = command("export", "./no-such.py:build", "-o", tmp_path / "o.onnx", *spelt)
    assert expected in ended.complaint.replace("'", "")
    assert ended.code == 2


def test_both_spellings_are_understood_by_eval_and_run(command: Command, tmp_path: Path) -> None:
    for word in ("disparity_lsq", "disparity-lsq"):
        ended = command("eval", "depthrt-xs", tmp_path, "--align", word)
        assert "has none of the known layouts" in ended.complaint
    ended = command("run", "demo", "--max_frames", 0)
    assert ended.complaint == "--max-frames 0 is less than 1"


def test_bench_names_compare(command: Command) -> None:
    assert "depthrt bench compare" in " ".join(command("bench", "--help").out.split())
