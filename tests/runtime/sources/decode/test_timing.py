"""Rates and times of bare streams: their own where they state one, else a guess that is said."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import pytest

from depthrt import Selection, UsageError, open_source
from depthrt.sources.read_options import Reading
from helpers.commands import Command
from helpers.files.clips import join, picture, probe

MakeClip = Callable[..., Path]

NTSC = Fraction(30000, 1001)
ASSUMED = "it does not say its frame rate: 25/s is assumed; --source-fps sets it"


def at(fps: float) -> Selection:
    return Selection(reading=Reading(fps=fps))


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(15), NTSC, Fraction(50), Fraction(120)])
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".h264", "libx264"), (".hevc", "libx265"), (".m4v", "mpeg4"), (".m2v", "mpeg2video")],
)
def test_a_bare_stream_keeps_its_own_rate(
    make_clip: MakeClip, suffix: str, codec: str, rate: Fraction
) -> None:
    if codec == "mpeg2video" and rate == 120:
        pytest.skip("MPEG-2 knows no such rate")
    source = open_source(make_clip(suffix, codec=codec, rate=rate, frames=12))
    assert (source.info.rate, source.info.notes) == (rate, ())
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(12))
    steps = [(b.exact_time_s - a.exact_time_s) * rate for a, b in pairwise(frames)]
    assert steps == pytest.approx([1] * 11, abs=0.001)
    assert source.losses.sentence() == ""


def test_the_output_of_a_bare_stream_lasts_as_long(
    make_clip: MakeClip, command: Command, model_path: Path, tmp_path: Path
) -> None:
    clip = make_clip(".h264", rate=Fraction(15), frames=30)
    ended = command("run", clip, "-m", model_path, "-o", tmp_path / "out.mp4")
    assert (ended.code, ended.err) == (0, "")
    seen = probe(tmp_path / "out.mp4")
    assert seen.times_s == [Fraction(number, 15) for number in range(30)]


@pytest.mark.parametrize("start_s", [0.4, 1.0])
def test_a_part_of_a_bare_stream_has_its_own_times(make_clip: MakeClip, start_s: float) -> None:
    clip = make_clip(".h264", rate=Fraction(15), frames=30)
    frames = list(open_source(clip, Selection(start_s=start_s, end_s=1.4)).frames())
    first = round(15 * start_s)
    assert [frame.index for frame in frames] == list(range(first, 21))
    assert [frame.exact_time_s for frame in frames] == [Fraction(n, 15) for n in range(first, 21)]


def test_a_rate_that_nobody_states_is_assumed_and_said(
    make_clip: MakeClip, command: Command, model_path: Path, tmp_path: Path
) -> None:
    clip = make_clip(".mjpeg", codec="mjpeg", pix_fmt="yuvj420p", rate=Fraction(10), frames=10)
    source = open_source(clip)
    assert (source.info.rate, source.info.notes) == (25, (ASSUMED,))
    told = open_source(clip, at(12.5))
    assert (told.info.rate, told.info.notes) == (Fraction(25, 2), ())
    assert [frame.exact_time_s for frame in told.frames()] == [
        Fraction(2 * n, 25) for n in range(10)
    ]


def test_pictures_one_after_the_other_have_no_rate(tmp_path: Path) -> None:
    path = tmp_path / "clip.pngs"
    pngs = [cv2.imencode(".png", picture(n, (48, 64)))[1].tobytes() for n in range(6)]
    path.write_bytes(b"".join(pngs))
    with av.open(str(path)) as container:
        assert container.format.name == "png_pipe"
    source = open_source(path)
    assert (source.info.rate, source.info.notes) == (25, (ASSUMED,))
    told = open_source(path, Selection(start_s=0.2, reading=Reading(fps=10)))
    assert [frame.index for frame in told.frames()] == [2, 3, 4, 5]


def test_a_given_rate_stands_above_that_of_a_bare_stream(make_clip: MakeClip) -> None:
    source = open_source(make_clip(".h264", rate=Fraction(15), frames=6), at(30))
    assert [frame.exact_time_s for frame in source.frames()] == [Fraction(n, 30) for n in range(6)]


def test_times_of_a_file_are_its_own(make_clip: MakeClip) -> None:
    source = open_source(make_clip(frames=6), at(10))
    assert source.info.notes == ("it has times of its own, so --source-fps is not used",)
    assert [frame.exact_time_s for frame in source.frames()] == [Fraction(n, 25) for n in range(6)]


def test_joined_bare_streams_go_on(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip(".h264", rate=Fraction(15), frames=10)
    joined = join(tmp_path / "two.h264", [clip, clip])
    frames = list(open_source(joined).frames())
    assert [frame.exact_time_s for frame in frames] == [
        Fraction(number, 15) for number in range(20)
    ]


def test_images_are_played_at_an_assumed_rate(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(number, (48, 64)))
    source = open_source(tmp_path)
    assert source.info.notes == ("images have no times: 25/s is assumed; --source-fps sets it",)
    told = open_source(tmp_path, at(2))
    assert (told.info.rate, told.info.notes) == (2, ())
    assert [float(frame.exact_time_s) for frame in told.frames()] == [0, 0.5, 1]


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(UsageError, match=r"--source-fps \S+ is not above 0"):
        Reading(fps=fps)
