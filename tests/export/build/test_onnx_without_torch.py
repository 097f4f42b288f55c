"""An ONNX file needs no PyTorch, and depthrt's own files become every precision."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from depthrt.model.depth_model import DepthModel
from depthrt_export.report.export_report import Report
from helpers.commands import Command

TESTS = Path(__file__).parents[2]


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def test_a_file_is_wrapped_in_a_process_without_torch(tmp_path: Path, frames: str) -> None:
    program = f"""
import sys
from pathlib import Path
sys.modules["torch"] = sys.modules["transformers"] = None
sys.path[:0] = [{str(TESTS)!r}]
from experiments.foreign_onnx.variant import Variant
from helpers.models.foreign_onnx import wrap
import depthrt_export.build.build
made = wrap(Variant(""), Path({str(tmp_path)!r}), {frames!r})
print(made.wrapped.proof.figures["worst_mean_error"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 0 <= float(done.stdout) < 1e-5


@pytest.mark.parametrize(
    ("precision", "kept"), [("fp16", "float16"), ("fp32", "float32"), ("bf16", "bfloat16")]
)
def test_a_depthrt_file_becomes_every_precision(
    precision: str, kept: str, depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    target = tmp_path / "made.onnx"
    outcome = depthrt(
        "export", unet.target, "-o", target, "--precision", precision, "--frames", frames,
        "--no-golden",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    entries = {entry.key: entry.value for entry in onnx.load(target).metadata_props}
    spec = json.loads(entries["depthrt"])
    assert (spec["precision"], spec["name"]) == (kept, unet.spec.name)


@pytest.mark.slow  # it times the file beside float32
def test_a_depthrt_file_becomes_int8(
    depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    target = tmp_path / "made.onnx"
    outcome = depthrt(
        "export", unet.target, "-o", target, "--precision", "int8", "--frames", frames
    )
    assert outcome.code == 0, outcome.err
    assert DepthModel.load(target).spec.precision == "int8"
    again = depthrt("export", target, "-o", tmp_path / "again.onnx", "--precision", "int8")
    assert again.code == 2
    assert "is int8 already" in again.complaint
