"""int8: what the graph is made of, and that it still sees the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt.errors import UsageError
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt_export.graph.nodes import head_nodes, remove_unread
from depthrt_export.model_file import write_model
from depthrt_export.quantise.static_int8 import Int8Recipe, quantise
from depthrt_export.report.export_report import Report

RANDOM = np.random.default_rng(9)


def test_image_is_the_quantised_input_itself(unet_int8: Report) -> None:
    graph = onnx.load(unet_int8.target).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    (reader,) = [node for node in graph.node if "image" in node.input]
    assert reader.op_type == "DequantizeLinear"
    assert constants[reader.input[1]] == 1.0
    assert constants[reader.input[2]] == 116
    assert constants[reader.input[2]].dtype == np.uint8
    assert not {"Cast", "Sub", "Mul"} & {node.op_type for node in graph.node}


def test_every_convolution_but_the_head_is_quantised(unet_int8: Report) -> None:
    graph = onnx.load(unet_int8.target).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 6
    for conv in convolutions:
        weight = makers.get(conv.input[1])
        if conv.name == "head/Conv":
            assert weight is None
            continue
        assert weight is not None
        assert weight.op_type == "DequantizeLinear"
        assert constants[weight.input[0]].dtype == np.int8
        assert constants[weight.input[1]].shape == (constants[weight.input[0]].shape[0],)
        assert makers[conv.input[0]].op_type == "DequantizeLinear"
    # A Relu that a quantised range takes over is gone; the head's is left.
    assert [node.name for node in graph.node if node.op_type == "Relu"] == ["Relu"]
    assert unet_int8.spec.float_nodes[0] == "head/Conv"


def test_int8_sees_the_same_and_says_so(unet_int8: Report) -> None:
    facts = unet_int8.spec.measured["int8"]
    assert unet_int8.spec.precision == "int8"
    assert unet_int8.reference == "float32"
    assert (facts["calibration_frames"], facts["method"]) == (16, "percentile 99.99")
    assert facts["frames"] == len(unet_int8.proof.frames) == 4
    assert 0 < facts["mean_error"] < 0.02
    assert facts["worst_pearson"] > 0.99
    assert facts["sqnr_db"] > 25
    assert min(facts[key] for key in ("latency_ratio", "latency_ms", "float32_latency_ms")) > 0
    low, high = facts["latency_ratio_interval"]
    assert low <= facts["latency_ratio"] <= high
    assert unet_int8.spec.measured["proof"]["worst_max_error"] < 1e-4


def test_int8_takes_other_batches(unet_int8: Report) -> None:
    session = open_session(unet_int8.target, SessionOptions("cpu"))
    pixels = np.stack([frame.sample.pixels for frame in unet_int8.proof.frames[:3]])
    (together,) = session.run(["depth"], {"image": pixels})
    alone = [session.run(["depth"], {"image": image[None]})[0][0] for image in pixels]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-6)


def two_convolutions(zero: tuple[float, ...], pad: int = 1) -> onnx.ModelProto:
    """image -> Cast -> Sub -> Conv -> Relu -> Conv (the head) -> Squeeze, 16x16."""
    constants = {
        "pixel_zero": np.array(zero, np.float32).reshape(1, -1, 1, 1),
        "first": (RANDOM.normal(size=(8, 3, 3, 3)) / 200).astype(np.float32),
        "first_bias": RANDOM.normal(size=8).astype(np.float32),
        "last": RANDOM.normal(size=(1, 8, 1, 1)).astype(np.float32),
        "axes": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], "cast", to=TensorProto.FLOAT),
        node("Sub", ["pixels", "pixel_zero"], ["centred"], "sub"),
        node("Conv", ["centred", "first", "first_bias"], ["a"], "first/Conv", pads=[pad] * 4),
        node("Relu", ["a"], ["b"], "relu"),
        node("Conv", ["b", "last"], ["c"], "last/Conv"),
        node("Squeeze", ["c", "axes"], ["depth"], "squeeze"),
    ]
    shape = [1, 16 - 2 + 2 * pad, 16 - 2 + 2 * pad]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


RANGES = {"pixels": (0.0, 255.0), "centred": (-124.0, 152.0), "a": (-12.0, 12.0), "b": (0.0, 12.0)}


def run(model: onnx.ModelProto, image: NDArray[np.uint8], path: Path) -> NDArray[np.float32]:
    write_model(model, path)
    session = open_session(path, SessionOptions("cpu"))
    return np.asarray(session.run(None, {"image": image})[0])


def test_zeros_of_three_channels_become_one_but_for_the_border(tmp_path: Path) -> None:
    zero = (123.675, 116.28, 103.53)
    model = two_convolutions(zero)
    result = quantise(model, RANGES, Int8Recipe(), zero)
    assert result.note == (
        "uint8 pixels are read directly with zero point 114; the padded border sees it for every "
        "channel"
    )
    onnx.checker.check_model(result.model, full_check=True)
    image = RANDOM.integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)
    runs = [run(m, image, tmp_path / "made.onnx") for m in (model, result.model)]
    inner = np.s_[:, 1:-1, 1:-1]
    difference = np.abs(runs[1] - runs[0])
    assert difference[inner].mean() < 0.01 * np.ptp(runs[0])


def test_what_integers_cannot_hold_stays_float(tmp_path: Path) -> None:
    model = two_convolutions((124.0,) * 3)
    graph = model.graph
    relu = next(node for node in graph.node if node.name == "relu")
    relu.input[0] = "masked"
    attributes = {"group": 2, "strides": [2, 2]}
    deconv = helper.make_node("ConvTranspose", ["a", "w", "v"], ["wide"], "deconv", **attributes)
    mask = helper.make_node("Add", ["wide", "holes"], ["masked"], "mask")
    position = list(graph.node).index(relu)
    graph.node.insert(position, deconv)
    graph.node.insert(position + 1, mask)
    holes = np.zeros((1, 1, 32, 32), np.float32)
    holes[..., :16] = -np.inf
    for name, value in {
        "w": RANDOM.normal(size=(8, 4, 2, 2)).astype(np.float32),
        "v": RANDOM.normal(size=8).astype(np.float32),
        "holes": holes,
    }.items():
        graph.initializer.append(numpy_helper.from_array(value, name))
    for side in graph.output[0].type.tensor_type.shape.dim[1:]:
        side.dim_value = 32
    ranges = {**RANGES, "wide": (-40.0, 40.0), "masked": (-np.inf, 40.0), "b": (0.0, 40.0)}
    result = quantise(model, ranges, Int8Recipe(), (124.0,))
    assert {"deconv", "mask"} <= set(result.float_nodes)
    image = RANDOM.integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)
    before, after = (run(m, image, tmp_path / "made.onnx") for m in (model, result.model))
    assert np.abs(after - before).mean() < 0.02 * np.ptp(before)


def test_head_is_all_that_follows_the_last_convolution() -> None:
    model = two_convolutions((116.0,))
    assert head_nodes(model.graph) == ("last/Conv", "squeeze")


def test_graph_without_anything_to_quantise() -> None:
    model = two_convolutions((116.0,))
    with pytest.raises(UsageError, match="no convolution that int8 could speed up"):
        quantise(model, RANGES, Int8Recipe(float_nodes=("first/Conv",)), (116.0,))


def test_model_that_came_in_is_unchanged() -> None:
    model = two_convolutions((116.0,))
    before = model.SerializeToString()
    quantise(model, RANGES, Int8Recipe(), (116.0,))
    assert model.SerializeToString() == before


def test_activations_and_the_head_are_as_openvino_runs_them_where_it_is_to(
    tmp_path: Path,
) -> None:
    model = two_convolutions((116.0,))
    (relu,) = [n for n in model.graph.node if n.op_type == "Relu"]
    relu.op_type = "HardSwish"  # not quantised: its input would have levels of its own
    ranges = {**RANGES, "b": (-0.375, 12.0), "c": (-20.0, 20.0)}
    image = RANDOM.integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)
    depth = run(model, image, tmp_path / "float.onnx")
    errors = []
    for fused in (False, True):
        made = quantise(model, ranges, Int8Recipe(fused=fused), (116.0,)).model
        onnx.checker.check_model(made, full_check=True)
        read = [n.input[0] for n in made.graph.node if n.op_type == "QuantizeLinear"]
        assert ("a" in read) is not fused
        assert "c" not in read  # depth has no levels
        head = next(n for n in made.graph.node if "c" in n.output)
        assert (head.input[1] != "last") is fused  # its weights do, where that is faster
        kinds = {n.op_type for n in made.graph.node}
        assert ("SpaceToDepth" in kinds) <= (not fused)
        errors.append(np.abs(run(made, image, tmp_path / "made.onnx") - depth).mean())
    assert max(errors) < 0.02 * np.ptp(depth)
    recipe = Int8Recipe(fused=True, float_nodes=("last/Conv",))  # the activations alone
    made = quantise(model, ranges, recipe, (116.0,)).model
    assert "last" in {i.name for i in made.graph.initializer}
    error = np.abs(run(made, image, tmp_path / "made.onnx") - depth).mean()
    assert error <= errors[0]


def test_joined_maps_share_a_range_where_that_is_faster(tmp_path: Path) -> None:
    model = two_convolutions((116.0,))
    last = next(n for n in model.graph.node if n.name == "last/Conv")
    last.input[0] = "joined"
    weight = RANDOM.normal(size=(1, 16, 1, 1)).astype(np.float32)
    next(i for i in model.graph.initializer if i.name == "last").CopyFrom(
        numpy_helper.from_array(weight, "last")
    )
    joined = helper.make_node("Concat", ["b", "a"], ["joined"], "join", axis=1)
    model.graph.node.insert(list(model.graph.node).index(last), joined)
    ranges = {**RANGES, "joined": (-12.0, 24.0), "c": (-20.0, 20.0)}
    for fused in (False, True):
        made = quantise(model, ranges, Int8Recipe(fused=fused), (116.0,)).model
        scales = {i.name: float(numpy_helper.to_array(i)) for i in made.graph.initializer
                  if not i.dims}  # fmt: skip
        makers = {name: node for node in made.graph.node for name in node.output}
        join = next(n for n in made.graph.node if n.op_type == "Concat")
        given = {scales[makers[name].input[1]] for name in join.input}
        (after,) = [n for n in made.graph.node if join.output[0] in n.input]
        assert (given == {scales[after.input[1]]}) is fused
        assert scales[after.input[1]] == pytest.approx(36 / 255)
        image = RANDOM.integers(0, 256, (1, 3, 16, 16), dtype=np.uint8)
        depth = run(model, image, tmp_path / "float.onnx")
        error = np.abs(run(made, image, tmp_path / "made.onnx") - depth).mean()
        assert error < 0.02 * np.ptp(depth)


def test_what_a_branch_reads_is_kept() -> None:
    node, value = helper.make_node, helper.make_tensor_value_info
    made = value("made", TensorProto.FLOAT, [1])
    branches = {
        f"{name}_branch": helper.make_graph([node("Add", ["x2", name], ["made"])], name, [], [made])
        for name in ("then", "else")
    }
    graph = helper.make_graph(
        [
            node("Add", ["x", "x"], ["x2"]),
            node("Add", ["x", "idle"], ["nobody's"]),
            node("If", ["which"], ["y"], **branches),
        ],
        "branches",
        [value("x", TensorProto.FLOAT, [1]), value("which", TensorProto.BOOL, [])],
        [value("y", TensorProto.FLOAT, [1])],
        [
            numpy_helper.from_array(np.ones(1, np.float32), name)
            for name in ("then", "else", "idle")
        ],
    )
    remove_unread(graph)
    assert [n.op_type for n in graph.node] == ["Add", "If"]
    assert [i.name for i in graph.initializer] == ["then", "else"]


def test_linear_resize_is_not_run_on_integers(unet_int8: Report) -> None:
    graph = onnx.load(unet_int8.target).graph
    scales = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    resizes = [n for n in graph.node if n.op_type == "Resize"]
    assert resizes
    for resize in resizes:
        (after,) = [n for n in graph.node if resize.output[0] in n.input]
        before = makers[resize.input[0]]
        ratio = float(scales[after.input[1]]) / float(scales[before.input[1]])
        assert ratio != 1
        assert ratio == pytest.approx(1, abs=1e-6)
        (last,) = [n for n in graph.node if after.output[0] in n.input]
        assert last.input[1] == after.input[1]
