"""The benchmark of quantisation: what it tells the command, measures and compares."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from depthrt.model.providers import SessionOptions
from experiments.quantisation.search import _compared, cases, export, flags, table
from experiments.quantisation.timing import measure
from helpers.models.small_model import build_model


@pytest.fixture
def frames() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (3, 3, 48, 64), dtype=np.uint8)


def test_files_beside_a_float32_one(
    tmp_path: Path, frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    plain, louder = build_model(tmp_path / "plain.onnx"), tmp_path / "louder.onnx"
    build_model(louder, gain=1.1)
    ways = [SessionOptions("cpu"), SessionOptions("cpu", 1)]
    found = measure(plain, [plain, louder], frames, 0.01, ways)
    assert list(found) == ["plain, cpu", "louder, cpu", "plain, cpu, 1 thread",
                           "louder, cpu, 1 thread"]  # fmt: skip
    assert found["plain, cpu"]["error"] == 0
    assert 0.05 < found["louder, cpu"]["error"] <= found["louder, cpu"]["worst"] < 1
    assert found["louder, cpu"]["ratio"] > 0
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    assert (
        "broken.onnx" in measure(plain, [broken], frames, 0.01, ways[:1])["broken, cpu"]["failed"]
    )


def test_in_an_environment_of_its_own(
    tmp_path: Path, frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    plain = build_model(tmp_path / "plain.onnx")
    np.savez(tmp_path / "frames.npz", validation=frames)
    module = "experiments.quantisation.timing"
    arguments = ["cpu", str(plain), str(tmp_path / "frames.npz"), "0.01", str(plain)]
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["plain, cpu"]["error"] == 0


def test_the_fastest_within_the_error_on_both_sides() -> None:
    ours = {
        "auto, cpu": {"ratio": 0.5, "error": 0.01},
        "auto, openvino": {"ratio": 0.3, "error": 0.2},
        "auto, cpu, 1 thread": {"ratio": 0.7, "error": 0.01},
    }
    alone = {"float32": {"ratio": 0.9, "error": 0.0}, "nncf int8": {"ratio": 0.25, "error": 0.06}}
    both = {"ours": ours, "alone": alone}
    row = {"ours": ours, "beside_openvino": both, "picked": "int8", "error": 0.01}
    found = _compared(row, 0.05)
    assert found["best_of_ours"] == ("auto, cpu", 0.5)
    assert found["best_of_openvino"] == ("float32", 0.9)
    assert found["ours_over_openvino"] == 0.556
    assert (
        _compared({"ours": ours, "beside_openvino": {"failed": "why"}}, 0.05)["best_of_openvino"]
        is None
    )
    assert "| auto, cpu 0.50 | float32 0.90 | 0.556 |" in table({"net": {**row, **found}})


def test_networks_are_told_to_the_command_as_options() -> None:
    case = cases(None)["midas-like"]
    assert flags(case.said) == [
        "--kind", "inverse-depth", "--mean", "116.0,116.0,116.0", "--std", "58.0,58.0,58.0",
        "--scale", "1.0", "--size", "256x256",
    ]  # fmt: skip


def test_what_the_command_refuses_is_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"no model file at .*missing\.onnx"):
        export(str(tmp_path / "missing.onnx"), tmp_path / "m.onnx", "--precision", "auto")
