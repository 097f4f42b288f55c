"""What is wrong with a set, a model or an option is one sentence, and loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from depthrt.spec import METADATA_KEY
from helpers.commands import Command
from helpers.files.clips import Clip, write_clip
from helpers.files.labelled import (
    exact_depth_m,
    grey_picture,
    write_picture,
    write_png16,
    write_set,
)
from helpers.models.small_model import SIZE, build_model, build_spec


def nan_model(path: Path) -> Path:
    """The tiny network's depth, but 0/0 where the picture is blacker than 62 in red."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels", "axes"], ["grey"], keepdims=0),
            helper.make_node("Sub", ["grey", "limit"], ["over"]),
            helper.make_node("Relu", ["over"], ["clear"]),
            helper.make_node("Div", ["clear", "clear"], ["one"]),
            helper.make_node("Mul", ["grey", "one"], ["depth"]),
        ],
        "nan",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, *SIZE])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["batch", *SIZE])],
        [
            onnx.numpy_helper.from_array(np.array([1], np.int64), "axes"),
            onnx.numpy_helper.from_array(np.array(62, np.float32), "limit"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: build_spec().to_json()})
    onnx.save(model, path)
    return path


def test_a_missing_pair_is_named_and_the_rest_measured(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk")
    (folder / "depth/000002.png").unlink()
    done = command("eval", model_path, folder, "--json")
    assert done.code == 0
    assert done.document["evaluations"][0]["images"] == 5
    assert "1 of 6 pictures has no depth/NAME.png" in done.complaint
    assert "first: rgb/000002.png" in done.complaint


def test_millimetres_taken_for_metres(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", depth_unit_m=1.0, max_depth_m=60000)
    done = command("eval", model_path, folder)
    assert done.code == 0
    assert "millimetres were taken for metres (--depth-scale 0.001)" in done.complaint


def test_metres_taken_for_millimetres(command: Command, model_path: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "set/rgb/1.png", grey_picture(0))
    codes = np.tile(np.linspace(4, 2, SIZE[1]).round().astype(np.uint16), (SIZE[0], 1))
    write_png16(tmp_path / "set/depth/1.png", codes)
    done = command("eval", model_path, tmp_path / "set")
    assert done.code == 0
    assert "median of the true depth is 0.003 m" in done.complaint
    assert "--depth-scale 1" in done.complaint
    scaled = command("eval", model_path, tmp_path / "set", "--depth-scale", 1)
    assert (scaled.code, scaled.err) == (0, "")


def test_a_range_that_leaves_nothing_says_what_the_depth_is(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk", depth_unit_m=1.0)
    done = command("eval", model_path, folder)
    assert done.code == 2
    assert "10 valid pixels between 0.1 and 6 m (its median depth is" in done.complaint
    assert "--depth-scale" in done.complaint


def test_an_image_without_depth_is_skipped_and_counted(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk")
    write_png16(folder / "depth/000001.png", np.zeros(SIZE, np.uint16))
    done = command("eval", model_path, folder, "--json")
    found = done.document["evaluations"][0]
    assert (done.code, found["images"], found["skipped"]) == (0, 5, 1)
    assert "1 of 6 images have too few valid pixels and were skipped (first: 000001)" in done.err
    for number in range(6):
        write_png16(folder / f"depth/{number:06d}.png", np.zeros(SIZE, np.uint16))
    nothing = command("eval", model_path, folder)
    assert nothing.code == 2
    assert "has any valid depth" in nothing.complaint


def test_nan_is_counted_and_reported(command: Command, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk")
    done = command("eval", nan_model(tmp_path / "nan.onnx"), folder, "--json")
    assert done.code == 0, done.err
    found = done.document["evaluations"][0]
    assert found["non_finite_images"] == 6
    assert 0.005 < found["metrics"]["abs_rel"]["value"] < 0.2  # they count as the near end
    assert "NaN or infinite values" in done.complaint
    assert "in 6 of 6 images (first: 000000)" in done.complaint


def test_picture_and_depth_of_other_shapes(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk")
    square = np.rint(exact_depth_m(grey_picture(0))[:, :48] * 1e4)
    write_png16(folder / "depth/000003.png", square.astype(np.uint16))
    done = command("eval", model_path, folder)
    assert done.code == 0
    assert "differ in shape in 1 of 6 images (first: 000003)" in done.complaint


def test_a_file_that_cannot_be_read_does_not_end_it(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk")
    (folder / "rgb/000004.png").write_bytes(b"no picture")
    done = command("eval", model_path, folder)
    assert done.code == 0
    assert "1 of 6 images could not be used" in done.complaint
    assert "000004.png is no image" in done.complaint
    for number in range(6):
        (folder / f"rgb/{number:06d}.png").write_bytes(b"no picture")
    nothing = command("eval", model_path, folder)
    assert nothing.code == 2
    assert "no image of desk can be used" in nothing.complaint


def test_a_metric_model_that_gives_millimetres(command: Command, tmp_path: Path) -> None:
    write_picture(tmp_path / "set/rgb/1.png", grey_picture(0))
    (tmp_path / "set/depth").mkdir()
    np.save(tmp_path / "set/depth/1.npy", grey_picture(0)[..., 0].astype(np.float32) / 1000)
    spec = build_spec().to_json().replace('"inverse_depth"', '"depth"').replace("nearer", "farther")
    metric = build_model(tmp_path / "m.onnx", spec=spec.replace('"unit": null', '"unit": "m"'))
    done = command("eval", metric, tmp_path / "set")
    assert done.code == 0
    assert "875 times the truth" in done.complaint
    assert "does not give metres" in done.complaint


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("{model}", "{folder}", "--layout", "nyuv2"), "--layout nyuv2 is not known"),
        (("{model}", "{folder}", "--crop", "middle"), "--crop middle is not known"),
        (("{model}", "{folder}", "--align", "depth-lsq"), "tiny gives inverse depth"),
        (("{model}", "{folder}", "--min-depth", "9"), "0 < min < max"),
        (("{model}", "{folder}", "--max-depth", "inf"), "0 < min < max"),
        (("{model}", "{folder}", "--depth-scale", "0"), "--depth-scale 0"),
        (("{model}", "{folder}", "--far", "inf"), "--far inf"),
        (("{model}", "{empty}"), "none of the known layouts"),
        (("{model}", "{folder}/nowhere"), "there is no dataset at"),
        (("{folder}/no.onnx", "{folder}"), "no model file at"),
        (("{model}", "{folder}", "--compare", "{folder}/no.csv"), "no table of images"),
        (("{model}", "{folder}", "-o", "{folder}/no/where.json"), "there is no folder"),
    ],
)
def test_wrong_usage(
    command: Command,
    model_path: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    folder = write_set(tmp_path / "desk", 2)
    (tmp_path / "empty").mkdir()
    places = {"model": model_path, "folder": folder, "empty": tmp_path / "empty"}
    done = command("eval", *(word.format(**places) for word in arguments))
    assert done.code == 2
    assert sentence in done.complaint


def test_an_empty_set(command: Command, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "set/rgb").mkdir(parents=True)
    facts = {"depth_unit_m": 0.001, "min_depth_m": 0.1, "max_depth_m": 9}
    (tmp_path / "set/dataset.json").write_text(json.dumps(facts))
    done = command("eval", model_path, tmp_path / "set")
    assert done.code == 2
    assert "holds no pair: expected rgb/NAME.jpg with depth/NAME.png" in done.complaint
    (tmp_path / "set/dataset.json").write_text('{"depth_unit_m": "metre"}')
    broken = command("eval", model_path, tmp_path / "set")
    assert "does not say depth_unit_m, min_depth_m and max_depth_m" in broken.complaint


def test_coloured_pictures_of_depth(command: Command, model_path: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "set/rgb/1.png", grey_picture(0))
    write_picture(tmp_path / "set/depth/1.png", cv2.applyColorMap(grey_picture(0), 2))
    done = command("eval", model_path, tmp_path / "set")
    assert done.code == 2
    assert "is it a coloured picture of depth?" in done.complaint


def test_a_crop_that_is_larger_than_the_images(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    done = command("eval", model_path, write_set(tmp_path / "desk"), "--crop", "kitti-benchmark")
    assert done.code == 2
    assert "000000: an image of 48x64 cannot be cut to KITTI's 352x1216" in done.complaint


@pytest.mark.parametrize("most", ["nan", "inf", "-inf", "0", "-0.1"])
def test_a_gate_that_could_not_fail(
    command: Command, model_path: Path, tmp_path: Path, most: str
) -> None:
    done = command("eval", model_path, write_set(tmp_path / "desk", 1), f"--max-abs-rel={most}")
    assert done.code == 2
    assert "--max-abs-rel" in done.complaint
    assert done.out == ""


def test_a_gate_that_nothing_is_measured_for(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=3))
    done = command("eval", model_path, clip, "--max-abs-rel", 0.5)
    assert (done.code, done.out) == (2, "")
    assert "--max-abs-rel needs a labelled set" in done.complaint
    folder = write_set(tmp_path / "desk", 3, wrong=0.2)
    assert command("eval", model_path, clip, folder, "--max-abs-rel", 0.5).code == 0
    assert command("eval", model_path, clip, folder, "--max-abs-rel", 0.001).code == 3


@pytest.mark.parametrize(
    ("outputs", "pair"),
    [
        (("-o", "same", "--csv", "same"), ("--output", "--csv")),
        (("-o", "same", "--report", "./same"), ("--output", "--report")),
        (("--csv", "x/../same", "--report", "same"), ("--csv", "--report")),
        (("-o", "a.json", "--csv", "link.json"), ("--output", "--csv")),
    ],
)
def test_two_outputs_of_one_place(
    command: Command,
    model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    outputs: tuple[str, ...],
    pair: tuple[str, str],
) -> None:
    folder = write_set(tmp_path / "desk", 1)
    (tmp_path / "x").mkdir()
    (tmp_path / "link.json").symlink_to("a.json")
    monkeypatch.chdir(tmp_path)
    done = command("eval", model_path, folder, *outputs)
    assert done.code == 2
    assert "are one file" in done.complaint
    assert all(option in done.complaint for option in pair)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["desk", "link.json", "x"]


@pytest.mark.parametrize("option", ["-o", "--csv", "--report"])
def test_no_output_destroys_a_folder_or_what_is_read(
    command: Command, model_path: Path, tmp_path: Path, option: str
) -> None:
    desk = write_set(tmp_path / "desk", 1)
    (tmp_path / "results").mkdir()
    kept = tmp_path / "results/kept.txt"
    kept.write_text("work of months")
    table = tmp_path / "table.csv"
    assert command("eval", model_path, desk, "--csv", table).code == 0
    before = {path: path.read_bytes() for path in (kept, table, model_path)}
    for place in (tmp_path / "results", desk, table, model_path):
        done = command(
            "eval", model_path, desk, "--compare", table, option, place, "--overwrite"
        )  # fmt: skip
        assert done.code == 2, place
        assert str(place) in done.complaint
    assert {path: path.read_bytes() for path in before} == before
    assert (desk / "dataset.json").is_file()
