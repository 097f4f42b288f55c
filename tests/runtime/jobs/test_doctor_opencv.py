"""`depthrt doctor` knows which OpenCV is installed, and what is wrong with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from depthrt.jobs.doctor import report as diagnosis
from depthrt.jobs.doctor.opencv import opencv_failure, opencv_problems, shows_windows
from depthrt.jobs.doctor.report import opencv_wheels
from helpers.commands import Command
from helpers.files.installed_wheel import install


@pytest.fixture(autouse=True)
def _providers_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "usable_providers", lambda: {"cpu": "works"})


@pytest.mark.parametrize("other", ["opencv-python-headless", "opencv-contrib-python"])
def test_two_that_overwrite_one_another_are_a_problem(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    install(tmp_path, "opencv-python")
    install(tmp_path, other)
    monkeypatch.syspath_prepend(tmp_path)
    assert opencv_wheels() == ["opencv-python", other]
    ended = command("doctor")
    assert ended.code == 1
    problems = [line for line in ended.out.splitlines() if line.startswith("PROBLEM: ")]
    assert len(problems) == 1
    assert f"opencv-python and {other} overwrite one another's files" in problems[0]
    assert "pip uninstall all of them, then pip install opencv-python, or" in problems[0]


def test_the_headless_one_alone_is_sound_and_shows_no_windows(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "opencv-python-headless")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    monkeypatch.setenv("DISPLAY", ":9")
    ended = command("doctor")
    assert ended.code == 0
    assert "\nopencv-python-headless 9.9\n" in ended.out
    assert "\nwindows: OpenCV has none, so no --show\n" in ended.out
    found = command("doctor", "--json").document
    assert found["opencv_wheels"] == ["opencv-python-headless"]
    assert (found["display"], found["windows"], found["problems"]) == (True, False, [])


def test_the_one_that_is_installed_here_loads() -> None:
    assert opencv_failure() == ""
    assert shows_windows() is bool(cv2.currentUIFramework())


@pytest.mark.parametrize(
    ("wheels", "failure", "said"),
    [
        (
            [],
            "No module named 'cv2'",
            "OpenCV is missing (No module named 'cv2'): pip install open",
        ),
        (
            ["opencv-python"],
            "libGL.so.1: cannot open",
            "lacks a system library (libGL.so.1: cannot",
        ),
        (
            ["opencv-python"],
            "libGL.so.1: cannot open",
            "install opencv-python-headless in place of",
        ),
        (["opencv-python-headless"], "torn", "--force-reinstall opencv-python-headless"),
    ],
)
def test_what_is_wrong_says_what_to_do(wheels: list[str], failure: str, said: str) -> None:
    (problem,) = opencv_problems(wheels, failure)
    assert said in problem


def run_with(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of depthrt in a process that takes cv2 from ``folder``."""
    code = "from depthrt.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("raise ImportError(\"No module named 'cv2'\", name='cv2')", "No module named 'cv2'"),
        ("", "the package cv2 is there, but empty"),
    ],
)
def test_without_opencv_all_else_is_still_said(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text(content)
    ended = run_with(tmp_path, "doctor")
    assert (ended.returncode, ended.stderr) == (5, "")
    assert f"provider none: not tried: {why}" in ended.stdout
    assert "H.264 encoder: yes" in ended.stdout
    (problem,) = [line for line in ended.stdout.splitlines() if line.startswith("PROBLEM: ")]
    assert f"({why})" in problem


def test_commands_without_opencv_end_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text("raise ImportError('it is torn', name='cv2')")
    ended = run_with(tmp_path, "run", "photo.jpg")
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "depthrt: OpenCV does not load (it is torn): pip install --force"
    )
    assert len(ended.stderr.splitlines()) == 1
