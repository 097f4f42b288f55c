"""`depthrt scale` as it is typed: sources of points, words, refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.model.depth_model import DepthModel
from helpers.commands import Command
from helpers.models.small_model import SIZE, build_model
from helpers.models.taped_picture import (
    PIXELS,
    SCALE,
    SHIFT,
    d_of,
    picture,
    save,
    tape,
)


def test_the_words_of_the_terminal(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    shown = save(tmp_path, "room.png", image)
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    wrong = ["--at", "20,20=99"]
    outcome = depthrt("scale", model, shown, *tape(image), *wrong, "-o", target)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "1/metres = 0.01 x depth + 0.02"
    assert lines[1].startswith("9 points at ")
    assert lines[1].endswith(" to 99 m in 1 picture")
    assert lines[2].startswith("AbsRel of a point left out: .1")
    expected = 1 / (SCALE * d_of(image)[20, 20] + SHIFT)
    assert lines[3] == f"left out: room.png (20, 20): 99 m given, {expected:.3g} m by the others"
    assert lines[-1].startswith(f"{target}: depth in m, kept within ")
    document = DepthModel.load(target).spec.provenance["metres"]
    assert document["points"][-1] == {
        "image": "room.png", "x": 20.0, "y": 20.0, "metres": 99.0, "outlier": True
    }  # fmt: skip


def test_several_pictures_of_any_size(depthrt: Command, tmp_path: Path) -> None:
    rows = ["image,x,y,metres"]
    for number in range(3):
        image = picture(number, (96, 128))
        save(tmp_path, f"{number}.png", image)
        for x, y in ((20, 20), (100, 40), (60, 80)):
            d = d_of(image[y - 2 : y + 3, x - 2 : x + 3]).mean()
            rows.append(f"{number}.png,{x},{y},{1 / (SCALE * d + SHIFT):.6g}")
    table = tmp_path / "tape.csv"
    table.write_text("\n".join(rows))
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    outcome = depthrt("scale", model, "--points", table, "-o", target, "--json")
    assert outcome.code == 0, outcome.err
    about = outcome.document
    assert about["error"]["left_out"] == "picture"
    assert [p["name"] for p in about["pictures"]] == ["0.png", "1.png", "2.png"]
    assert about["fit"]["scale"] == pytest.approx(SCALE, rel=0.03)
    assert about["error"]["abs_rel"] < 0.03


def test_lidar(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    depth = np.zeros(SIZE, np.uint16)
    metres = 1 / (SCALE * d_of(image) + SHIFT)
    depth[::3, ::5] = (metres[::3, ::5] * 5000).round().astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "lidar.png"), depth)
    shown = save(tmp_path, "room.png", image)
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    outcome = depthrt(
        "scale", model, shown, "--lidar", tmp_path / "lidar.png", "--lidar-unit", "0.0002",
        "-o", target, "--json",
    )  # fmt: skip
    about = outcome.document
    assert about["fit"]["scale"] == pytest.approx(SCALE, rel=1e-3)
    assert about["point_count"] == len(about["points"]) == 16 * 13
    assert len(about["spec"]["provenance"]["metres"]["points"]) == 100
    assert about["error"]["left_out"] == "group of points"


def test_nothing_is_overwritten_unasked(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    shown = save(tmp_path, "room.png", image)
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    target.write_bytes(b"dear to somebody")
    command = ("scale", model, shown, *tape(image), "-o", target)
    outcome = depthrt(*command)
    assert outcome.code == 2
    assert outcome.complaint == f"{target} exists: give another output or --overwrite"
    assert target.read_bytes() == b"dear to somebody"
    assert depthrt(*command, "--overwrite").code == 0
    assert DepthModel.load(target).spec.unit == "m"
    for read in (model, shown):
        before = read.read_bytes()
        outcome = depthrt(*command[:-1], read.with_suffix(".onnx"), "--overwrite")
        assert outcome.code in (0, 2)
        assert read.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "metric.onnx", "room.onnx", "room.png", "tiny.onnx"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "no distance is given: say --at X,Y=METRES, --points or --lidar"),
        (["--at", "64,3=2", *tape(picture())], 2, "room.png (64, 3) lies outside the picture"),
        (["--at", "3,-1=2", *tape(picture())], 2, "room.png (3, -1) lies outside the picture"),
        (tape(picture(), PIXELS[:2]), 2, "2 points cannot tell"),
        (["--lidar", "a.png", "--lidar", "b.png"], 2, "2 --lidar for 1 pictures: give one for"),
        (["--points", "none.csv"], 2, "none.csv cannot be read as CSV"),
        ([*tape(picture()), "--farthest", "nan"], 2, "--farthest nan is not a number of metres"),
        ([*tape(picture()), "--max-error", "0"], 3, "the points do not fit the model: AbsRel of a"),
        ([*tape(picture()), "--max-error", "0"], 3, "raise --max-error; worst points: room.png ("),
        ([*tape(picture()), "second.png"], 2, "--at is a pixel of one picture, and 2 are named"),
    ],
)  # fmt: skip
def test_refusals(
    depthrt: Command, tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    shown = save(tmp_path, "room.png", picture())
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    outcome = depthrt("scale", model, shown, *words, "-o", target)
    assert outcome.code == code
    assert sentence in outcome.complaint
    assert not target.exists()


def test_other_files_that_are_none(depthrt: Command, tmp_path: Path) -> None:
    shown = save(tmp_path, "room.png", picture())
    model = build_model(tmp_path / "tiny.onnx")
    at = tape(picture())
    for command, sentence in (
        ((model, shown, *at, "-o", tmp_path / "metric.pt"), "does not end in .onnx"),
        ((model, tmp_path / "no.png", *at, "-o", tmp_path / "m.onnx"), "no.png cannot be read"),
        ((model, model, *at, "-o", tmp_path / "m.onnx"), "is no image that can be decoded"),
        ((shown, shown, *at, "-o", tmp_path / "m.onnx"), "room.png"),
        (("nothing", shown, *at, "-o", tmp_path / "m.onnx"), "no model file and no built-in"),
    ):
        outcome = depthrt("scale", *command)
        assert outcome.code == 2
        assert sentence in outcome.complaint
    assert sorted(p.name for p in tmp_path.iterdir()) == ["room.png", "tiny.onnx"]


def test_neither_torch_nor_a_missing_onnx(tmp_path: Path) -> None:
    shown = save(tmp_path, "room.png", picture())
    model = build_model(tmp_path / "tiny.onnx")
    words = ["scale", str(model), str(shown), *tape(picture()), "-o", str(tmp_path / "m.onnx")]
    code = (
        "import sys, importlib.util as u\n"
        "from depthrt.cli import main\n"
        "sys.argv = ['depthrt', *{words!r}]\n"
        "{before}\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    print('torch' in sys.modules, end.code)\n"
    )
    gone = "find = u.find_spec; u.find_spec = lambda n, *a: None if n == 'onnx' else find(n, *a)"
    for before, said in (("", "False 0"), (gone, "False 2")):
        script = code.format(words=words, before=before)
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == said, done.stderr
    assert "onnx, which scale needs, is not installed: pip install" in done.stderr
    assert "[onnx]" in done.stderr


def test_the_json_has_no_path_in_the_spec(depthrt: Command, tmp_path: Path) -> None:
    shown = save(tmp_path, "room.png", picture())
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    document = depthrt("scale", model, shown, *tape(picture()), "-o", target, "--json").document
    assert document["output"] == str(target)
    assert str(tmp_path) not in json.dumps(document["spec"])
