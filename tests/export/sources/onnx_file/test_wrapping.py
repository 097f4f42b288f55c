"""Files of many forms, wrapped, against the same files run by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from depthrt_export.options import ExportOptions
from depthrt_export.sources.onnx_file.reading import opset_of
from experiments.foreign_onnx.variant import Variant
from helpers.models.foreign_onnx import SAID, error, pixels, wrap

EXACT = 1e-5
SILENT = dataclasses.replace(SAID, mean=None, std=None, scale=None)
"""Of a file whose graph tells by itself what it expects of pixels."""


def contract(model: onnx.ModelProto) -> tuple[object, ...]:
    (image,), (depth,) = model.graph.input, model.graph.output
    return (
        image.name,
        image.type.tensor_type.elem_type,
        depth.name,
        depth.type.tensor_type.elem_type,
    )


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20])
def test_every_opset_is_raised_to_twenty(opset: int, tmp_path: Path, frames: str) -> None:
    made = wrap(Variant("plain", opset), tmp_path, frames)
    image = pixels()
    expected = made.own(image.astype(np.float32) / 255)[:, 0]
    assert error(made.depth(image), expected) < EXACT
    assert opset_of(made.wrapped.model) == 20
    wanted = ("image", TensorProto.UINT8, "depth", TensorProto.FLOAT)
    assert contract(made.wrapped.model) == wanted
    assert made.wrapped.zero == (0.0,)  # folded: int8 can read pixels directly


def test_channels_last_uint8_and_preprocessing_inside(tmp_path: Path, frames: str) -> None:
    variant = Variant("", 11, "N,H,W,3", "uint8", inside="ImageNet of 0..255")
    made = wrap(variant, tmp_path, frames, SILENT)
    image = pixels()
    expected = made.own(np.ascontiguousarray(image.transpose(0, 2, 3, 1)))[:, 0]
    assert error(made.depth(image), expected) < EXACT
    assert [n.op_type for n in made.wrapped.model.graph.node][:3] == ["Cast", "Sub", "Conv"]
    assert made.wrapped.zero == pytest.approx((123.675, 116.28, 103.53), rel=1e-5)
    assert made.known.notes == ("input: pixels 0..255 as they are: the file takes uint8",)


def test_blue_first_is_folded_into_the_first_convolution(tmp_path: Path, frames: str) -> None:
    said = dataclasses.replace(SAID, bgr=True, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    made = wrap(Variant("bgr", bgr=True), tmp_path, frames, said)
    image = pixels()
    mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (said.mean, said.std))
    fed = (image.astype(np.float32) / 255 - mean) / std
    expected = made.own(np.ascontiguousarray(fed[:, ::-1]))[:, 0]
    assert error(made.depth(image), expected) < EXACT
    assert error(made.depth(image), made.own(fed)[:, 0]) > 0.05
    assert all(node.op_type != "Gather" for node in made.wrapped.model.graph.node)
    assert "channels" not in made.known.network.assumed


@pytest.mark.parametrize("layout", ["N,1,H,W", "N,H,W", "N,H,W,1", "H,W", "H,W,1"])
@pytest.mark.parametrize("opset", [11, 17])
def test_depth_at_a_quarter_is_enlarged_in_the_graph(
    layout: str, opset: int, tmp_path: Path, frames: str
) -> None:
    made = wrap(Variant("", opset, layout=layout, shrink=4), tmp_path, frames)
    image = pixels()
    small = made.own(image.astype(np.float32) / 255).reshape(16, 24)
    expected = cv2.resize(small.astype(np.float32), (96, 64), interpolation=cv2.INTER_LINEAR)
    assert error(made.depth(image)[0], expected) < EXACT


@pytest.mark.parametrize("axes", ["3,H,W", "H,W,3"])
def test_a_file_without_a_batch(axes: str, tmp_path: Path, frames: str) -> None:
    made = wrap(Variant("", axes=axes, layout="H,W"), tmp_path, frames)
    image = pixels()
    fed = image[0].astype(np.float32) / 255
    own = made.own(np.ascontiguousarray(fed.transpose(1, 2, 0)) if axes == "H,W,3" else fed)
    assert error(made.depth(image)[0], own) < EXACT


def test_an_open_batch_stays_open(tmp_path: Path, frames: str) -> None:
    made = wrap(Variant("", batch=None, shrink=4), tmp_path, frames)
    assert made.wrapped.shape.batch is None
    image = pixels(3)
    together = made.depth(image)
    assert together.shape == (3, 64, 96)
    assert error(together[2], made.depth(image[2:])[0]) < EXACT


def test_a_fixed_batch_becomes_one_where_the_graph_allows_it(tmp_path: Path, frames: str) -> None:
    made = wrap(Variant("", batch=4), tmp_path, frames)
    assert made.depth(pixels()).shape == (1, 64, 96)


def test_a_fixed_batch_that_the_graph_holds_is_kept(tmp_path: Path, frames: str) -> None:
    variant = Variant("", batch=4, more=("batch of 4 in a reshape",))
    made = wrap(variant, tmp_path, frames)
    image = pixels(4)
    expected = made.own(image.astype(np.float32) / 255)[:, 0]
    assert error(made.depth(image), expected) < EXACT
    assert any(note.startswith("its batch of 4 is kept") for note in made.wrapped.notes)


def test_a_batch_whose_pictures_are_mixed_is_fixed_at_one(tmp_path: Path, frames: str) -> None:
    made = wrap(Variant("", batch=None, more=("mixing",)), tmp_path, frames)
    assert made.wrapped.shape.batch == 1
    assert "depends on the other pictures of its batch" in made.wrapped.notes[0]


def test_an_open_size_is_fixed_unless_it_is_to_stay(tmp_path: Path, frames: str) -> None:
    said = dataclasses.replace(SAID, size=(64, 96), multiple_of=4)
    variant = Variant("", batch=None, size_open=True, shrink=4)
    made = wrap(variant, tmp_path, frames, said)
    assert made.wrapped.shape.axes == ["batch", 64, 96]
    options = ExportOptions(vary=frozenset({"size"}))
    made = wrap(variant, tmp_path, frames, said, options)
    assert made.wrapped.shape.axes == ["batch", "height", "width"]
    sizes = {v.size for v in made.wrapped.proof.variations}
    assert sizes == {(48, 120), (80, 72)}


@pytest.mark.parametrize(
    ("inside", "scale"),
    [("/255", 1.0), ("-1..1", 1.0), ("less mean", 1.0), ("ImageNet", 1 / 255)],
)
def test_the_first_nodes_tell_what_the_graph_wants(
    inside: str, scale: float, tmp_path: Path, frames: str
) -> None:
    variant = Variant("", inside=inside, axes="N,H,W,3")  # type: ignore[arg-type]
    made = wrap(variant, tmp_path, frames, SILENT)
    assert made.known.network.normalisation.scale == pytest.approx(scale)
    assert "input" not in made.known.network.assumed
    image = pixels()
    fed = np.ascontiguousarray(image.astype(np.float32).transpose(0, 2, 3, 1)) * np.float32(scale)
    assert error(made.depth(image), made.own(fed)[:, 0]) < EXACT


@pytest.mark.parametrize(
    "more",
    ["weights among inputs", "weights as constants", "external data", "taken names",
     "unread input", "function", "TorchScript's names", "features beside"],
)  # fmt: skip
def test_peculiar_files(more: str, tmp_path: Path, frames: str) -> None:
    made = wrap(Variant("", 13, more=(more,)), tmp_path, frames)
    plain = wrap(Variant("", 13), tmp_path, frames)
    image = pixels()
    assert error(made.depth(image), plain.depth(image)) < EXACT
    if more == "TorchScript's names":
        names = {node.name for node in made.wrapped.model.graph.node}
        assert any(name.startswith("encoder.blocks.1/") for name in names)
    if more == "features beside":
        assert "beside it: " in made.known.network.assumed["output"]


@pytest.mark.parametrize(
    ("how", "precision"), [("qdq", "int8"), ("qoperator", "int8"), ("dynamic", "int8_dynamic")]
)
def test_quantised_files_are_wrapped_bit_by_bit(
    how: str, precision: str, tmp_path: Path, frames: str
) -> None:
    variant = Variant("", quantised=how, network="attention")
    said = dataclasses.replace(SAID, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    made = wrap(variant, tmp_path, frames, said)
    assert made.task.as_it_is == precision
    assert made.wrapped.proof.figures["worst_max_error"] == 0
    assert {p.key: p.value for p in made.wrapped.model.metadata_props} == {
        "depthrt_weight_bits": "8"
    }


def test_float16_is_raised_or_kept(tmp_path: Path, frames: str) -> None:
    variant = Variant("", half=True, element="float16")
    raised = wrap(variant, tmp_path, frames)
    assert raised.task.as_it_is is None
    assert all(t.data_type != TensorProto.FLOAT16 for t in raised.wrapped.model.graph.initializer)
    image = pixels()
    expected = raised.own((image.astype(np.float32) / 255).astype(np.float16))[:, 0]
    assert error(raised.depth(image), expected) < 0.03
    kept = wrap(variant, tmp_path, frames, options=ExportOptions(precision="float16"))
    assert kept.task.as_it_is == "float16"
    weights = {t.data_type for t in kept.wrapped.model.graph.initializer if len(t.dims) == 4}
    assert TensorProto.FLOAT16 in weights
