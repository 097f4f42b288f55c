"""A model whose depth `run` would refuse, or that says nothing, passes no accuracy gate."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from depthrt.spec import METADATA_KEY, InputSpec, ModelSpec
from helpers.commands import Command
from helpers.files.labelled import grey_picture, write_picture, write_png16, write_set
from helpers.models.small_model import build_model, build_spec

PASSES = ("--max-abs-rel", 0.2)


def graph_model(path: Path, nodes: list[onnx.NodeProto], values: dict[str, np.ndarray],
                spec: ModelSpec) -> Path:  # fmt: skip
    """A model from the nodes that make ``depth`` of ``pixels``, float32 N,3,h,w."""
    size = (spec.input.height, spec.input.width)
    graph = helper.make_graph(
        [helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT), *nodes],
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, *size])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["batch", *size])],
        [onnx.numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, path)
    return path


GREY = helper.make_node("ReduceMean", ["pixels", "axes"], ["grey"], keepdims=0)
AXES = np.array([1], np.int64)


def nan_model(path: Path, below: float, spec: ModelSpec | None = None) -> Path:
    """The mean of the channels, but NaN where that is not above ``below``."""
    return graph_model(
        path,
        [
            GREY,
            helper.make_node("Sub", ["grey", "limit"], ["over"]),
            helper.make_node("Relu", ["over"], ["clear"]),
            helper.make_node("Div", ["clear", "clear"], ["one"]),
            helper.make_node("Mul", ["grey", "one"], ["depth"]),
        ],
        {"axes": AXES, "limit": np.array(below, np.float32)},
        spec or build_spec(),
    )


def test_frames_that_run_would_refuse_fail(command: Command, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 3)
    picture = grey_picture(0)
    picture[:5, :5] = 10  # of this picture alone, and where its depth is unknown
    write_picture(folder / "rgb/000001.png", picture)
    codes = np.asarray(cv2.imread(str(folder / "depth/000001.png"), -1), np.uint16)
    codes[:8, :8] = 0
    write_png16(folder / "depth/000001.png", codes)
    model = nan_model(tmp_path / "nan.onnx", 20)
    assert (
        command("run", folder / "rgb/000001.png", "-m", model, "-o", tmp_path / "o.png").code == 1
    )
    done = command("eval", model, folder, *PASSES, "--min-images", 1, "--json")
    assert done.code == 3
    assert (
        "NaN or infinite values in 1 of 3 images, which `depthrt run` refuses (first: 000001)"
        in (done.err.splitlines()[-1])
    )
    (judged,) = done.document["gate"]["sets"]
    assert judged["judged"] == 2
    fine = nan_model(tmp_path / "fine.onnx", 5)
    assert command("eval", fine, folder, *PASSES).code == 0


@pytest.mark.parametrize("options", [(), ("--flip",)])
def test_nan_in_the_padding_is_refused_as_by_run(
    command: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    folder = write_set(tmp_path / "desk", 3)
    spec = ModelSpec("padded", "inverse_depth", InputSpec(64, 64, resize="pad"))
    numbers = {"first": 0, "start": 50, "end": 64, "rows": 1}  # the picture ends at row 48
    model = graph_model(
        tmp_path / "padded.onnx",
        [
            GREY,
            helper.make_node("Slice", ["grey", "first", "start", "rows"], ["head"]),
            helper.make_node("Slice", ["grey", "start", "end", "rows"], ["tail"]),
            helper.make_node("Sub", ["tail", "tail"], ["zero"]),
            helper.make_node("Div", ["zero", "zero"], ["nan"]),
            helper.make_node("Concat", ["head", "nan"], ["depth"], axis=1),
        ],
        {"axes": AXES, **{name: np.array([value], np.int64) for name, value in numbers.items()}},
        spec,
    )
    assert (
        command("run", folder / "rgb/000001.png", "-m", model, "-o", tmp_path / "o.png").code == 1
    )
    done = command("eval", model, folder, *PASSES, *options)
    assert done.code == 3
    assert "NaN or infinite values in 3 of 3 images" in done.err.splitlines()[-1]


def test_a_dead_model_does_not_pass(command: Command, tmp_path: Path) -> None:
    """One value everywhere; least squares make it the truth's mean, which is not far off here."""
    folder = write_set(tmp_path / "desk", 3)
    dead = build_model(tmp_path / "dead.onnx", gain=0.0)
    done = command("eval", dead, folder, "--max-abs-rel", 0.9, "--json")
    assert done.document["evaluations"][0]["metrics"]["abs_rel"]["value"] < 0.9
    assert done.code == 3
    assert "0 of 3 images could be judged" in done.err
    assert "the predicted depth is one value" in done.err


@pytest.mark.parametrize("align", ["disparity-lsq", "median"])
def test_a_model_that_sees_near_as_far_does_not_pass(
    command: Command, tmp_path: Path, align: str
) -> None:
    folder = write_set(tmp_path / "desk", 3)
    turned = build_model(tmp_path / "turned.onnx", gain=-1.0)
    done = command("eval", turned, folder, "--max-abs-rel", 0.01, "--align", align)
    assert done.code == 3
    says = {
        "disparity-lsq": "the fit turned near and far round in 3 of 3 images",
        "median": "the median of the predicted depth is no number above 0",
    }
    assert says[align] in done.err.splitlines()[-1]
