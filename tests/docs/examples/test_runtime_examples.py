"""Examples of the runtime, run as a user runs them: what they say and write is right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import depthrt
from depthrt.model.catalogue.registry import DEMO_CLIP, find_model
from helpers.commands import Command, Outcome
from helpers.models.small_model import build_model

RunExample = Callable[..., Outcome]
TRUTH = DEMO_CLIP.parent / "demo_depth"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures of the demo clip."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    source = depthrt.open_source("demo", depthrt.Selection(stride=40))
    for frame in source.frames():
        cv2.imwrite(
            str(folder / f"{frame.index}.png"), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        )
    return folder


def test_the_nearest_thing_is_on_the_side_where_the_rendered_depth_has_it(
    run_example: RunExample,
) -> None:
    ended = run_example("nearest_thing.py")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert len(lines) == 24  # every sixth of 144 frames
    seen = {}
    for number, line in enumerate(lines):
        said = re.fullmatch(
            r"(\d\.\d\d) s: (\w+ \w+), nearer than (\d+)% of the rest", line
        )  # relative depth: no metres
        assert said is not None, line
        assert float(said[1]) == pytest.approx(number / 4)
        assert 50 < int(said[3]) <= 100
        seen[6 * number] = said[2]
    for index in (9, 27, 45):  # one side is at half the distance of the other there
        code = cv2.imread(str(TRUTH / f"{index:06d}.png"), cv2.IMREAD_UNCHANGED).astype(float)
        code[code == 0] = np.inf  # the sky
        above_ground = code[: 2 * len(code) // 3]
        left, _, right = (np.median(p) for p in np.array_split(above_ground, 3, axis=1))
        assert seen[index // 6 * 6].endswith("left" if left < right else "right")


def test_a_metric_model_gives_metres(
    run_example: RunExample, pictures: Path, tmp_path: Path
) -> None:
    spec = depthrt.ModelSpec("metric", "depth", depthrt.InputSpec(48, 64), unit="m")
    model = build_model(tmp_path / "metric.onnx", spec=spec, gain=0.01)
    ended = run_example("nearest_thing.py", pictures / "0.png", model)
    (line,) = ended.out.splitlines()
    depth = depthrt.DepthModel.load(model)(depthrt.read_image(pictures / "0.png")).values
    medians = [
        float(np.median(part))
        for band in np.array_split(depth, 3, axis=0)[:2]
        for part in np.array_split(band, 3, axis=1)
    ]
    assert line.endswith(f", {min(medians):.1f} m away")


def test_a_source_that_is_none_is_a_sentence(run_example: RunExample) -> None:
    ended = run_example("nearest_thing.py", "nothing.mp4")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "no file, directory, camera or URL 'nothing.mp4'\n"


def test_plain_onnxruntime_gives_the_depth_that_depthrt_gives(
    run_example: RunExample, pictures: Path, tmp_path: Path
) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "depthrt.py").write_text("raise ImportError('depthrt is not needed here')\n")
    photo, output = pictures / "40.png", tmp_path / "depth.png"
    file = find_model("depthrt-s")
    ended = run_example("plain_onnxruntime.py", file, photo, output, first=absent)
    assert (ended.code, ended.err) == (0, "")
    depth = depthrt.DepthModel.load(file)(depthrt.read_image(photo))
    low, high = float(depth.values.min()), float(depth.values.max())
    assert ended.out == (f"depthrt-s: {low:.4f} to {high:.4f}, inverse_depth, relative, no unit\n")
    shown = cv2.imread(str(output), cv2.IMREAD_UNCHANGED)
    assert (shown.dtype, shown.shape) == (np.uint16, depth.image_size)
    expected = (depth.at_image_size() - low) / (high - low)
    np.testing.assert_allclose(shown / 65535, expected, atol=2e-5)


def test_several_cameras_go_on_when_one_fails(run_example: RunExample, pictures: Path) -> None:
    """Recordings and a folder stand in for cameras."""
    ended = run_example(
        "several_cameras.py", f"front={DEMO_CLIP}", f"rear={pictures}", "yard=nothing.mp4"
    )
    assert ended.code == 1
    assert "yard failed: no file, directory, camera or URL 'nothing.mp4'\n" in ended.err
    assert "front: 144 frames, 0 dropped\n" in ended.err
    assert "rear: 4 frames, 0 dropped\n" in ended.err
    sides: dict[str, list[str]] = {}
    for line in ended.out.splitlines():
        said = re.fullmatch(r"(\S+) (\d+) \d+\.\d{3} s: nearer (left|right)", line)
        assert said is not None, line
        sides.setdefault(said[1], []).append(said[3])
    model = depthrt.DepthModel.load()
    for number, index in enumerate((0, 40, 80, 120)):
        values = model(depthrt.read_image(pictures / f"{index}.png")).values
        left, right = np.array_split(values, 2, axis=1)
        assert sides["rear"][number] == ("left" if np.median(left) > np.median(right) else "right")
    assert len(sides["front"]) == 144


def test_cameras_without_a_name_are_asked_for(run_example: RunExample) -> None:
    ended = run_example("several_cameras.py")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "give cameras as NAME=SOURCE, such as front=0 rear=rear.mp4\n"
    assert run_example("several_cameras.py", "0").err == ended.err


def test_a_folder_becomes_a_dataset_that_eval_reads_back(
    run_example: RunExample, pictures: Path, tmp_path: Path, command: Command
) -> None:
    made = tmp_path / "made"
    ended = run_example("folder_to_dataset.py", pictures, made)
    assert (ended.code, ended.err) == (0, "")
    says = "made by depthrt-s, relative, stretched to 0.5..20.0 m"
    assert ended.out == f"{made}: 4 pairs, {says}\n"
    assert json.loads((made / "dataset.json").read_text())["labels"] == says
    for name in ("000000.png", "000003.png"):
        code = cv2.imread(str(made / "depth" / name), cv2.IMREAD_UNCHANGED)
        assert (code.dtype, code.min(), code.max()) == (np.uint16, 500, 20000)  # mm
    first = cv2.imread(str(pictures / "0.png"))
    np.testing.assert_array_equal(cv2.imread(str(made / "rgb" / "000000.png")), first)
    errors = []
    for model in ("depthrt-s", "depthrt-xs"):
        read = command("eval", model, made, "--json")
        assert read.code == 0, read.err
        (found,) = read.document["evaluations"]
        assert (found["images"], found["truth"]["valid_share"]) == (4, 1)
        errors.append(found["metrics"]["abs_rel"]["value"])
    assert errors[0] < 0.001 < 0.02 < errors[1]  # its own depth, and another model's
    again = run_example("folder_to_dataset.py", pictures, made)
    assert again.code == 1
    assert "File exists" in again.err
    assert "Traceback" not in again.err
