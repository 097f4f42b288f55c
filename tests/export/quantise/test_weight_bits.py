"""int8 is summed exactly on every processor, whatever it was made for."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt.errors import ProviderError, UsageError
from depthrt.model.providers import SessionOptions
from depthrt.model.session import needs_exact_sums, open_session
from depthrt.spec import WEIGHT_BITS_KEY
from depthrt.system import cpu_features
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.model_file import write_model
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.quantise import targets
from depthrt_export.quantise.recipes import DynamicRecipe, StaticRecipe
from depthrt_export.quantise.static_int8 import Int8Recipe, quantise
from depthrt_export.quantise.targets import int8_recipe
from depthrt_export.report.export_report import Report
from helpers.commands import Command

UNET = f"{Path(__file__).parents[2] / 'networks' / 'small_unet.py'}:small_unet"
WHITE = np.full((1, 3, 16, 16), 255, np.uint8)


def bright(folder: Path, *, reduce_range: bool) -> Path:
    """A convolution of white pixels and equal weights: its sums are as large as they can be."""
    constants = {
        "first": np.full((4, 3, 3, 3), 0.01, np.float32),
        "last": np.full((1, 4, 1, 1), 1.0, np.float32),
        "axes": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], "cast", to=TensorProto.FLOAT),
        node("Conv", ["pixels", "first"], ["a"], "first/Conv"),
        node("Conv", ["a", "last"], ["b"], "last/Conv"),
        node("Squeeze", ["b", "axes"], ["depth"], "squeeze"),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 14, 14])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    ranges = {"pixels": (0.0, 255.0), "a": (0.0, 80.0), "b": (0.0, 320.0)}
    recipe = Int8Recipe(reduce_range=reduce_range)
    path = folder / "bright.onnx"
    write_model(quantise(model, ranges, recipe, (0.0,)).model, path)
    return path


def depth(session: ort.InferenceSession) -> NDArray[np.float32]:
    return np.asarray(session.run(["depth"], {"image": WHITE})[0])


@pytest.mark.parametrize("reduce_range", [False, True])
def test_large_sums_are_not_cut_off(tmp_path: Path, reduce_range: bool) -> None:
    session = open_session(bright(tmp_path, reduce_range=reduce_range), SessionOptions("cpu"))
    np.testing.assert_allclose(depth(session), 4 * 27 * 255 * 0.01, rtol=0.005)


def test_seven_bits_need_no_depthrt_to_be_exact(tmp_path: Path) -> None:
    path = bright(tmp_path, reduce_range=True)
    bare = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(depth(bare), 4 * 27 * 255 * 0.01, rtol=0.005)


@pytest.mark.parametrize("saturates", [False, True])
def test_who_needs_exact_sums(
    tmp_path: Path, unet: Report, saturates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs(path: Path) -> bool:
        return needs_exact_sums(ort.InferenceSession(str(path)))

    monkeypatch.setattr(cpu_features, "sums_saturate", lambda: saturates)
    assert needs(bright(tmp_path, reduce_range=False)) is saturates
    assert needs(bright(tmp_path, reduce_range=True)) is False
    assert needs(unet.target) is False, "float32 has no int8 to sum"
    old = onnx.load(unet.target)  # int8 files of before the entry
    spec = old.metadata_props[0].value.replace('"precision": "float32"', '"precision": "int8"')
    helper.set_model_props(old, {"depthrt": spec})
    write_model(old, tmp_path / "old.onnx")
    assert needs(tmp_path / "old.onnx") is saturates
    helper.set_model_props(old, {})
    write_model(old, tmp_path / "nobodys.onnx")
    assert needs(tmp_path / "nobodys.onnx") is saturates


class Bound:
    """A session that OpenVINO's provider took, of a file with this metadata."""

    def __init__(self, metadata: dict[str, str]) -> None:
        self.custom_metadata_map = metadata

    def get_providers(self) -> list[str]:
        return ["OpenVINOExecutionProvider"]

    def get_modelmeta(self) -> Bound:
        return self


@pytest.mark.parametrize(
    ("metadata", "refused"),
    [
        ({WEIGHT_BITS_KEY: "8"}, True),
        ({WEIGHT_BITS_KEY: "7"}, False),
        ({"depthrt": '{"precision": "int8"}'}, True),
        ({"depthrt": '{"precision": "float32"}'}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("saturates", [False, True])
def test_openvino_is_refused_where_it_would_cut_sums_off(
    tmp_path: Path,
    metadata: dict[str, str],
    refused: bool,
    saturates: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    monkeypatch.setattr(cpu_features, "sums_saturate", lambda: saturates)
    monkeypatch.setattr(ort, "InferenceSession", lambda *_, **__: Bound(metadata))
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["OpenVINOExecutionProvider"])
    if refused and saturates:
        with pytest.raises(ProviderError, match=r"no VNNI: a\.onnx has 8-bit weights; export it"):
            open_session(tmp_path / "a.onnx", SessionOptions("openvino"))
    else:
        assert isinstance(open_session(tmp_path / "a.onnx", SessionOptions("openvino")), Bound)


@pytest.mark.slow
@pytest.mark.parametrize(("saturates", "bits"), [(False, 8), (True, 7)])
def test_an_export_has_the_weights_that_suit_this_cpu(
    tmp_path: Path,
    frames: str,
    saturates: bool,
    bits: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cpu_features, "sums_saturate", lambda: saturates)
    said = SourceOptions(mean=(116.0,) * 3, std=(58.0,) * 3, scale=1.0)
    options = ExportOptions(precision="int8", frames=frames)
    report = build(UNET, tmp_path / "unet.onnx", said, options, Phases(quiet=True))
    model = onnx.load(report.target)
    assert {p.key: p.value for p in model.metadata_props}[WEIGHT_BITS_KEY] == str(bits)
    assert report.spec.measured["int8"]["weight_bits"] == bits
    assert any("7 bits" in note for note in report.notes) is (bits == 7)
    monkeypatch.setattr(cpu_features, "sums_saturate", lambda: True)
    shown = Command(capfd, monkeypatch)(
        "info", report.target, "--provider", "cpu", "--json"
    ).document
    assert shown["weight_bits"] == bits
    assert (shown["int8_sums"] is None) is (bits == 7), "it says where it is slow"
    weights = [
        numpy_helper.to_array(i)
        for i in model.graph.initializer
        if i.data_type == TensorProto.INT8 and len(i.dims) == 4
    ]
    assert max(int(np.abs(w.astype(int)).max()) for w in weights) == (64 if bits == 7 else 127)


def test_the_search_tries_what_this_cpu_sums_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_features, "sums_saturate", lambda: True)
    host, openvino = targets.target("host"), targets.target("openvino")
    assert host.timed
    assert "without VNNI" in host.why
    recipes = (host.convolutional, host.transformer, openvino.convolutional, openvino.transformer)
    for recipe in chain.from_iterable(recipes):
        if isinstance(recipe, DynamicRecipe) or (
            isinstance(recipe, StaticRecipe) and recipe.activations == "uint8"
        ):
            assert recipe.reduce_range, recipe.name
    assert targets.target("x86-vnni") is targets.TARGETS["x86-vnni"]
    monkeypatch.setattr(cpu_features, "sums_saturate", lambda: False)
    assert targets.target("host") is targets.TARGETS["host"]


def test_int8_is_made_for_the_target_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_features, "sums_saturate", lambda: False)
    assert int8_recipe("host") == int8_recipe("x86-vnni") == Int8Recipe()
    assert int8_recipe("x86-avx2") == Int8Recipe(reduce_range=True)
    assert int8_recipe("arm64") == Int8Recipe(activations="int8")
    with pytest.raises(UsageError, match="--target cuda runs no int8"):
        int8_recipe("cuda")
    with pytest.raises(UsageError, match="none of host"):
        int8_recipe("toaster")
