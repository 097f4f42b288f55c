"""--overwrite replaces what depthrt wrote, and nothing of others."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from depthrt import read_depth
from helpers.commands import Command, outcome, spawn
from helpers.files.clips import probe

MakeClip = Callable[..., Path]
OUTPUTS = ["out.mp4", "out.mkv", "out.npz", "out"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def frames_of(path: Path) -> int:
    return len(probe(path).times_s) if path.suffix == ".mp4" else len(list(read_depth(path)))


def everything() -> Iterator[tuple[str, bytes]]:
    for path in sorted(Path().rglob("*")):
        yield str(path), path.read_bytes() if path.is_file() else b""


def test_of_two_runs_with_overwrite_the_last_wins(make_clip: MakeClip, model_path: Path) -> None:
    clips = [make_clip(frames=200), make_clip(frames=240)]
    run = ["-m", model_path, "-o", "out", "--overwrite", "--jsonl", "out.jsonl"]
    processes = [spawn("run", clip, *run) for clip in clips]
    assert [outcome(process).code for process in processes] == [0, 0]
    assert frames_of(Path("out")) in (200, 240)
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert len(lines) in (200, 240)
    assert sorted(p.name for p in Path().iterdir()) == ["out", "out.jsonl"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("out/000003.png").write_bytes(Path("out/000003.png").read_bytes() + b"note"),
        lambda: Path("out/000099.png").write_text("named like ours"),
        lambda: Path("out/.notes").write_text("hidden"),
        lambda: Path("out/depth.json").write_text('{"frames": [{"file": "000003.png"}]}'),
        lambda: Path("out/depth.json").unlink(),
        lambda: Path("out/000099.png").mkdir(),
    ],
    ids=["edited", "named like ours", "hidden", "another list", "no list", "a folder"],
)
@pytest.mark.parametrize("form", ["png", "ply"])
def test_a_folder_with_something_of_others_is_not_replaced(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    change: Callable[[], object],
    form: str,
) -> None:
    source = make_clip(frames=5)
    source = shutil.copy(source, "clip.mp4")
    assert command("run", source, "-m", model_path, "-o", "out").code == 0
    change()
    before = dict(everything())
    options = ["--near", 1, "--far", 5, "--fov", 60] if form == "ply" else []
    Path("out").rename("clip_depth")
    ended = command(
        "run", source, "-m", model_path, "-o", ".", "--format", form, "--overwrite", *options
    )
    assert "the folder clip_depth " in ended.complaint
    assert ended.code == 2
    Path("clip_depth").rename("out")
    assert dict(everything()) == before


def test_a_list_of_ours_that_names_files_of_others_deletes_none(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    Path("out").mkdir()
    Path("secret").write_text("secret")
    for name in ("thesis.txt", "000000.png"):
        Path("out", name).write_text("years of work")
    Path("out/data").mkdir()
    Path("out/data/more.txt").write_text("years of work")
    files = ["thesis.txt", "000000.png", "data", "../secret", "/etc/passwd"]
    frames = [{"file": name, "index": n, "time_s": 0.0} for n, name in enumerate(files)]
    content = {"kind": "depth", "unit": None, "step": 1, "offset": 0, "frames": frames}
    Path("out/depth.json").write_text(json.dumps(content))
    before = dict(everything())
    ended = command("run", make_clip(frames=5), "-m", model_path, "-o", "out", "--overwrite")
    assert "the folder out holds other files" in ended.complaint
    assert ended.code == 2
    assert dict(everything()) == before


@pytest.mark.parametrize("way", ["symbolic", "hard", "glob", "folder"])
def test_sources_in_the_folder_to_be_replaced_survive(
    command: Command, make_clip: MakeClip, model_path: Path, way: str
) -> None:
    assert command("run", make_clip(frames=5), "-m", model_path, "-o", "out").code == 0
    Path("in").mkdir()
    for picture in Path("out").glob("*.png"):
        if way == "hard":
            os.link(picture, f"in/{picture.name}")
        else:
            Path("in", picture.name).symlink_to(picture.resolve())
    source = {"glob": "o?t/*.png", "folder": "in"}.get(way, "in/*.png")
    before = dict(everything())
    ended = command("run", source, "-m", model_path, "-o", "out", "--overwrite")
    assert "out holds the source: choose another output" in ended.complaint
    assert ended.code == 2
    assert dict(everything()) == before


def test_an_output_that_is_a_link_is_written_where_it_points(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    Path("disk").mkdir()
    for output in OUTPUTS:
        Path(output).symlink_to(f"disk/{output}")
        run = ["run", make_clip(frames=5), "-m", model_path, "-o", output]
        assert command(*run).code == 0
        refused = command(*run)
        assert f"{output} exists: give another output or --overwrite" in refused.complaint
        assert command(*run, "--overwrite").code == 0
        assert Path(output).is_symlink()
        assert frames_of(Path("disk", output)) == 5
    assert sorted(p.name for p in Path("disk").iterdir()) == sorted(OUTPUTS)
    Path("loop.mp4").symlink_to("loop.mp4")
    ended = command("run", make_clip(), "-m", model_path, "-o", "loop.mp4", "--overwrite")
    assert ended.complaint == "loop.mp4 is a symbolic link that leads in a circle"


def test_what_is_no_regular_file_is_not_replaced(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    os.mkfifo("out.mp4")
    ended = command("run", make_clip(), "-m", model_path, "-o", "out.mp4", "--overwrite")
    assert ended.complaint == "out.mp4 is no regular file: choose another output"
    assert Path("out.mp4").is_fifo()


def test_two_outputs_that_a_link_makes_one_are_refused(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    for name in ("a", "b"):
        shutil.copy(make_clip(frames=5), f"{name}.mp4")
    Path("out").mkdir()
    Path("out/b_depth.mp4").symlink_to("a_depth.mp4")
    ended = command("run", "a.mp4", "b.mp4", "-m", model_path, "-o", "out", "--overwrite")
    assert "out/b_depth.mp4 and out/a_depth.mp4 are one place" in ended.complaint
    assert ended.code == 2


def test_lines_do_not_replace_the_model(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    model = Path(shutil.copy(model_path, "m.onnx"))
    before = model.read_bytes()
    run = ["run", make_clip(frames=5), "-m", model, "-o", "o.npz", "--overwrite"]
    ended = command(*run, "--jsonl", "m.onnx")
    assert "--jsonl m.onnx is the model itself" in ended.complaint
    assert (ended.code, model.read_bytes()) == (2, before)
