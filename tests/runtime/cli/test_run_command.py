"""`depthrt run` from its command line to its last line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from depthrt import DepthModel, InputSpec, read_depth, stream
from helpers.commands import Command, outcome, spawn
from helpers.files.clips import pictures, probe
from helpers.models.small_model import build_model, build_spec

MakeClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_video_becomes_a_video_beside_one_line(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    source = make_clip()
    ended = command("run", source, "-m", model_path)
    assert (ended.code, ended.err) == (0, "")
    (line,) = ended.out.splitlines()
    assert line.startswith("25 frames in ")
    target = Path(f"{source.stem}_depth.mp4")
    for fact in ("frames/s", "decode ", "prepare ", "infer ", "write ", "tiny on cpu", str(target)):
        assert fact in line
    assert probe(target).times_s == probe(source).times_s
    assert list(Path.cwd().iterdir()) == [Path.cwd() / target]


def test_json_is_one_document_on_standard_output(make_clip: MakeClip, model_path: Path) -> None:
    ended = outcome(spawn("run", make_clip(), "-m", model_path, "-o", "out.mp4", "--json"))
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == 1
    summary = ended.document
    assert (summary["frames"], summary["output"], summary["provider"]) == (25, "out.mp4", "cpu")
    assert set(summary["stage_ms"]) == {"decode", "prepare", "infer", "stabilise", "write"}
    assert (summary["lost"], summary["dropped"], summary["interrupted"]) == ("", 0, False)


@pytest.mark.parametrize(
    ("output", "count"), [("o.mp4", 25), ("O.MP4", 25), ("o.mkv", 25), ("O.NPZ", 25), ("o", 25)]
)
def test_the_ending_decides_the_form(
    command: Command, make_clip: MakeClip, model_path: Path, output: str, count: int
) -> None:
    assert command("run", make_clip(), "-m", model_path, "-o", output).code == 0
    if output.lower().endswith(".mp4"):
        assert len(probe(Path(output)).times_s) == count
    else:
        assert len(list(read_depth(output))) == count


@pytest.mark.parametrize(
    "output", ["results.v2/", "2026.11.29/", "clip.mp4/", "have.dir", "deep/v1.0/."]
)
def test_a_slash_or_a_folder_that_is_there_makes_a_folder(
    command: Command, make_clip: MakeClip, model_path: Path, output: str
) -> None:
    Path("have.dir").mkdir()
    Path("deep").mkdir()
    source = make_clip(frames=3)
    ended = command("run", source, "-m", model_path, "-o", output, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.document["output"] == output.rstrip("/.")
    assert ended.document["stabilised"] is False
    assert len(list(read_depth(output))) == 3
    names = [path.name for path in Path(output).iterdir()]
    assert sorted(names) == ["000000.png", "000001.png", "000002.png", "depth.json"]
    assert command("run", source, "-m", model_path, "-o", output, "--overwrite").code == 0


@pytest.mark.parametrize("form", ["mp4", "png", "ply"])
def test_sources_and_folders_with_dots_in_their_names(
    command: Command, make_clip: MakeClip, model_path: Path, form: str
) -> None:
    for name in ("a.b.mp4", "c.mp4"):
        Path(name).write_bytes(make_clip(frames=2).read_bytes())
    options = ["--format", form, "-m", model_path, "-o", "many.v2/"]
    assert command("run", "a.b.mp4", "c.mp4", *options).code == 0
    ending = ".mp4" if form == "mp4" else ""
    written = sorted(Path("many.v2").iterdir())
    assert [path.name for path in written] == [f"a.b_depth{ending}", f"c_depth{ending}"]
    assert all(path.is_dir() == (form != "mp4") for path in written)


@pytest.mark.parametrize("output", ["o.mkv", "o.npz", "o/"])
def test_depth_is_written_at_the_size_of_the_picture(
    command: Command, make_clip: MakeClip, tmp_path: Path, output: str
) -> None:
    spec = replace(build_spec(), input=InputSpec(48, 64, resize="pad"))
    model_path = build_model(tmp_path / "padded.onnx", spec=spec)
    source = make_clip(frames=3, size=(90, 160))
    run = ["run", source, "-m", model_path, "-o"]
    assert command(*run, output, "--size", "source").code == 0
    maps = [result.depth for result in stream(source, DepthModel.load(model_path))]
    step = 1e-6 if output == "o.npz" else 2**-7  # half of a step
    for recorded, depth in zip(read_depth(output), maps, strict=True):
        assert depth.values.shape == (36, 64)
        assert recorded.values.shape == (90, 160)
        np.testing.assert_allclose(recorded.values, depth.at_image_size(), atol=step, rtol=0)
    assert command(*run, f"small{output}" if output != "o/" else "small").code == 0
    small = next(iter(read_depth(f"small{output}" if output != "o/" else "small")))
    assert small.values.shape == (36, 64)


def test_files_say_the_size_of_the_picture_and_how_it_was_resized(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    source = make_clip(frames=2, size=(90, 160))
    for output in ("o.mkv", "o.npz", "o"):
        assert command("run", source, "-m", model_path, "-o", output).code == 0
    with av.open("o.mkv") as container:
        tags = container.metadata
    assert json.loads(tags["DEPTHRT_IMAGE_SIZE"]) == [90, 160]
    assert tags["DEPTHRT_RESIZE"] == "stretch"
    with np.load("o.npz") as arrays:
        assert arrays["image_size"].tolist() == [90, 160]
        assert str(arrays["resize"]) == "stretch"
    index = json.loads(Path("o/depth.json").read_text())
    assert (index["image_size"], index["resize"]) == ([90, 160], "stretch")


def test_each_picture_of_another_size_is_said(command: Command, model_path: Path) -> None:
    Path("in").mkdir()
    for number, size in enumerate([(40, 50), (40, 50), (30, 20)]):
        cv2.imwrite(f"in/{number}.png", np.full((*size, 3), 90, np.uint8))
    for output in ("o.npz", "o"):
        assert command("run", "in", "-m", model_path, "-o", output).code == 0
    with np.load("o.npz") as arrays:
        assert arrays["image_size"].tolist() == [[40, 50], [40, 50], [30, 20]]
    index = json.loads(Path("o/depth.json").read_text())
    assert index["image_size"] == [40, 50]
    assert [frame.get("image_size") for frame in index["frames"]] == [None, None, [30, 20]]
    said = command("run", "in", "-m", model_path, "-o", "o.mkv", "--source-fps", 25, "--json")
    assert "the pictures of o.mkv differ in size" in said.err
    assert "differ in size" in said.document["assumed"]
    assert command("run", "in/0.png", "-m", model_path, "-o", "one.mkv").err == ""
    ended = command("run", "in", "-m", model_path, "-o", "big/", "--size", "source")
    assert ended.code == 0
    assert [depth.values.shape for depth in read_depth("big")] == [(40, 50), (40, 50), (30, 20)]


@pytest.mark.parametrize("output", [["-o", "o.mp4"], [], ["-o", "-"], ["--format", "ply"]])
def test_a_size_of_depth_maps_where_there_are_none_is_said(
    command: Command, make_clip: MakeClip, model_path: Path, output: list[str]
) -> None:
    ended = command("run", make_clip(), "-m", model_path, "--size", "source", *output)
    assert "--size source is for depth maps: write .mkv, .npz" in ended.complaint
    assert ended.code == 2
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.npz", "out", "out.png"])
def test_overwriting_is_asked_for_and_whole(
    command: Command, make_clip: MakeClip, model_path: Path, output: str
) -> None:
    run = ["run", make_clip(), "-m", model_path, "-o", output, "--max-frames", 1]
    assert command(*run).code == 0
    refused = command(*run)
    assert f"{output} exists: give another output or --overwrite" in refused.complaint
    assert refused.code == 2
    assert command(*run, "--overwrite").code == 0
    assert [path.name for path in Path.cwd().iterdir()] == [output]


def test_the_selection_reaches_the_source(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    selection = ["--start", 0.2, "--end", 0.8, "--stride", 4, "--max-frames", 3]
    ended = command("run", make_clip(), "-m", model_path, "-o", "out", *selection, "--json")
    assert ended.document["frames"] == 3
    index = json.loads(Path("out/depth.json").read_text())
    assert [frame["index"] for frame in index["frames"]] == [5, 9, 13]
    assert [frame["time_s"] for frame in index["frames"]] == pytest.approx([0.2, 0.36, 0.52])


@pytest.mark.parametrize("batch", [2, 7, 64])
def test_a_batch_changes_no_number(
    command: Command, make_clip: MakeClip, model_path: Path, batch: int
) -> None:
    for name, size in (("one.npz", 1), ("many.npz", batch)):
        ended = command("run", make_clip(), "-m", model_path, "-o", name, "--batch", size)
        assert ended.code == 0
    pairs = zip(read_depth("one.npz"), read_depth("many.npz"), strict=True)
    for one, many in pairs:
        np.testing.assert_array_equal(one.values, many.values)


def test_clamped_values_are_counted_and_said(
    command: Command, make_clip: MakeClip, tmp_path: Path
) -> None:
    from depthrt.spec import ModelSpec
    from helpers.models.small_model import build_model, build_spec

    spec = ModelSpec("metric", "depth", build_spec().input, unit="m", valid_range=(0.1, 20.0))
    model = build_model(tmp_path / "metric.onnx", spec=spec)
    ended = command("run", make_clip(frames=3), "-m", model, "-o", "out.mkv", "--json")
    clamped = ended.document["clamped"]
    assert clamped > 0
    assert ended.complaint == f"{clamped} depth values lay outside the 16-bit range: use .npz"
    assert ended.code == 0


def test_an_image_becomes_an_image_and_a_folder_a_video(command: Command, model_path: Path) -> None:
    folder = Path("frames")
    folder.mkdir()
    for number in (1, 2, 10):
        image = np.full((20 + number, 30, 3), 20 * number, np.uint8)
        cv2.imwrite(str(folder / f"f{number}.png"), image)
    assert command("run", folder / "f2.png", "-m", model_path).code == 0
    assert pictures(Path("f2_depth.png"))[0].shape == (22, 30, 3)
    assert command("run", "frames", "-m", model_path).code == 0
    assert len(probe(Path("frames_depth.mp4")).times_s) == 3
    (folder / "f2.png").write_bytes(b"x")
    ended = command("run", "frames/*.png", "-m", model_path, "-o", "out.mp4")
    assumed, missing = ended.err.splitlines()
    assert assumed.endswith("25/s is assumed; --source-fps sets it")
    assert "1 frame missing, frames/f2.png is no image" in missing
    assert ended.code == 1
    assert len(probe(Path("out.mp4")).times_s) == 2


def test_info_reads_the_contract_back(command: Command, model_path: Path) -> None:
    ended = command("info", model_path, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.document["spec"]["kind"] == "inverse_depth"
    assert ended.document["bound_provider"] == "cpu"
    text = command("info", model_path)
    assert "kind" in text.out
    assert "inverse_depth" in text.out


def test_info_says_tensors_and_what_was_assumed(command: Command, tmp_path: Path) -> None:
    provenance = {"assumed": {"input": "pixel/255"}, "a new field": {"of": [1, 2]}}
    spec = replace(build_spec(), provenance=provenance)
    model = build_model(tmp_path / "m.onnx", spec=spec)
    found = command("info", model, "--json").document
    assert found["assumed"] == {"input": "pixel/255"}
    assert found["inputs"]["image"].startswith("uint8 (")
    assert found["inputs"]["image"].endswith(", 3, 48, 64)")
    assert found["outputs"]["depth"].startswith("float32 (")
    lines = [line.split(maxsplit=1) for line in command("info", model, "--all").out.splitlines()]
    assert ["assumed.input", "pixel/255"] in lines
    assert ["provenance.a", "new field.of 1, 2"] in lines


def test_without_a_command_it_shows_its_help(command: Command) -> None:
    for arguments in ([], ["--help"]):
        ended = command(*arguments)
        assert "Usage: " in ended.out
        assert "130 interrupted" in ended.out
        assert ended.err == ""
    assert command("--version").out.startswith("depthrt ")


def test_a_missing_system_library_of_opencv_is_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr("depthrt.jobs.run.execute", missing)
    ended = command("run", "demo")
    assert ended.code == 1
    assert "OpenCV lacks a system library (libGL.so.1" in ended.complaint


def test_a_misspelt_word_is_a_plain_sentence(command: Command) -> None:
    complaint = command("run", "demo", "--view", "sied").complaint
    assert complaint.startswith("Invalid value for '--view': 'sied' is not one of 'depth', 'side'")
