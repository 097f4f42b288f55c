"""How many files one frame crosses, counted by a trace: a reader has to open that many."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import depthrt
from depthrt.jobs.run import execute
from depthrt.jobs.run_job import Job

MOST_FILES = 19  # the goal is 13; this number may only fall
FRAMES = 40
PACKAGE = Path(depthrt.__file__).parent


def files_of_a_frame(run: Callable[[], object]) -> set[str]:
    """The files of the package whose functions are called for every frame."""
    calls: Counter[tuple[str, str]] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            calls[frame.f_code.co_filename, frame.f_code.co_qualname] += 1

    threading.setprofile(count)
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return {
        Path(file).relative_to(PACKAGE).as_posix()
        for (file, _), number in calls.items()
        if number >= FRAMES
    }


@pytest.mark.skipif(sys.version_info < (3, 11), reason="names of methods are of Python 3.11")
def test_a_frame_crosses_few_files_and_the_same_whatever_the_threads(
    make_clip: Callable[..., Path], model_path: Path, tmp_path: Path
) -> None:
    clip = make_clip(frames=FRAMES)
    ways = [
        files_of_a_frame(
            lambda threads=threads: execute(  # type: ignore[misc]
                Job(str(clip), tmp_path / f"{threads}.mp4", str(model_path), threads=threads)
            )
        )
        for threads in (None, 1, 2)
    ]
    assert ways[0] == ways[1] == ways[2]
    assert len(ways[0]) <= MOST_FILES, sorted(ways[0])
