"""What `depthrt serve` refuses of a cluster before anything is started."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers.commands import Command
from helpers.models.small_model import build_model


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("--replicas", "2"), "--replicas works only with --engine ray"),
        (("--roll", "10%"), "--roll works only with --engine ray"),
        (("--engine", "ray", "--canary", "x.onnx"), "--canary works only with --engine local"),
        (("--engine", "ray", "--replicas", "3-1"), "--replicas 3-1: the least first"),
        (("--engine", "ray", "--roll", "0"), "--roll '0' is not a share"),
        (("--engine", "ray", "--roll-difference", "x"), "--roll-difference 'x' is not a share"),
    ],
)
def test_wrong_options_are_one_sentence(
    tmp_path: Path, depthrt: Command, given: tuple[str, ...], sentence: str
) -> None:
    outcome = depthrt("serve", build_model(tmp_path / "m.onnx"), *given)
    assert outcome.code == 2
    assert sentence in outcome.complaint


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_it_says_what_to_install(tmp_path: Path, depthrt: Command) -> None:
    outcome = depthrt("serve", build_model(tmp_path / "m.onnx"), "--engine", "ray")
    assert outcome.code == 2
    assert "--engine ray needs Ray Serve: pip install" in outcome.complaint
    assert "[ray]" in outcome.complaint


def test_ray_is_not_imported_for_one_machine() -> None:
    code = (
        "import sys, depthrt_serving.cli, depthrt_serving.server.serve; print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
