"""What a model gives beside depth: read, checked, cut like depth, and refused where it is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from depthrt import DepthModel, InferenceError, InputSpec, ModelError, ModelSpec
from depthrt.spec import METADATA_KEY
from helpers.commands import Command
from helpers.models.full_model import BRIGHT, FOV_DEG, NORMAL, build_full_model, full_spec
from helpers.models.small_model import SIZE, build_model, build_spec, expected_depth


def picture(size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> DepthModel:
    path = build_full_model(tmp_path_factory.mktemp("full") / "full.onnx")
    return DepthModel.load(path, provider="cpu")


def test_a_picture_gets_all_that_the_file_gives(full: DepthModel) -> None:
    image = picture()
    depth = full(image)
    assert depth.confidence is not None
    assert depth.valid is not None
    assert depth.normals is not None
    np.testing.assert_allclose(depth.confidence, image[..., 1] / 255, rtol=1e-6)
    np.testing.assert_array_equal(depth.valid, image[..., 2] < BRIGHT)
    assert depth.valid.dtype == np.bool_
    np.testing.assert_array_equal(
        depth.normals, np.broadcast_to(np.array(NORMAL, np.float32)[:, None, None], (3, *SIZE))
    )
    assert depth.fov_deg == FOV_DEG


def test_depth_without_meaning_is_as_far_as_the_farthest(full: DepthModel) -> None:
    image = picture()
    depth, known = full(image), image[..., 2] < BRIGHT
    expected = expected_depth(image.transpose(2, 0, 1)[None])[0]
    np.testing.assert_allclose(depth.values[known], expected[known], rtol=1e-6)
    assert depth.values[~known] == pytest.approx(expected[known].min())  # inverse depth
    np.testing.assert_allclose(depth.known_values, expected[known], rtol=1e-6)
    assert np.isnan(depth.values_or_nan[~known]).all()
    infered = full.infer(image.transpose(2, 0, 1)[None])
    np.testing.assert_array_equal(infered[0], depth.values)


def test_a_picture_without_a_valid_pixel_is_no_error(full: DepthModel) -> None:
    depth = full(np.full((*SIZE, 3), 255, np.uint8))
    assert depth.valid is not None
    assert not depth.valid.any()
    assert not depth.values.any()


def test_depth_that_is_nan_where_it_is_valid_is_refused(tmp_path: Path) -> None:
    path = build_full_model(tmp_path / "nan.onnx")
    model = onnx.load(path)
    where = next(node for node in model.graph.node if node.op_type == "Where")
    where.input[1] = "nan"
    onnx.save(model, path)
    with pytest.raises(InferenceError, match="non-finite depth"):
        DepthModel.load(path, provider="cpu")(picture())


def test_no_angle_of_view_is_refused(tmp_path: Path) -> None:
    model = DepthModel.load(build_full_model(tmp_path / "f.onnx", fov_deg=181), provider="cpu")
    with pytest.raises(InferenceError, match="an angle of view of 181 degrees"):
        model(picture())


def test_padding_is_cut_off_and_narrows_the_view(tmp_path: Path) -> None:
    spec = replace(build_spec(), input=InputSpec(*SIZE, resize="pad"))
    model = DepthModel.load(build_full_model(tmp_path / "pad.onnx", spec=spec), provider="cpu")
    depth = model(picture((48, 32)))  # half as wide as the network
    assert depth.confidence is not None
    assert depth.valid is not None
    assert depth.normals is not None
    assert depth.values.shape == depth.confidence.shape == depth.valid.shape == (48, 32)
    assert depth.normals.shape == (3, 48, 32)
    half = math.tan(math.radians(FOV_DEG / 2)) / 2
    assert depth.fov_deg == pytest.approx(2 * math.degrees(math.atan(half)))


@pytest.mark.parametrize("batch", [2, "batch"])
def test_a_batch_gives_each_picture_its_own(tmp_path: Path, batch: int | str) -> None:
    path = build_full_model(tmp_path / "batch.onnx", batch=batch)
    model = DepthModel.load(path, provider="cpu")
    images = [picture(), picture()[::-1].copy(), picture()[:, ::-1].copy()]
    for image, depth in zip(images, model.infer_images(images), strict=True):
        assert depth.confidence is not None
        assert depth.valid is not None
        np.testing.assert_allclose(depth.confidence, image[..., 1] / 255, rtol=1e-6)
        np.testing.assert_array_equal(depth.valid, image[..., 2] < BRIGHT)
        assert depth.fov_deg == FOV_DEG


def test_maps_at_the_size_of_the_image(full: DepthModel) -> None:
    image = np.zeros((96, 128, 3), np.uint8)
    image[:, :64, 2] = 255  # the left half is sky
    image[..., 1] = 51
    depth = full(image).enlarged()
    assert depth.confidence is not None
    assert depth.valid is not None
    assert depth.normals is not None
    assert depth.values.shape == depth.confidence.shape == depth.valid.shape == (96, 128)
    assert depth.confidence == pytest.approx(np.full((96, 128), 0.2))
    assert not depth.valid[:, :65].any()  # what mixes both is invalid
    assert depth.valid[:, 66:].all()
    assert np.linalg.norm(depth.normals, axis=0) == pytest.approx(np.ones((96, 128)), abs=1e-6)


def test_a_file_without_them_gives_none(tmp_path: Path) -> None:
    depth = DepthModel.load(build_model(tmp_path / "plain.onnx"), provider="cpu")(picture())
    assert depth.confidence is depth.valid is depth.normals is depth.fov_deg is None
    assert depth.known_values is depth.values
    assert depth.values_or_nan is depth.values


def _without_valid(model: onnx.ModelProto) -> None:
    del model.graph.output[2]


def _without_depth(model: onnx.ModelProto) -> None:
    del model.graph.output[0]


def _double(model: onnx.ModelProto) -> None:
    model.graph.node.append(
        helper.make_node("Cast", ["confidence"], ["surer"], to=TensorProto.DOUBLE)
    )
    for node in model.graph.node:
        node.output[:] = [{"confidence": "x", "surer": "confidence"}.get(o, o) for o in node.output]
        node.input[:] = ["x" if i == "confidence" else i for i in node.input]
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.DOUBLE


def _unnamed(model: onnx.ModelProto) -> None:
    spec = replace(full_spec(), outputs=("confidence", "valid"))
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})


def _of_nobody(model: onnx.ModelProto) -> None:
    model.graph.output.append(
        helper.make_tensor_value_info("greens", TensorProto.FLOAT, ["batch", *SIZE])
    )


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_without_valid, "the spec names valid, but the graph gives depth, confidence, normals"),
        (_without_depth, "the graph has no output depth: it gives confidence"),
        (_double, "confidence must be a tensor(float) N,H,W, not tensor(double) of shape"),
        (_unnamed, "gives normals, fov_deg beside depth, which the spec does not name"),
        (_of_nobody, "gives greens beside depth, which the spec does not name"),
    ],
)
def test_a_graph_that_contradicts_its_spec_is_refused(
    command: Command, tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], says: str
) -> None:
    path = build_full_model(tmp_path / "bad.onnx")
    model = onnx.load(path)
    spoil(model)
    onnx.save(model, path)
    ended = command("info", path)
    assert says in ended.complaint
    assert ended.code == 2


def test_another_size_than_depth_is_refused(tmp_path: Path) -> None:
    path = build_full_model(tmp_path / "bad.onnx")
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Transpose", ["confidence"], ["t"], perm=[0, 2, 1]))
    for node in model.graph.node:
        node.output[:] = [{"confidence": "x", "t": "confidence"}.get(o, o) for o in node.output]
        node.input[:] = ["x" if i == "confidence" else i for i in node.input]
    model.graph.output[1].CopyFrom(
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["batch", 64, 48])
    )
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"confidence is \['batch', 64, 48\] for an image of"):
        DepthModel.load(path, provider="cpu")


def test_info_shows_them(command: Command, tmp_path: Path) -> None:
    found = json.loads(command("info", build_full_model(tmp_path / "f.onnx"), "--json").out)
    assert found["spec"]["schema_version"] == 2
    assert found["spec"]["outputs"] == ["confidence", "valid", "normals", "fov_deg"]
    assert found["outputs"]["valid"] == "bool (batch, 48, 64)"
    assert ModelSpec.from_json(json.dumps(found["spec"])) == full_spec()
