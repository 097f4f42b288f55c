"""A user's mistake is one sentence and an exit code, never a traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.commands import Command
from helpers.files.clips import cut, probe

MakeClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.mp4", None, "no file, directory, camera or URL 'missing.mp4'"),
        ("empty.mp4", b"", "empty.mp4 is empty"),
        ("text.mp4", b"This is no video.\n" * 50, "text.mp4 cannot be opened as a video"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n", "list.mp4"),
        ("subtitles.mp4", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n", "subtitles.mp4"),
        ("empty.png", b"", "empty.png is empty"),
        ("net.ONNX", b"\x08\x08", "net.ONNX is a model: give it with -m"),
        ("text.png", b"no image", "text.png is no image that can be decoded"),
        ("torn.png", b"\x89PNG\r\n\x1a\n" + bytes(30), "torn.png is no image"),
        ("x" * 300, None, "File name too long"),
        ("https//typo", None, "no file, directory, camera or URL"),
        ("ftp://127.0.0.1/a.mp4", None, "ftp is none of"),
        ("*.mov", None, "no file matches *.mov"),
        ("²", None, "no file, directory, camera or URL"),
        ("4711", None, "there is no camera 4711"),
        ("99999999999999999999", None, "there is no camera 99999999999999999999"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_a_source_that_is_none(
    command: Command, model_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    ended = command("run", name, "-m", model_path)
    assert says in ended.complaint
    assert ended.code == 2
    assert ended.out == ""
    assert not list(Path.cwd().glob("*depth*"))


def test_folders_without_images(command: Command, model_path: Path) -> None:
    Path("folder").mkdir()
    Path("folder/notes.txt").write_text("x")
    ended = command("run", "folder", "-m", model_path)
    assert "folder holds no image file" in ended.complaint
    assert ended.code == 2
    Path("folder/a.png").write_text("x")
    assert "a.png is no image" in command("run", "folder", "-m", model_path).complaint


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video_without_frames(
    command: Command, make_clip: MakeClip, model_path: Path, suffix: str
) -> None:
    ended = command("run", make_clip(suffix, frames=0), "-m", model_path, "-o", "out.mp4")
    assert suffix in ended.complaint
    assert ended.code == 2


def test_a_selection_beyond_the_end(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    ended = command("run", make_clip(), "-m", model_path, "-o", "out.mp4", "--start", 100)
    assert "has no frame in the selection" in ended.complaint
    assert ended.code == 2
    assert not list(Path.cwd().iterdir())


def test_a_truncated_video_is_done_as_far_as_it_goes(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    whole = make_clip(frames=50, sound="aac", muxing=(("movflags", "+faststart"),))
    source = cut(Path("cut.mp4"), whole, 0.5)
    ended = command("run", source, "-m", model_path, "-o", "out.mp4", "--json")
    frames = len(probe(Path("out.mp4")).times_s)
    assert ended.complaint.startswith(f"cut.mp4: {50 - frames} frames missing")
    assert "what could be read was processed" in ended.complaint
    assert ended.code == 1
    assert 10 < frames < 40
    assert ended.document["frames"] == frames
    assert ended.document["lost"]


def test_a_truncated_video_without_its_index_is_refused(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    source = cut(Path("cut.mp4"), make_clip(frames=50), 0.5)
    ended = command("run", source, "-m", model_path)
    assert "cut.mp4 cannot be opened as a video" in ended.complaint
    assert ended.code == 2


def test_an_unreachable_stream_ends_quickly(command: Command, model_path: Path) -> None:
    ended = command("run", "rtsp://127.0.0.1:1/", "-m", model_path)
    assert "rtsp://127.0.0.1:1/ cannot be opened as a video" in ended.complaint
    assert ended.code == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--colormap", "rainbow"], "unknown colormap 'rainbow'"),
        (["--view", "sideways"], "sideways"),
        (["--start", "soon"], "'--start'"),
        (["--start", "-1"], "--start -1"),
        (["--start", "inf"], "--start inf"),
        (["--start", "nan"], "--start nan"),
        (["--start", "2", "--end", "1"], "--end 1 is not after --start 2"),
        (["--stride", "0"], "--stride 0"),
        (["--stride", "1.5"], "'--stride'"),
        (["--max-frames", "0"], "--max-frames 0"),
        (["--batch", "0"], "--batch 0"),
        (["--threads", "0"], "--threads"),
        (["--bogus"], "--bogus"),
        (["another.mp4"], "out.mp4 is one file, but several sources"),
        (["--output"], "--output"),
        (["--show"], "--show needs a display"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_mean_nothing(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    says: str,
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    ended = command("run", make_clip(), "-m", model_path, "-o", "out.mp4", *options)
    assert says in ended.complaint
    assert (ended.code, ended.out) == (2, "")
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("arguments", [["fly"], ["--bogus"], ["run"], ["info"]])
def test_commands_that_mean_nothing(command: Command, arguments: list[str]) -> None:
    ended = command(*arguments)
    assert ended.complaint
    assert (ended.code, ended.out) == (2, "")


def test_several_videos_in_one_file(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(make_clip(), name)
    ended = command("run", "?.mp4", "-m", model_path, "-o", "both.mp4")
    assert ended.complaint == (
        "both.mp4 is one file, but several sources have an output each: give a folder, as "
        "both.mp4/, and --format mp4|mkv|npz|png|ply for what is written"
    )
    assert ended.code == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fps", 0], "--fps 0 is not above 0"),
        (["--fps", "nan"], "--fps nan is not above 0"),
        (["--fps", 5], "--fps limits live sources, and there is none"),
        (["--batch-wait", "inf"], "batch-wait"),
        (["--max-latency", -1], "--max-latency -1 is not above 0 ms"),
        (["--max-latency", 80], "--max-latency limits live sources, and there is none"),
        (["--format", "gif"], "gif"),
    ],
)
def test_options_of_live_and_many_sources(
    command: Command, make_clip: MakeClip, model_path: Path, options: list[object], says: str
) -> None:
    for sources in ([make_clip()], [make_clip(), make_clip(frames=3)]):
        ended = command("run", *sources, "-m", model_path, *options)
        assert says in ended.complaint
        assert (ended.code, ended.out) == (2, "")
        assert not list(Path.cwd().iterdir())
