"""`depthrt run` with several sources: an output each, and none stops another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depthrt import read_depth
from depthrt.jobs.outputs import plan_outputs
from depthrt.pipeline.options import StreamOptions
from depthrt.pipeline.scheduling.scheduler import Scheduler
from helpers.commands import Command
from helpers.files.clips import cut, pictures, probe
from helpers.models.small_model import build_picky_model

MakeClip = Callable[..., Path]

ASSUMED_RATE = "images have no times: 25/s is assumed; --source-fps sets it"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_source_has_an_output_and_names_that_agree_are_numbered() -> None:
    for name in ("a/x.mp4", "b/x.avi", "b/x_2.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    sources = ["a/x.mp4", "b/x.avi", "b/x_2.mp4", "0", "rtsp://cam/s", "a/x.mp4", "demo", "p.jpg"]
    for form, endings in (
        (None, ["mp4"] * 7 + ["png"]),
        ("mkv", ["mkv"] * 8),
        ("png", [""] * 8),
    ):
        outputs = plan_outputs(sources, Path("out"), form)  # type: ignore[arg-type]
        names = [
            "x_depth", "x_2_depth", "x_2_2_depth", "camera_0_depth", "rtsp___cam_s_depth",
            "x_3_depth", "demo_depth", "p_jpg_depth",
        ]  # fmt: skip
        assert [output.path for output in outputs] == [
            Path("out", f"{name}.{ending}" if ending else name)
            for name, ending in zip(names, endings, strict=True)
        ]


@pytest.mark.parametrize("form", ["mp4", "mkv", "npz", "png"])
def test_several_files_become_several_files(
    command: Command, make_clip: MakeClip, model_path: Path, form: str
) -> None:
    shutil.copy(make_clip(), "a.mp4")
    shutil.copy(make_clip(frames=9, size=(90, 120)), "b.mp4")
    ended = command(
        "run", "a.mp4", "b.mp4", "-m", model_path, "-o", "out", "--format", form, "--json"
    )
    assert (ended.code, ended.err) == (0, "")
    total = ended.document
    assert (total["frames"], total["failed"], total["interrupted"]) == (34, 0, False)
    assert [(s["source"], s["frames"]) for s in total["streams"]] == [("a.mp4", 25), ("b.mp4", 9)]
    for each in total["streams"]:
        output = Path(each["output"])
        if form == "mp4":
            assert probe(output).times_s == probe(Path(each["source"])).times_s
        else:
            assert len(list(read_depth(output))) == each["frames"]
    assert len(list(Path("out").iterdir())) == 2


def test_each_stream_is_timed_to_its_own_end(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    shutil.copy(make_clip(frames=2), "short.mp4")
    shutil.copy(make_clip(frames=120), "long.mp4")
    ended = command("run", "short.mp4", "long.mp4", "-m", model_path, "-o", "out", "--json")
    total = ended.document
    short, long = total["streams"]
    assert 0 < short["seconds"] < long["seconds"] <= total["seconds"]
    for each in (short, long):
        assert each["rate_fps"] == pytest.approx(each["frames"] / each["seconds"], rel=0.01)


def test_the_same_clip_once_and_eight_times_is_the_same_depth(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    clip = make_clip()
    run = ["-m", model_path, "--format", "npz", "--batch", 5]
    assert command("run", clip, *run, "-o", "one").code == 0
    assert command("run", *[clip] * 8, *run, "-o", "eight").code == 0
    (alone,) = Path("one").iterdir()
    files = sorted(Path("eight").iterdir())
    assert len(files) == 8
    for file in files:
        for one, other in zip(read_depth(alone), read_depth(file), strict=True):
            np.testing.assert_array_equal(one.values, other.values)


def test_the_built_in_int8_model_does_not_mind_its_neighbours(command: Command) -> None:
    run = ["--format", "npz", "--max-frames", 5]
    assert command("run", "demo", *run, "-o", "one", "--batch", 1).code == 0
    assert command("run", "demo", "demo", "demo", *run, "-o", "three", "--batch", 4).code == 0
    for file in Path("three").iterdir():
        pairs = zip(read_depth("one/demo_depth.npz"), read_depth(file), strict=True)
        for one, other in pairs:
            np.testing.assert_array_equal(one.values, other.values)


def test_a_glob_of_videos_is_several_sources_and_images_go_along(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    Path("clips").mkdir()
    for name in ("c10.mp4", "c9.mp4"):
        shutil.copy(make_clip(frames=4), Path("clips", name))
    cv2.imwrite("photo.png", np.full((30, 40, 3), 90, np.uint8))
    ended = command("run", "clips/*.mp4", "photo.png", "-m", model_path, "-o", "out")
    assert (ended.code, ended.err) == (0, "")
    first, second, third, total = ended.out.splitlines()
    assert first.startswith("c9.mp4: 4 frames in ")
    assert second.startswith("c10.mp4: 4 frames in ")
    assert third.endswith("out/photo_depth.png")
    assert total.startswith("3 streams: 9 frames in ")
    assert pictures(Path("out/photo_depth.png"))[0].shape == (30, 40, 3)


def test_bad_streams_are_said_and_do_not_stop_the_others(
    command: Command, make_clip: MakeClip, tmp_path: Path
) -> None:
    model = build_picky_model(tmp_path / "picky.onnx")
    shutil.copy(make_clip(), "good.mp4")
    cut(Path("torn.mkv"), make_clip(".mkv", frames=80, size=(120, 160)), 0.5)
    Path("noise.mp4").write_bytes(bytes(range(256)) * 20)
    Path("black").mkdir()
    for number in range(4):
        value = 0 if number == 2 else 200
        cv2.imwrite(f"black/{number}.png", np.full((48, 64, 3), value, np.uint8))
    ended = command(
        "run", "good.mp4", "missing.mp4", "torn.mkv", "noise.mp4", "black", "-m", model,
        "-o", "out", "--json",
    )  # fmt: skip
    assert ended.code == 1
    said = ended.err.splitlines()
    said.remove(f"depthrt: black: {ASSUMED_RATE}")
    assert len(said) == 4
    assert said[0] == "depthrt: no file, directory, camera or URL 'missing.mp4'"
    assert said[1].startswith("depthrt: noise.mp4 cannot be opened as a video")
    assert said[2].startswith("depthrt: black: frame 2: model tiny gave 100.0% non-finite depth")
    assert "; what was done before is in out/black_depth.partial-" in said[2]
    assert said[3].startswith("depthrt: torn.mkv: ")
    streams = {each["source"]: each for each in ended.document["streams"]}
    assert ended.document["failed"] == 3
    assert streams["good.mp4"]["frames"] == len(probe(Path("out/good_depth.mp4")).times_s) == 25
    assert 20 < streams["torn.mkv"]["frames"] == len(probe(Path("out/torn_depth.mp4")).times_s)
    assert [bool(each["output"]) for each in ended.document["streams"]] == [
        True, False, True, False, False,
    ]  # fmt: skip
    assert streams["missing.mp4"]["error"] == said[0].removeprefix("depthrt: ")
    assert len(probe(ended.kept).times_s) == 2


def test_a_full_disk_under_one_of_four_leaves_three_whole(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    small_disk: Callable[..., Path],
) -> None:
    disk = small_disk(120_000)
    names = ["a", "b", "c", "d"]
    for name in names:
        shutil.copy(make_clip(frames=30 if name != "c" else 200), f"{name}.mp4")
    Path("out").mkdir()
    # Only the third one's output is on the small disk.
    Path("out/c_depth.npz").symlink_to(disk / "c.npz")
    ended = command(
        "run", *(f"{name}.mp4" for name in names), "-m", model_path, "-o", "out",
        "--format", "npz", "--json",
    )  # fmt: skip
    assert ended.code == 1
    assert "failed (No space left on device)" in ended.complaint
    streams = {each["source"]: each for each in ended.document["streams"]}
    assert [bool(streams[f"{name}.mp4"]["error"]) for name in names] == [False, False, True, False]
    for name in ("a", "b", "d"):
        assert len(list(read_depth(f"out/{name}_depth.npz"))) == 30
    assert not Path("out/c_depth.npz").exists()
    assert 0 < len(list(read_depth(ended.kept))) < 200


def waits_asked_for(monkeypatch: pytest.MonkeyPatch, where: str) -> list[float | None]:
    """Every `wait_s` that `Scheduler`, as imported there, will be made with."""
    asked: list[float | None] = []

    class Watched(Scheduler):
        def __init__(self, streams: Any, model: Any, options: StreamOptions) -> None:
            asked.append(options.wait_s)
            super().__init__(streams, model, options)

    monkeypatch.setattr(where, Watched)
    return asked


@pytest.mark.parametrize(("said", "wait_s"), [([], None), (["--batch-wait", 20], 0.02)])
def test_a_batch_waits_as_long_as_asked(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[object],
    wait_s: float | None,
) -> None:
    asked = waits_asked_for(monkeypatch, "depthrt.jobs.run.Scheduler")
    run = ["run", make_clip(frames=3), make_clip(frames=4), "-m", model_path, "-o", "out"]
    assert command(*run, *said).code == 0
    assert asked == [wait_s]


def test_one_source_waits_as_long_as_asked(
    command: Command, make_clip: MakeClip, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = waits_asked_for(monkeypatch, "depthrt.jobs.run.Scheduler")
    run = ["run", make_clip(frames=3), "-m", model_path, "-o", "out.mp4", "--batch-wait", 20]
    assert command(*run).code == 0
    assert asked == [0.02]


@pytest.mark.parametrize("place", ["out/clip_depth", "out/../out/clip_depth"])
def test_json_lines_do_not_go_where_depth_goes(
    command: Command, make_clip: MakeClip, model_path: Path, place: str
) -> None:
    make_clip(frames=3).rename("clip.mp4")
    ended = command(
        "run", "clip.mp4", "-m", model_path, "-o", "out", "--format", "png", "--jsonl", place
    )
    assert ended.code == 2
    assert ended.complaint == f"-o and --jsonl both write {place}: give them two names"


def test_nothing_that_opens_is_wrong_input(command: Command, model_path: Path) -> None:
    ended = command("run", "a.mp4", "b.mp4", "-m", model_path, "-o", "out")
    assert ended.complaint == (
        "no file, directory, camera or URL 'a.mp4'; no file, directory, camera or URL 'b.mp4'"
    )
    assert ended.code == 2
    assert not Path("out").exists()


def test_outputs_that_are_there_are_kept_unless_asked(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    run = ["run", make_clip(frames=3), make_clip(frames=4), "-m", model_path, "-o", "out"]
    assert command(*run).code == 0
    refused = command(*run)
    assert refused.code == 2
    assert "exists: give another output or --overwrite" in refused.complaint
    assert command(*run, "--overwrite").code == 0
    Path("file").touch()
    blocked = command(*run[:-1], "file")
    assert (blocked.code, "the folder file cannot be made" in blocked.complaint) == (2, True)
    nowhere = command(*run[:-1], "no/such/place")
    assert (nowhere.code, "cannot be made" in nowhere.complaint) == (2, True)


def test_what_one_output_stumbles_over_stops_no_other(
    command: Command, make_clip: MakeClip, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depthrt.sinks.video.mp4 import Mp4Sink

    shutil.copy(make_clip(), "a.mp4")
    shutil.copy(make_clip(frames=9), "b.mp4")
    real = Mp4Sink.write

    def stumble(sink: Mp4Sink, result: Any) -> bool:
        if result.frame.stream == "b.mp4" and result.frame.index == 4:
            raise OverflowError("value too large to convert to int")
        return real(sink, result)

    monkeypatch.setattr(Mp4Sink, "write", stumble)
    ended = command("run", "a.mp4", "b.mp4", "-m", model_path, "-o", "out", "--json")
    assert "b.mp4: OverflowError: value too large to convert to int" in ended.err
    assert ended.code == 1
    assert len(probe(Path("out/a_depth.mp4")).times_s) == 25
    assert ended.kept.match("out/b_depth.partial-*.mp4")
    assert len(probe(ended.kept).times_s) == 4


def test_a_glob_of_images_beside_a_video_is_a_video(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    shutil.copy(make_clip(), "m.mp4")
    for name in ("f1.jpg", "f2.jpg"):
        cv2.imwrite(name, np.zeros((16, 16, 3), np.uint8))
    ended = command("run", "m.mp4", "f?.jpg", "-m", model_path, "-o", "out", "--json")
    assert (ended.code, ended.err) == (0, f"depthrt: f?.jpg: {ASSUMED_RATE}\n")
    assert [s["frames"] for s in ended.document["streams"]] == [25, 2]
    assert {Path(s["output"]).suffix for s in ended.document["streams"]} == {".mp4"}
