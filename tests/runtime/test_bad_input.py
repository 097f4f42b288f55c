"""A user's mistake is one sentence and an exit code, never a traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from clips import cut, probe
from commands import Command

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


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("nowhere/out.mp4", "there is no folder nowhere"),
        ("file/out.mp4", "there is no folder file"),
        ("/proc/out.mp4", "/proc/out.mp4 cannot be written"),
        ("/sys/out", "/sys/out cannot be written"),
        ("there.mp4", "there.mp4 exists: give another output or --overwrite"),
        ("file", "file is a file"),
        ("full", "full holds other files"),
        ("folder.mp4", "folder.mp4 is a folder"),
        ("out.avi", "cannot write .avi files"),
        (".", "is no name for an output"),
        ("", "is no name for an output"),
        ("..", "is no name for an output"),
        ("/", "is no name for an output"),
        ("x" * 300 + ".mp4", "File name too long"),
        ("in.mp4", "in.mp4 is the source itself"),
        ("link.mp4", "link.mp4 is the source itself"),
        ("out.png", "out.png holds one picture, but in.mp4 has 25 frames"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_that_cannot_be(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    output: str,
    says: str,
    overwrite: bool,
) -> None:
    shutil.copy(make_clip(), "in.mp4")
    before = Path("in.mp4").read_bytes()
    Path("link.mp4").symlink_to("in.mp4")
    for name in ("file", "there.mp4"):
        Path(name).write_text("mine")
    for name in ("full", "folder.mp4"):
        Path(name).mkdir()
    Path("full/mine.txt").write_text("mine")
    options = ["--overwrite"] if overwrite else []
    ended = command("run", "in.mp4", "-m", model_path, "-o", output, *options)
    if overwrite and output == "there.mp4":
        assert (ended.code, ended.err) == (0, "")
        return
    assert says in ended.complaint
    assert ended.code == 2
    assert Path("in.mp4").read_bytes() == before
    assert Path("there.mp4").read_text() == "mine"


def test_a_read_only_place(
    command: Command, make_clip: MakeClip, model_path: Path, small_disk: Callable[..., Path]
) -> None:
    place = small_disk(read_only=True)
    ended = command("run", make_clip(), "-m", model_path, "-o", place / "out.mp4")
    assert "cannot be written (Read-only file system)" in ended.complaint
    assert ended.code == 2


@pytest.mark.parametrize("name", ["clip.partial.mp4", "frames.partial"])
def test_a_source_in_the_place_of_the_partial_output_survives(
    command: Command, make_clip: MakeClip, model_path: Path, name: str
) -> None:
    source = Path(name)
    if source.suffix == ".mp4":
        shutil.copy(make_clip(), source)
    else:
        source.mkdir()
        cv2.imwrite(str(source / "a.png"), np.zeros((8, 8, 3), np.uint8))
    ended = command("run", source, "-m", model_path, "-o", name.replace(".partial", ""))
    assert f"written by way of {name}" in ended.complaint
    assert ended.code == 2
    assert source.is_dir() or len(probe(source).times_s) == 25


@pytest.mark.parametrize(
    ("sources", "output"),
    [
        (["g/clip*.mp4"], "g/clip_1.mp4"),
        (["pictures", "--max-frames", "1"], "pictures/b.jpg"),
        (["g/clip_1.mp4", "g/clip_1_depth.mp4"], "g"),
    ],
    ids=["glob", "folder", "several"],
)
def test_no_source_is_overwritten_whatever_it_was_called_by(
    command: Command, make_clip: MakeClip, model_path: Path, sources: list[str], output: str
) -> None:
    Path("g").mkdir()
    Path("pictures").mkdir()
    shutil.copy(make_clip(), "g/clip_1.mp4")
    if len(sources) > 1 and sources[1].endswith("mp4"):
        shutil.copy(make_clip(frames=9), "g/clip_1_depth.mp4")
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(f"pictures/{name}", np.zeros((8, 8, 3), np.uint8))
    files = [path for path in Path.cwd().rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    ended = command("run", *sources, "-m", model_path, "-o", output, "--overwrite")
    assert "is the source itself" in ended.complaint
    assert ended.code == 2
    assert {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()} == before


def test_files_of_others_in_an_output_folder_survive(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    assert command("run", make_clip(), "-m", model_path, "-o", "out").code == 0
    Path("out/notes.txt").write_text("mine")
    ended = command("run", make_clip(), "-m", model_path, "-o", "out", "--overwrite")
    assert "the folder out holds other files (notes.txt)" in ended.complaint
    assert ended.code == 2
    Path("out/notes.txt").unlink()
    ended = command(
        "run", make_clip(), "-m", model_path, "-o", "out", "--overwrite", "--jsonl", "out/a.jsonl"
    )
    assert "-o out is replaced when it is whole: write --jsonl elsewhere" in ended.complaint
    assert ended.code == 2


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    Path("real").mkdir()
    Path("link").symlink_to("real")
    for frames in (25, 9):
        ended = command(
            "run", make_clip(frames=frames), "-m", model_path, "-o", "link", "--overwrite"
        )
        assert (ended.code, ended.err) == (0, "")
        assert Path("link").is_symlink()
        assert len(list(Path("real").glob("*.png"))) == frames
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["link", "real"]


def test_a_disk_mounted_at_the_output_is_written_to(
    command: Command, make_clip: MakeClip, model_path: Path, small_disk: Callable[..., Path]
) -> None:
    place = small_disk()
    for frames in (25, 9):
        ended = command(
            "run", make_clip(frames=frames), "-m", model_path, "-o", place, "--overwrite"
        )
        assert (ended.code, ended.err) == (0, "")
        assert len(list(place.glob("*.png"))) == frames
        assert len(list(place.iterdir())) == frames + 1


def test_an_output_in_a_folder_with_a_format_is_said(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    ended = command("run", make_clip(), "-m", model_path, "--format", "mkv", "-o", "x.mkv")
    assert "x.mkv is one file, but with --format -o is a folder" in ended.complaint
    assert ended.code == 2


def test_a_picture_too_large_for_its_form_is_said(command: Command, model_path: Path) -> None:
    cv2.imwrite("long.png", np.zeros((8, 65600, 3), np.uint8))
    ended = command("run", "long.png", "-m", model_path, "-o", "long.jpg")
    assert "long.jpg cannot hold a picture of 65600x8: try .png" in ended.complaint
    assert ended.code == 1


def test_an_output_folder_that_holds_the_source_survives(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    assert command("run", make_clip(), "-m", model_path, "-o", "out").code == 0
    source = Path("out/000000.png")
    ended = command("run", source, "-m", model_path, "-o", "out", "--overwrite")
    assert "out holds the source" in ended.complaint
    assert source.exists()


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
        "both.mp4 is one file, but several sources have an output each: give a folder, and "
        "--format mp4|mkv|npz|png|ply for what is written"
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
