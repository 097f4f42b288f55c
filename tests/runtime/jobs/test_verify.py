"""`depthrt verify`: right, wrong, and files of which nothing can be said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from depthrt.model.catalogue.registry import built_in_models
from depthrt.model.session import import_onnxruntime, offered_providers
from helpers.commands import Command, outcome, spawn
from helpers.models.golden_models import (
    StandIns,
    build_golden_model,
    changed,
    golden_frames,
    put_golden,
)
from helpers.models.small_model import build_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model with golden frames."""
    return build_golden_model(tmp_path / "golden.onnx")


def test_right_depth(path: Path, command: Command) -> None:
    done = command("verify", path, "--provider", "cpu", "--threads", "1")
    assert done.code == 0
    assert done.err == ""
    file, here, row = done.out.splitlines()
    assert file == f"{path} (float32): 3 golden frames, proven by a test"
    assert here == f"here: depthrt 0.1.0, onnxruntime {import_onnxruntime().__version__}"
    assert row.startswith("cpu, 1 thread, spinning: right: error ")
    assert row.endswith("(allowed 0.001)")


def test_json_names_the_worst_frame(path: Path, command: Command) -> None:
    document = command("verify", path, "--provider", "cpu", "--json").document
    (row,) = document["providers"]
    assert document["right"] is row["right"] is True
    assert row["provider"] == "cpu"
    assert row["allowed"] == 0.001
    assert [frame["label"] for frame in row["frames"]] == ["frame 0", "frame 1", "frame 2"]
    worst = max(row["frames"], key=lambda frame: frame["error"])
    assert (row["worst_frame"], row["error"]) == (worst["label"], worst["error"])
    assert 0 <= row["error"] < 1e-5
    assert document["versions"]["onnxruntime"] == import_onnxruntime().__version__


def test_a_provider_that_computes_wrongly(
    path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = StandIns(monkeypatch, lambda pixels, depth: depth * np.float32(1.1))
    done = command("verify", path)
    assert done.code == 3
    assert "WRONG: error 0." in done.out
    assert opened.runs == 3


def test_depth_that_is_not_finite(
    path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    StandIns(monkeypatch, lambda pixels, depth: np.full_like(depth, math.inf))
    done = command("verify", path, "--provider", "cpu")
    assert done.code == 3
    assert "WRONG: model tiny gave 100.0% non-finite depth values" in done.out
    done = command("verify", path, "--provider", "cpu", "--json")
    assert done.code == 3
    (row,) = done.document["providers"]
    assert row["error"] is None
    assert "non-finite" in row["frames"][0]["failure"]


def test_all_providers_have_a_row_each(path: Path, command: Command) -> None:
    done = command("verify", path, "--provider", "all", "--json")
    assert done.code == 0
    assert [row["provider"] for row in done.document["providers"]] == offered_providers()
    lines = command("verify", path, "--provider", "all").out.splitlines()
    assert len(lines) == 2 + len(offered_providers())


def test_a_file_without_golden_frames(tmp_path: Path, command: Command) -> None:
    done = command("verify", build_model(tmp_path / "plain.onnx"))
    assert done.code == 2
    assert done.complaint.endswith("export it again (without --no-golden)")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (golden_frames().to_json()[:-9], "golden frames are broken"),
        (golden_frames().to_json().replace("frame 1", "frame 8"), "changed since they were proven"),
        (changed(golden_frames(), lambda c: c.update(version=9)), "upgrade depthrt"),
    ],
)
def test_broken_golden_frames(tmp_path: Path, command: Command, text: str, what: str) -> None:
    path = put_golden(build_model(tmp_path / "broken.onnx"), text)
    done = command("verify", path)
    assert done.code == 2
    assert what in done.complaint
    assert what in command("info", path).complaint  # loading refuses it, too


def test_a_provider_that_is_not_there(path: Path, command: Command) -> None:
    done = command("verify", path, "--provider", "qnn")
    assert done.code == 5
    assert "qnn" in done.complaint
    assert command("verify", path, "--provider", "nonsense").code == 5


def test_a_file_that_is_not_there(tmp_path: Path, command: Command) -> None:
    done = command("verify", tmp_path / "missing.onnx")
    assert done.code == 2
    assert "no model file" in done.complaint


@pytest.mark.parametrize("name", built_in_models())
def test_the_built_in_models_are_right_here(name: str, command: Command) -> None:
    done = command("verify", name, "--provider", "cpu", "--json")
    assert done.code == 0
    (row,) = done.document["providers"]
    assert row["error"] <= row["allowed"] <= 0.05
    assert len(row["frames"]) == 3


def test_info_says_how_much_is_proven(path: Path, tmp_path: Path, command: Command) -> None:
    golden = command("info", path, "--json").document["golden"]
    assert golden == {
        "frames": 3,
        "allowed_error": {"cpu": 0.001, "others": 0.05},
        "proven_by": "a test",
    }
    plain = build_model(tmp_path / "plain.onnx")
    assert command("info", plain, "--json").document["golden"] is None


def test_processes_that_check_at_one_time_leave_one_note(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    running = [spawn("info", path, "--provider", "cpu") for _ in range(4)]
    assert [outcome(process).code for process in running] == [0] * 4
    assert len(list((tmp_path / "cache" / "depthrt" / "verified").iterdir())) == 1
