"""Standard output as a place for frames and lines: real pipes, real readers."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from depthrt import DepthModel, Selection, read_depth, stream
from depthrt.render.views import Canvas, nearness
from depthrt.sinks.pipe import y4m_head
from helpers.commands import Command
from helpers.files.clips import planes
from helpers.models.small_model import SIZE

MakeClip = Callable[..., Path]
DEPTHRT = [sys.executable, "-c", "from depthrt.cli import main; main()"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def piped(*arguments: object) -> tuple[int, bytes, str]:
    done = subprocess.run(
        [*DEPTHRT, *map(str, arguments)], capture_output=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr.decode()


def test_y4m_is_read_by_ffmpegs_own_reader(make_clip: MakeClip, model_path: Path) -> None:
    source = make_clip(rate=Fraction(30000, 1001))
    code, out, err = piped("run", source, "-m", model_path, "-o", "-", "--view", "side")
    assert code == 0
    notice, line = err.splitlines()
    assert "ffmpeg -f yuv4mpegpipe -i - (128x48, 30000/1001 frames/s, yuv420p)" in notice
    assert line.startswith("25 frames in ")
    with av.open(io.BytesIO(out), format="yuv4mpegpipe") as container:
        track = container.streams.video[0]
        assert track.average_rate == Fraction(30000, 1001)
        frames = [frame.to_ndarray() for frame in container.decode(track)]
        assert track.format.name == "yuv420p"
    assert len(frames) == 25
    for ours, theirs in zip(frames, planes(source), strict=True):
        np.testing.assert_array_equal(ours[: SIZE[0], : SIZE[1]], theirs[: SIZE[0]])
    assert list(Path.cwd().iterdir()) == []


def test_full_range_is_said() -> None:
    canvas = Canvas("side", 48, 64, "bt601", True, "gray")
    head = b"YUV4MPEG2 W128 H48 F30000:1001 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n"
    assert y4m_head(canvas, Fraction(30000, 1001)) == head


def test_bare_frames_are_what_the_notice_says(
    make_clip: MakeClip, model_path: Path, model: DepthModel
) -> None:
    source = make_clip()
    maps = np.stack([result.depth.values for result in stream(source, model)])
    run = ["run", source, "-m", model_path, "-o", "-", "--format"]
    _, out, notice = piped(*run, "grayf32le")
    assert "-pixel_format grayf32le -video_size 64x48 -framerate 25 -i -; values are" in notice
    np.testing.assert_array_equal(np.frombuffer(out, "<f4").reshape(maps.shape), maps)
    _, out, notice = piped(*run, "gray16le")
    offset, step = notice.split("inverse_depth = ")[1].split(" * code")[0].split(" + ")
    values = float(offset) + float(step) * np.frombuffer(out, "<u2").reshape(maps.shape)
    assert np.abs(values - maps).max() <= float(step) / 2 + 1e-6
    _, out, notice = piped(*run, "rgb24", "--colormap", "gray", "--stride", 5, "--no-stabilise")
    assert "-video_size 64x48 -framerate 5 " in notice
    colours = np.frombuffer(out, np.uint8).reshape(5, *SIZE, 3).astype(int)
    assert np.ptp(colours, axis=-1).max() <= 4  # grey
    for ours, result in zip(
        colours, stream(source, model, selection=Selection(stride=5)), strict=True
    ):
        shade = nearness(result.depth.values, result.display_range, result.depth.kind)
        assert np.abs(ours[..., 0] - shade).max() <= 2  # of 255, by way of limited-range YUV


def test_a_reader_that_goes_away_ends_it_cleanly(make_clip: MakeClip, model_path: Path) -> None:
    source = make_clip(frames=400)
    process = subprocess.Popen(
        [*DEPTHRT, "run", source, "-m", model_path, "-o", "-", "--jsonl", "done.jsonl"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(100_000)
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=30) == 0
    assert "Traceback" not in err
    assert " frames in " in err.splitlines()[-1]
    assert 5 < len(Path("done.jsonl").read_text().splitlines()) < 400


def test_an_interrupt_leaves_whole_lines(make_clip: MakeClip, model_path: Path) -> None:
    process = subprocess.Popen(
        [*DEPTHRT, "run", make_clip(frames=400), "-m", model_path, "-o", "out.npz",
         "--jsonl", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())  # and the pipe fills up, so that it waits
    process.send_signal(signal.SIGTERM)
    rest, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted; what was done is kept" in err
    assert first["index"] == 0
    assert all(json.loads(line) for line in rest.splitlines()[:-1])
    assert Path("out.npz").exists()


def test_lines_on_standard_output_are_alone_there(make_clip: MakeClip, model_path: Path) -> None:
    code, out, err = piped("run", make_clip(), "-m", model_path, "--jsonl", "-")
    assert code == 0
    assert [json.loads(line)["index"] for line in out.splitlines()] == list(range(25))
    (line,) = err.splitlines()
    assert line.startswith("25 frames in ")
    assert list(Path.cwd().iterdir()) == []  # who asks for lines gets no video besides


def test_lines_beside_a_video_and_one_document(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    run = ["run", make_clip(), "-m", model_path, "-o", "out.mp4", "--jsonl", "out.jsonl", "--json"]
    ended = command(*run)
    assert (ended.code, ended.err) == (0, "")
    assert ended.document["frames"] == 25
    assert len(Path("out.jsonl").read_text().splitlines()) == 25
    assert "out.jsonl exists" in command(*run, "-o", "second.mp4").complaint
    assert not Path("second.mp4").exists()


def test_two_streams_share_the_lines(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    sources = [make_clip(), make_clip(frames=7)]
    ended = command("run", *sources, "-m", model_path, "-o", "out", "--jsonl", "out.jsonl")
    assert (ended.code, ended.err) == (0, "")
    found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    for source, count in zip(sources, (25, 7), strict=True):
        mine = [line["index"] for line in found if line["stream"] == source.name]
        assert mine == list(range(count))


def test_a_full_disk_under_the_lines_is_a_sentence(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    ended = command("run", make_clip(), "-m", model_path, "-o", "out.mp4", "--jsonl", "/dev/full")
    assert "writing full failed (No space left on device)" in ended.complaint
    assert ended.code == 1


def test_several_streams_go_on_without_the_lines(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    sources = [make_clip(), make_clip(frames=7)]
    run = ["run", *sources, "-m", model_path, "--jsonl", "/dev/full"]
    ended = command(*run, "-o", "out", "--format", "npz", "--json")
    assert ended.complaint.endswith("choose another disk; all else goes on")
    assert ended.code == 1
    assert "No space left on device" in ended.document["error"]
    for source, count in zip(sources, (25, 7), strict=True):
        assert len(list(read_depth(f"out/{source.stem}_depth.npz"))) == count
    alone = command(*run)
    assert alone.code == 1
    assert len(alone.err.splitlines()) == 2  # with nothing else to do, each stream ends


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-o", "-", "--json"], "--json and -o - both write to standard output"),
        (["--jsonl", "-", "--json"], "--json and --jsonl - both write to standard output"),
        (["-o", "-", "--jsonl", "-"], "-o - and --jsonl - both write to standard output"),
        (["-o", "-", "--format", "npz"], "y4m, rgb24, gray16le or grayf32le"),
        (["-o", "out.mp4", "--format", "y4m"], "--format y4m is for standard output"),
        (["--jsonl", "no/such/folder.jsonl"], "there is no folder no/such"),
        (["--preview", "x"], "--preview x is neither PORT nor HOST:PORT"),
    ],
)
def test_options_that_clash_are_one_sentence(
    command: Command, make_clip: MakeClip, model_path: Path, options: list[str], sentence: str
) -> None:
    ended = command("run", make_clip(), "-m", model_path, *options)
    assert sentence in ended.complaint
    assert ended.code == 2
    assert list(Path.cwd().iterdir()) == []


def test_several_streams_do_not_fit_into_one_pipe(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    ended = command("run", make_clip(), make_clip(frames=7), "-m", model_path, "-o", "-")
    assert "-o - takes the frames of one source" in ended.complaint
    assert ended.code == 2


def test_a_terminal_gets_no_frames(make_clip: MakeClip, model_path: Path) -> None:
    theirs, ours = os.openpty()
    done = subprocess.run(
        [*DEPTHRT, "run", make_clip(), "-m", model_path, "-o", "-"],
        stdout=ours, stderr=subprocess.PIPE, check=False, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"standard output is a terminal" in done.stderr


def test_a_closed_standard_output_is_a_sentence(make_clip: MakeClip, model_path: Path) -> None:
    line = " ".join(["exec", '"$0"', "-c", '"$1"', "run", '"$2"', "-m", '"$3"', "-o", "-", ">&-"])
    done = subprocess.run(
        ["sh", "-c", line, *DEPTHRT[::2], make_clip(), model_path],
        stderr=subprocess.PIPE, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.decode().startswith("depthrt: standard output is closed")
