"""The figures of an evaluation as a terminal shows them."""

from __future__ import annotations

import re
from pathlib import Path

from depthrt.spec import InputSpec, ModelSpec
from helpers.commands import Command
from helpers.files.labelled import write_set
from helpers.models.small_model import SIZE, build_model


def test_the_table_and_the_gate_count_one_way(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk")
    spec = ModelSpec("reversed", "depth", InputSpec(*SIZE))  # near and far the wrong way round
    worse = build_model(tmp_path / "reversed.onnx", spec=spec)
    page = tmp_path / "page.html"
    done = command(
        "eval", worse, folder, "--compare", model_path, "--fail-worse", "1%", "--report", page
    )
    assert done.code == 3
    assert "reversed float32 minus tiny float32 (95% interval):" in done.out
    shown = re.search(r"AbsRel (\S+) \((\S+) to (\S+)\): tiny float32 is better", done.out)
    gate = re.search(r"against \S+, (\S+) \((\S+) to (\S+) with 99%\), \S+ is allowed", done.err)
    assert shown is not None
    assert gate is not None
    assert abs(float(shown[1]) - float(gate[1])) < 1e-3
    assert float(shown[1]) > 0
    assert float(gate[2]) <= float(shown[2]) <= float(shown[3]) <= float(gate[3])
    assert "reversed float32 minus tiny float32" in page.read_text()
    assert (done.out + done.err).count("surely worse than allowed") == 1


def test_edges_that_no_model_shows_have_no_column(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    """The depth of this set is a ramp: the model has no edge, so every figure would be 0."""
    smooth = command("eval", model_path, write_set(tmp_path / "desk", 3))
    assert "edge F1 is left out, it is 0.000" in smooth.out
    assert "edge F1" not in smooth.out.splitlines()[1]
    assert "95% interval" in smooth.out
