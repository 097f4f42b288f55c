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

# These numbers may only fall. The search and quantisation of ``auto`` come on top of the plain way.
MOST_FILES = {"fp32": 28, "auto": 37}
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
@pytest.mark.parametrize("precision", MOST_FILES)
def test_a_network_crosses_few_files(
    precision: str,
    frames: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("depthrt_export.build.auto._TIMING_S", 0.05)
    depthrt, target = Command(capfd, monkeypatch), tmp_path / "m.onnx"
    crossed = files_crossed(
        lambda: depthrt(
            "export", f"{small_unet.__file__}:small_unet", "-o", target, "--precision", precision,
            "--frames", frames,
        )
    )  # fmt: skip
    assert target.is_file()
    steps = {"cli.py", "sources/load.py", "rewrites/rewrite.py", "proof/verify.py"}
    steps |= {"proof/field_checks.py", "proof/witness/statement.py", "model_file.py"}
    if precision == "auto":
        steps |= {"quantise/static_int8.py", "quantise/half.py", "search/search.py"}
    assert steps <= crossed
    assert len(crossed) <= MOST_FILES[precision], sorted(crossed)
