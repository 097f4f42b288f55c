"""Recipes on real graphs: what they change, and how little they lose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from depthrt.errors import UsageError
from depthrt_calibration.frames import Sample, sample_frames, split
from depthrt_export.build.build import build
from depthrt_export.build.onnx_file.from_depthrt import open_float32, pixel_zero
from depthrt_export.console import Phases
from depthrt_export.graph.nodes import blocks, constant_products, head_nodes
from depthrt_export.model_file import write_model
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.evaluator import Evaluator
from depthrt_export.quantise.recipes import (
    DynamicRecipe,
    FloatRecipe,
    Material,
    Recipe,
    StaticRecipe,
    apply,
)
from depthrt_export.quantise.smooth_quant import smooth, smoothable
from depthrt_export.quantise.targets import (
    DYNAMIC,
    DYNAMIC_CONV,
    DYNAMIC_SMOOTH,
    INT8,
    INT8_SIGNED,
    PRODUCTS,
    PRODUCTS_CONV,
    TARGETS,
    int8_recipe,
    suited,
    target,
)
from depthrt_export.report.export_report import Report

families = pytest.importorskip("experiments.quantisation.depth_families")
_OUTLIER = 30.0


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory, frames: str) -> Path:
    """A small Depth-Anything whose normalisations have outlier channels."""
    folder = tmp_path_factory.mktemp("transformer")
    target = folder / "model.onnx"
    source = families.save(families.FAMILIES["depth-anything"], folder / "source")
    options = ExportOptions(frames=frames, golden=False)  # its depth will be another
    build(str(source), target, SourceOptions(), options, Phases(quiet=True))
    model = onnx.load(target)
    constants = {i.name: i for i in model.graph.initializer}
    for norm, _ in smoothable(model.graph):
        scale = numpy_helper.to_array(constants[norm.input[1]]).copy()
        scale[:2] *= _OUTLIER
        constants[norm.input[1]].CopyFrom(numpy_helper.from_array(scale, norm.input[1]))
    onnx.save(model, target)
    return target


@pytest.fixture(scope="module")
def material(transformer: Path, frames: str) -> Material:
    model, spec = open_float32(transformer)
    calibration, _ = split(sample_frames(frames, 20, spec.input))
    return Material(model, pixel_zero(model), calibration)


@pytest.fixture(scope="module")
def judge(transformer: Path, frames: str) -> Evaluator:
    _, spec = open_float32(transformer)
    _, held_out = split(sample_frames(frames, 20, spec.input))
    return Evaluator.of(transformer, spec.kind, held_out)


def error(recipe: Recipe, material: Material, judge: Evaluator, folder: Path) -> float:
    path = folder / "made.onnx"
    write_model(apply(recipe, material).model, path)
    return float(np.mean(judge.errors(path)))


def run(model: onnx.ModelProto, pixels: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": pixels})[0])


def test_smoothing_is_exact_and_evens_channels(material: Material) -> None:
    smoothed, count = smooth(material.model, material.calibration)
    assert count == len(smoothable(material.model.graph)) == 8
    pixels = material.calibration[0].pixels[None]
    expected = run(material.model, pixels)
    np.testing.assert_allclose(
        run(smoothed, pixels), expected, atol=1e-5 * float(np.ptp(expected)), rtol=1e-5
    )
    norm, _ = smoothable(material.model.graph)[0]
    after, _ = smoothable(smoothed.graph)[0]

    def unevenness(model: onnx.ModelProto, node: onnx.NodeProto) -> float:
        scale = next(i for i in model.graph.initializer if i.name == node.input[1])
        values = np.abs(numpy_helper.to_array(scale))
        return float(values.max() / np.median(values))

    assert unevenness(smoothed, after) < unevenness(material.model, norm) / 3


@pytest.mark.parametrize("axis", [-1, 3, 2])
def test_smoothing_of_a_channels_last_convolution(axis: int) -> None:
    """N,H,W,C of a ConvNeXt block: one factor a channel, and the same result."""
    random = np.random.default_rng(4)
    scale = np.array([1, 1, 40, 1, 1, 1, 1, 1], np.float32)
    constants = {
        "kernel": random.normal(size=(8, 3, 4, 4)).astype(np.float32) / 255,
        "scale": scale if axis != 2 else np.tile(scale, (6, 1)),
        "bias": random.normal(size=8).astype(np.float32) if axis != 2 else np.zeros((6, 8), "f4"),
        "weight": random.normal(size=(8, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "kernel"], ["y"], strides=[4, 4]),
        helper.make_node("Transpose", ["y"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("LayerNormalization", ["last", "scale", "bias"], ["n"], "norm", axis=axis),
        helper.make_node("MatMul", ["n", "weight"], ["depth"]),
    ]
    graph = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 3, 16, 24])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["n", 4, 6, 1])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
        value_info=[helper.make_tensor_value_info("last", TensorProto.FLOAT, ["n", 4, 6, 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    pixels = random.integers(0, 256, (2, 3, 16, 24), dtype=np.uint8)
    smoothed, count = smooth(model, [Sample(image, "a") for image in pixels])
    assert count == (axis != 2)  # over width and channels it is no matter of channels
    np.testing.assert_allclose(run(smoothed, pixels), run(model, pixels), rtol=1e-4, atol=1e-4)
    if count:
        kept = {i.name: numpy_helper.to_array(i) for i in smoothed.graph.initializer}
        after = kept[smoothed.graph.node[3].input[1]]
        assert after.shape == (8,)
        assert after.max() / np.median(after) < 20


@pytest.mark.parametrize(
    ("recipe", "allowed"),
    [(DYNAMIC_SMOOTH, 0.02), (DYNAMIC_CONV, 0.05), (PRODUCTS, 0.05), (PRODUCTS_CONV, 0.05)],
)
def test_products_of_a_transformer(
    recipe: Recipe, allowed: float, material: Material, judge: Evaluator, tmp_path: Path
) -> None:
    assert 0 < error(recipe, material, judge, tmp_path) < allowed


def test_smoothing_saves_what_outliers_take(
    material: Material, judge: Evaluator, tmp_path: Path
) -> None:
    plain = error(DYNAMIC, material, judge, tmp_path)
    assert error(DYNAMIC_SMOOTH, material, judge, tmp_path) < plain / 1.5


def test_every_product_with_a_constant_is_quantised(material: Material) -> None:
    model = apply(PRODUCTS_CONV, material).model
    makers = {name: node for node in model.graph.node for name in node.output}
    head = head_nodes(material.model.graph)  # 1x1, to one channel: a product too, in float
    products = [n for n in model.graph.node if n.op_type == "MatMul" and n.name not in head]
    assert len(products) == len(constant_products(material.model.graph))
    assert all(makers[n.input[1]].op_type == "DequantizeLinear" for n in products)


def test_blocks_are_modules_and_hold_every_weighted_node(material: Material) -> None:
    groups = blocks(material.model.graph)
    assert {f"backbone.encoder.layer.{i}" for i in range(4)} <= set(groups)
    assert any("head" in name for name in groups)
    held = {node for nodes in groups.values() for node in nodes}
    assert set(constant_products(material.model.graph)) <= held
    assert sum(map(len, groups.values())) == len(held)


def test_float_nodes_stay_float(unet: Report, frames: str) -> None:
    model, spec = open_float32(unet.target)
    calibration = sample_frames(frames, 10, spec.input)
    material = Material(model, pixel_zero(model), calibration)
    groups = blocks(model.graph)
    name = next(n for n in groups if "coarse" in n)
    applied = apply(INT8, material, groups[name])
    weights = {i.name: i.data_type for i in applied.model.graph.initializer}
    for node in applied.model.graph.node:
        if node.name in groups[name] and node.op_type == "Conv":
            assert weights[node.input[1]] == TensorProto.FLOAT
    assert set(applied.float_nodes) >= {n for n in groups[name] if "Conv" in n}
    assert applied.precision == "int8"


def test_signed_activations_have_zero_points_of_zero(unet: Report, frames: str) -> None:
    model, spec = open_float32(unet.target)
    material = Material(model, pixel_zero(model), sample_frames(frames, 10, spec.input))
    made = apply(INT8_SIGNED, material).model
    constants = {i.name: numpy_helper.to_array(i) for i in made.graph.initializer}
    points = [constants[n.input[2]] for n in made.graph.node if n.op_type == "QuantizeLinear"]
    assert points
    assert all(p.dtype == np.int8 and not p.any() for p in points)


@pytest.mark.slow
def test_float32_that_a_search_keeps_suits_its_target_too(
    transformer: Path, frames: str, tmp_path: Path
) -> None:
    target = tmp_path / "kept.onnx"
    options = ExportOptions(frames=frames, precision="auto", target="openvino", max_drop=1e-9)
    report = build(str(transformer), target, SourceOptions(), options, Phases(quiet=True))
    assert "the float32 model was kept" in report.refusal
    kinds = [{node.op_type for node in onnx.load(p).graph.node} for p in (transformer, target)]
    assert ["MultiHeadAttention" in each for each in kinds] == [True, False]
    assert report.proof.figures["mean_error"] < 1e-5


def test_nothing_to_do_is_said(unet: Report, frames: str) -> None:
    model, spec = open_float32(unet.target)
    material = Material(model, pixel_zero(model), sample_frames(frames, 2, spec.input))
    with pytest.raises(UsageError, match="no product with constant weights"):
        apply(DynamicRecipe("dynamic"), material)


@pytest.mark.parametrize("recipe", [FloatRecipe(), PRODUCTS_CONV], ids=["float32", "int8"])
def test_openvino_gets_attention_that_it_knows(recipe: Recipe, material: Material) -> None:
    made = apply(recipe, material).model
    assert suited(made, "cpu") is made
    written = suited(made, "openvino, bf16")
    kinds = [{node.op_type for node in model.graph.node} for model in (made, written)]
    assert "MultiHeadAttention" in kinds[0]
    assert kinds[1] - kinds[0] == {"Softmax", "Mul"}
    assert "MultiHeadAttention" not in kinds[1]
    pixels = material.calibration[0].pixels[None]
    expected = run(made, pixels)
    difference = np.abs(run(written, pixels) - expected)
    # Of int8, sums in another order round to the neighbouring level here and there.
    assert difference.mean() < (1e-6 if recipe == FloatRecipe() else 2e-3) * np.ptp(expected)


def test_every_target_says_why_and_suits_both_kinds(material: Material, unet: Report) -> None:
    convolutions = onnx.load(unet.target).graph
    for preset in TARGETS.values():
        assert preset.why
        assert preset.recipes(material.model.graph) == preset.transformer
        assert preset.recipes(convolutions) == preset.convolutional
    fused, *others = TARGETS["host"].recipes(convolutions, "openvino")
    assert isinstance(fused, StaticRecipe)
    assert fused.fused
    assert [r.name for r in others] == [r.name for r in target("openvino").convolutional[1:]]
    for provider in ("openvino", "openvino, bf16"):
        offered = TARGETS["host"].recipes(material.model.graph, provider)
        assert offered == target("openvino").transformer
        assert not any(isinstance(r, DynamicRecipe) for r in offered)  # 1.6 of float32's time
    assert TARGETS["openvino"].convolutional[0] == replace(
        INT8, name=f"{INT8.name}, activations fused", fused=True
    )
    assert int8_recipe("openvino").fused
    assert {t.name: t.provider for t in TARGETS.values() if t.provider != "cpu"} == {
        name: name for name in ("cuda", "tensorrt", "openvino")
    }
    assert [t.name for t in TARGETS.values() if t.timed] == ["host"]
