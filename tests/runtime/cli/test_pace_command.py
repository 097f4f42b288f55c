"""`depthrt run` of a recording that is only looked at."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from depthrt.jobs.write_loop import StreamSinks
from depthrt.result import Result
from depthrt.sinks.base import Sink
from helpers.commands import Command

PACE = "depthrt: shown at the pace of the recording; with -o it runs as fast as it can"


@pytest.mark.parametrize("written", [False, True])
def test_a_preview_alone_says_that_it_keeps_the_pace(
    command: Command,
    make_clip: Callable[..., Path],
    model_path: Path,
    tmp_path: Path,
    written: bool,
) -> None:
    clip = make_clip(rate=Fraction(50), frames=10)
    output = ("-o", tmp_path / "out.mp4") if written else ()
    ended = command("run", clip, "-m", model_path, "--preview", 0, "--json", *output)
    assert (ended.code, ended.document["frames"]) == (0, 10)
    assert (PACE in ended.err.splitlines()) is not written


class Waiting(Sink):
    """A sink that says it waited an hour for each frame."""

    def write(self, result: Result) -> bool:
        self.paused_s += 3600
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        return None


def test_waiting_for_the_pace_is_not_writing() -> None:
    stream = StreamSinks("clip", [Waiting()])
    assert stream.write(None)  # type: ignore[arg-type]
    assert stream.stats.written == 1
    assert stream.stats.busy_s["write"] < -3000  # a real wait would have taken that hour
