"""`depthrt export` as it is typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from depthrt.errors import UsageError
from depthrt.model.depth_model import DepthModel
from depthrt_export.options import SourceOptions
from helpers.commands import Command
from networks import odd_ones

NETWORKS = Path(odd_ones.__file__).parent


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def test_patches_without_padding_drawn_and_as_json(
    depthrt: Command, tmp_path: Path, frames: str
) -> None:
    target, page = tmp_path / "patches.onnx", tmp_path / "patches.html"
    outcome = depthrt(
        "export", f"{NETWORKS / 'odd_ones.py'}:Patches", "-o", target, "--frames", frames,
        "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--dynamic", "batch",
        "--kind", "metric", "--name", "patches", "--report", page, "--json",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    document = outcome.document
    folded, *others = document["notes"]
    assert folded == "scale and mean folded into the first convolution, exactly"
    assert any("golden frame" in note for note in others)
    assert document["spec"]["measured"]["proof"]["worst_max_error"] < 1e-3
    assert (document["spec"]["kind"], document["spec"]["unit"]) == ("depth", "m")
    assert json.loads(DepthModel.load(target).spec.to_json())["name"] == "patches"
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == text.count("data:image/png;base64,") == 8 * 4
    assert "http" not in text.replace('lang="en"', "")
    assert "{{" not in text
    assert "patches <span>float32</span>" in text


def test_terminal_report(depthrt: Command, tmp_path: Path, frames: str) -> None:
    outcome = depthrt(
        "export", f"{NETWORKS / 'odd_ones.py'}:Convolved", "-o", tmp_path / "c.onnx",
        "--frames", frames, "--no-rewrite",
    )  # fmt: skip
    assert (outcome.code, outcome.out) == (0, "")
    for words in ("ONNX float32 against PyTorch", "SQNR", "worst frame", "opset 20", "of memory"):
        assert words in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("odd_ones.py:Branching",), 2, "cannot be traced by torch.export"),
        (("odd_ones.py:Unsupported",), 2, "bessel_j0 in module wave (Bessel)"),
        (("odd_ones.py:Convolved", "--size", "64"), 2, "--size '64' is not HEIGHTxWIDTH"),
        (("odd_ones.py:Convolved", "--unit", "cm"), 2, "--unit 'cm' is not m"),
        (("odd_ones.py:Convolved", "--std", "0"), 2, "std or scale 0 leaves nothing"),
        (("odd_ones.py:Convolved", "--frames", "nowhere"), 2, "nowhere"),
        (("odd_ones.py:Convolved", "-o", "model.pt"), 2, "model.pt does not end in .onnx"),
        (("odd_ones.py:Convolved", "--report", "best.pt"), 2, "best.pt does not end in .html"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
    depthrt: Command,
    tmp_path: Path,
    frames: str,
) -> None:
    source, *rest = arguments
    outcome = depthrt(
        "export", NETWORKS / source, "-o", tmp_path / "x.onnx", "--frames", frames, *rest
    )
    assert outcome.code == code
    *assumptions, complaint = outcome.err.splitlines()  # what was assumed is said before
    assert sentence in complaint
    assert all(": " in line and line.partition(":")[0].isalpha() for line in assumptions)
    assert outcome.out == ""


def test_help_names_every_option_in_one_screenful(depthrt: Command) -> None:
    outcome = depthrt("export", "--help")
    text = re.sub(r"\x1b\[[0-9;]*m", "", outcome.out)
    assert outcome.code == 0
    for option in ("--checkpoint", "--precision", "--dynamic", "--frames", "--report", "--json"):
        assert option in text
    assert len(text.splitlines()) <= 80
    assert SourceOptions.__doc__ is not None


def test_command_is_imported_without_torch() -> None:
    code = (
        "import sys, depthrt_export.cli; print([m for m in ('torch', 'onnx') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.slow
def test_an_export_is_logged_where_it_is_asked_for(
    depthrt: Command, tmp_path: Path, frames: str
) -> None:
    pytest.importorskip("mlflow", reason="needs the extra track")
    target, runs = tmp_path / "patches.onnx", tmp_path / "runs"
    outcome = depthrt(
        "export", f"{NETWORKS / 'odd_ones.py'}:Patches", "-o", target, "--frames", frames,
        "--kind", "metric", "--name", "patches", "--track", runs, "--json",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    (logged,) = runs.rglob("export.json")
    assert json.loads(logged.read_text())["spec"]["name"] == "patches"
    (model,) = runs.rglob("model.onnx")
    assert model.is_file()


def test_a_page_in_the_place_of_something_else_is_refused(
    depthrt: Command, tmp_path: Path, frames: str
) -> None:
    weights = tmp_path / "weights.html"
    weights.write_text("weights")
    given = ["export", NETWORKS / "odd_ones.py:Convolved", "-o", tmp_path / "x.onnx"]
    given += ["--frames", frames, "--overwrite"]
    outcome = depthrt(*given, "--checkpoint", weights, "--report", weights)
    assert "weights.html is the source itself" in outcome.complaint
    assert outcome.code == 2
    assert weights.read_text() == "weights"
    page = tmp_path / "x.onnx.search.json"
    taken = _pages(tmp_path / "x.onnx", [tmp_path / "a.html", tmp_path / "b" / ".." / "a.html"])
    assert "is another output, too" in taken
    assert "is another output, too" in _pages(tmp_path / "x.onnx", [page])


def _pages(output: Path, pages: list[Path]) -> str:
    """What is said of these pages."""
    from depthrt_export.model_file import check_outputs
    from depthrt_export.options import ExportOptions, SourceOptions

    with pytest.raises(UsageError) as caught:
        check_outputs("", output, SourceOptions(), ExportOptions(), pages)
    return str(caught.value)
