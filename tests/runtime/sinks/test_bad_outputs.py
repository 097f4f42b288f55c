"""Outputs that cannot be, and what must survive them: one sentence, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.commands import Command

MakeClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


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
        ("out.v2", "for a folder of this name end it with a slash: out.v2/"),
        ("there.mp4/", "there.mp4 is a file, but a name with a slash at its end means a folder"),
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


def blank(size: tuple[int, int]) -> str:
    """A black picture of this height and width, as an image that OpenCV reads."""
    height, width = size
    Path("blank.pbm").write_bytes(b"P4 %d %d\n" % (width, height) + bytes(-(-width // 8) * height))
    return "blank.pbm"


def test_a_read_only_place(
    command: Command, make_clip: MakeClip, model_path: Path, small_disk: Callable[..., Path]
) -> None:
    place = small_disk(read_only=True)
    ended = command("run", make_clip(), "-m", model_path, "-o", place / "out.mp4")
    assert "cannot be written (Read-only file system)" in ended.complaint
    assert ended.code == 2


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


@pytest.mark.parametrize(
    ("size", "output", "options", "says"),
    [
        ((8, 65600), "long.jpg", [], "of 65600x8: try .png (at most 65500 pixels a side)"),
        ((8, 16386), "o.mp4", [], "of 16386x8: write depth at the network's size"),
        ((16386, 8), "o.mp4", ["--view", "side"], "of 16x16386: write depth at the network's size"),
        ((9, 8193), "o.mp4", ["--view", "side"], "of 16388x10: take --view depth, which is half"),
        ((2, 1000001), "o.png", [], "of 1000002x2: write depth at the network's size"),
        ((2, 1000001), "o/", ["--size", "source"], "of 1000001x2: take --size network"),
        ((6, 40000), "o.jpg", ["--view", "side"], "of 80000x6: take --view depth"),
    ],
)
def test_a_picture_too_large_for_its_form_is_said_before_the_work(
    command: Command,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    output: str,
    options: list[str],
    says: str,
) -> None:
    monkeypatch.setattr("depthrt.jobs.run.load_model", None)  # it does not come to that
    source = blank(size)
    ended = command("run", source, "-m", model_path, "-o", output, *options)
    assert f"{Path(output).name} cannot hold a picture {says}" in ended.complaint
    assert ended.code == 2
    assert [path.name for path in Path.cwd().iterdir()] == [source]


@pytest.mark.parametrize(
    ("size", "output", "options"),
    [
        ((8, 16384), "o.mp4", []),
        ((8, 8192), "o.mp4", ["--view", "side"]),
        ((8, 65500), "o.jpg", []),
        ((2, 1000000), "o.png", []),
        ((2, 1000001), "o.mkv", []),
        ((2, 1000001), "o.mkv", ["--size", "source"]),
    ],
)
def test_the_largest_picture_of_each_form_is_written(
    command: Command, model_path: Path, size: tuple[int, int], output: str, options: list[str]
) -> None:
    ended = command("run", blank(size), "-m", model_path, "-o", output, *options)
    assert (ended.code, ended.err) == (0, "")
    assert Path(output).is_file()


def test_one_source_that_is_too_large_stops_no_other(command: Command, model_path: Path) -> None:
    cv2.imwrite("small.png", np.zeros((8, 8, 3), np.uint8))
    ended = command(
        "run", blank((8, 16386)), "small.png", "-m", model_path, "-o", "video/", "--format", "mp4",
        "--json",
    )  # fmt: skip
    assert "blank_depth.mp4 cannot hold a picture of 16386x8" in ended.complaint
    assert ended.code == 1
    assert [path.name for path in Path("video").iterdir()] == ["small_depth.mp4"]


def test_an_output_folder_that_holds_the_source_survives(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    assert command("run", make_clip(), "-m", model_path, "-o", "out").code == 0
    source = Path("out/000000.png")
    ended = command("run", source, "-m", model_path, "-o", "out", "--overwrite")
    assert "out holds the source" in ended.complaint
    assert source.exists()
