"""How far a batch is."""

from __future__ import annotations

from typing import Any

from depthrt_archives.progress import Progress


def segment(number: int, count: int, frames: int = 100) -> dict[str, Any]:
    """What is said of a segment."""
    return {"source": "long.mp4", "segment": number, "segments": count, "frames": frames}


def test_one_long_video_has_frames_a_rate_and_a_time_left() -> None:
    progress = Progress()
    assert progress.line(1, 5.0) == "0 frames, 0.0/s, time left not known yet"
    progress.note("segment", segment(0, 4), 20.0)
    assert progress.done == 0.25
    assert progress.line(1, 20.0) == "100 frames, 5.0/s, 0:01:00 left"
    assert progress.line(1, 30.0) == "100 frames, 5.0/s, 0:00:50 left"
    progress.note("segment", segment(1, 4), 40.0)
    assert progress.left_s(1, 40.0) == 40.0
    progress.note("done", {"source": "long.mp4", "new_frames": 50}, 80.0)
    assert (progress.done, progress.left_s(1, 80.0), progress.frames) == (1, 0.0, 250)


def test_what_was_done_before_does_not_count_for_the_time_left() -> None:
    progress = Progress()
    progress.note("skipped", {"source": "old.mp4"}, 0.1)
    assert progress.left_s(2, 0.1) is None
    progress.note("segment", segment(2, 4), 10.0)  # the first two of an earlier run
    assert progress.done == 1.75
    assert progress.left_s(2, 10.0) == 10.0
    assert progress.left_s(None, 10.0) is None  # sources are still being counted


def test_failures_and_new_beginnings_are_counted() -> None:
    progress = Progress()
    progress.note("segment", segment(0, 2), 10.0)
    progress.note("started_over", {"source": "long.mp4"}, 11.0)
    assert progress.done == 0
    progress.note("failed", {"source": "long.mp4"}, 12.0)
    assert progress.line(1, 12.0) == "100 frames, 10.0/s, 1 failed, time left not known yet"
