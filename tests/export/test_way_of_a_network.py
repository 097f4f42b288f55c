"""How many files one network crosses, counted by a trace: a reader has to open that many."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import depthrt_export
from helpers.commands import Command
from networks import small_unet

# This number may only fall. It was 28 before files carried golden frames, optional outputs and a
# reference for drift, the witness drawn scenes, and the search the times of kernels.
MOST_FILES = 50
PACKAGE = Path(depthrt_export.__file__).parent


def files_crossed(run: Callable[[], object]) -> set[str]:
    """The files of the package whose functions are called while this runs.

    All modules are imported before, so that what runs when a module is imported does not count.
    """
    for module in pkgutil.walk_packages([str(PACKAGE)], "depthrt_export."):
        importlib.import_module(module.name)
    files: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            files.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return {Path(file).relative_to(PACKAGE).as_posix() for file in files}


@pytest.mark.slow
def test_a_network_crosses_few_files(
    frames: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("depthrt_export.build.auto._TIMING_S", 0.05)
    depthrt, target = Command(capfd, monkeypatch), tmp_path / "m.onnx"
    crossed = files_crossed(
        lambda: depthrt(
            "export", f"{small_unet.__file__}:small_unet", "-o", target, "--precision", "auto",
            "--frames", frames,
        )
    )  # fmt: skip
    assert target.is_file()
    steps = {"cli.py", "sources/load.py", "rewrites/rewrite.py", "quantise/static_int8.py"}
    steps |= {"quantise/half.py", "proof/verify.py", "search/search.py", "model_file.py"}
    assert steps <= crossed
    assert len(crossed) <= MOST_FILES, sorted(crossed)
