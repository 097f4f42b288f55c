"""A model that is loaded is checked once: wrong depth is refused, right depth costs one run."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import depthrt.model.session
from depthrt import DepthModel
from depthrt.errors import AccuracyGateError, ModelError
from depthrt.files.user_cache import user_cache
from depthrt.model.golden.entry import Tolerance
from depthrt.spec import METADATA_KEY, WEIGHT_BITS_KEY
from depthrt.system import cpu_features
from helpers.models.golden_models import (
    SIZE,
    StandIns,
    build_golden_model,
    changed,
    golden_frames,
    load,
    put_golden,
)
from helpers.models.small_model import build_model, build_spec

Depth = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test begins on a machine that has seen no file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "depthrt" / "verified"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model with golden frames."""
    return build_golden_model(tmp_path / "golden.onnx")


def right(pixels: Pixels, depth: Depth) -> Depth:
    return depth


def slightly_wrong(pixels: Pixels, depth: Depth) -> Depth:
    return np.asarray(depth + 0.02 * (depth.max() - depth.min()), np.float32)


def test_depth_is_checked_once(
    path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = StandIns(monkeypatch, right)
    load(path)
    assert opened.runs == 1
    assert len(list(own_cache.iterdir())) == 1
    load(path)
    DepthModel.load(path, provider="cpu", threads=2, objective="throughput")  # the same numbers
    assert opened.runs == 1


def test_a_renamed_file_is_known_and_a_changed_one_is_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = StandIns(monkeypatch, right)
    load(path)
    moved = path.rename(path.with_name("moved.onnx"))
    load(moved)
    assert opened.runs == 1
    os.utime(moved, (1, 1))
    load(moved)
    assert opened.runs == 2


def test_another_onnxruntime_checks_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = StandIns(monkeypatch, right)
    load(path)
    monkeypatch.setattr(depthrt.model.session.import_onnxruntime(), "__version__", "9.9.9")
    load(path)
    assert opened.runs == 2


def test_another_processor_checks_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = StandIns(monkeypatch, right)
    load(path)
    monkeypatch.setattr(cpu_features, "name", lambda: "Another 9000")
    load(path)
    assert opened.runs == 2


def test_wrong_depth_is_refused_with_the_way_out(
    path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = StandIns(monkeypatch, slightly_wrong)
    for run in (1, 2):  # it is not noted as checked
        with pytest.raises(AccuracyGateError) as refused:
            load(path)
        assert opened.runs == run
    said = str(refused.value)
    assert said.startswith(f"provider cpu gives wrong depth for {path} on this machine (golden ")
    assert "allowed 0.001" in said
    for way in ("--provider", "--target", "DEPTHRT_VERIFY=0", f"`depthrt verify {path} "):
        assert way in said
    assert not own_cache.exists()


def test_auto_refuses_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIns(monkeypatch, slightly_wrong)
    with pytest.raises(AccuracyGateError, match="wrong depth"):
        DepthModel.load(path)


def test_depth_that_is_not_finite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIns(monkeypatch, lambda pixels, depth: np.full_like(depth, math.nan))
    with pytest.raises(AccuracyGateError, match=r"100\.0% non-finite"):
        load(path)


def test_the_check_can_be_turned_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = StandIns(monkeypatch, slightly_wrong)
    DepthModel.load(path, provider="cpu", verify=False)
    monkeypatch.setenv("DEPTHRT_VERIFY", "0")
    load(path)
    assert opened.runs == 0
    monkeypatch.setenv("DEPTHRT_VERIFY", "1")
    with pytest.raises(AccuracyGateError):
        load(path)


def test_a_cache_that_cannot_be_written_means_a_check_at_every_load(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    opened = StandIns(monkeypatch, right)
    load(path)
    load(path)
    assert opened.runs == 2


def test_without_golden_frames_nothing_is_checked(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = StandIns(monkeypatch, slightly_wrong)
    load(build_model(tmp_path / "plain.onnx"))
    assert opened.runs == 0
    assert not own_cache.exists()


def test_a_fixed_batch_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put_golden(build_model(tmp_path / "four.onnx", batch=4), golden_frames().to_json())
    opened = StandIns(monkeypatch, right)
    load(path)
    assert opened.runs == 1


def test_changed_golden_frames_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = golden_frames().to_json().replace('"frame 0"', '"frame 9"')
    path = put_golden(build_model(tmp_path / "changed.onnx"), text)
    with pytest.raises(ModelError, match=r"changed since they were proven.*DEPTHRT_VERIFY=0"):
        load(path)
    monkeypatch.setenv("DEPTHRT_VERIFY", "0")
    load(path)


def test_frames_of_another_model_are_wrong_depth(tmp_path: Path) -> None:
    other = build_model(tmp_path / "other.onnx", gain=1.5)
    with pytest.raises(AccuracyGateError):
        load(put_golden(other, golden_frames().to_json()))


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    path = build_model(tmp_path / "small.onnx", size=(24, 32))
    with pytest.raises(ModelError, match="give 1 to 24"):
        load(put_golden(path, golden_frames().to_json()))


def test_the_last_frames_are_looked_at_without_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = changed(golden_frames(), lambda c: c["frames"][-1].update(depth="AAAA"))
    path = put_golden(build_model(tmp_path / "broken.onnx"), text)
    opened = StandIns(monkeypatch, right)
    with pytest.raises(ModelError, match="golden frame frame 2 is broken"):
        load(path)
    assert opened.runs == 0


WEIGHT = 127  # of 8 bits: two products of it and a bright pixel are more than 16 bits hold


def exact_sums(pixels: Pixels) -> Depth:
    """The depth of :func:`build_int8_model`: float32 N,h,w."""
    sums = pixels.astype(np.int64).sum(axis=1) * WEIGHT
    return np.asarray(np.minimum(np.round(sums / 400), 255), np.float32)


def saturated_sums(pixels: Pixels, depth: Depth) -> Depth:
    """What x86 without VNNI makes of it: pairs of products are added in 16 bits."""
    products = pixels.astype(np.int64) * WEIGHT
    pair = np.minimum(products[:, 0] + products[:, 1], 32767)
    return np.asarray(np.minimum(np.round((pair + products[:, 2]) / 400), 255), np.float32)


def build_int8_model(path: Path, bits: int) -> Path:
    """A quantised convolution with 8-bit weights, whose file says that they have so many bits."""
    scales = {"one": 1.0, "step": 400.0}
    zeros = {"zero": np.array(0, np.uint8), "weight_zero": np.array(0, np.int8)}
    kernel = np.full((1, 3, 1, 1), WEIGHT, np.int8)
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["image", "one", "zero"], ["pixels"]),
            helper.make_node("DequantizeLinear", ["kernel", "one", "weight_zero"], ["weights"]),
            helper.make_node("Conv", ["pixels", "weights"], ["sums"]),
            helper.make_node("QuantizeLinear", ["sums", "step", "zero"], ["codes"]),
            helper.make_node("DequantizeLinear", ["codes", "one", "zero"], ["map"]),
            helper.make_node("Squeeze", ["map", "axes"], ["depth"]),
        ],
        "int8",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 3, *SIZE])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["n", *SIZE])],
        [
            *(numpy_helper.from_array(np.array(v, np.float32), k) for k, v in scales.items()),
            *(numpy_helper.from_array(v, k) for k, v in zeros.items()),
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    metadata = {METADATA_KEY: build_spec().to_json(), WEIGHT_BITS_KEY: str(bits)}
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    golden = golden_frames(exact_sums, tolerance=Tolerance(0.02, 0.05))
    return put_golden(path, golden.to_json())


def test_sums_that_saturate_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build_int8_model(tmp_path / "int8.onnx", bits=8)
    load(path)  # summed exactly on every processor
    os.utime(path, (1, 1))
    StandIns(monkeypatch, saturated_sums)
    with pytest.raises(AccuracyGateError):
        load(path)


@pytest.mark.skipif(not cpu_features.sums_saturate(), reason="this processor sums exactly")
def test_sums_that_really_saturate_are_caught(tmp_path: Path) -> None:
    path = build_int8_model(tmp_path / "int8.onnx", bits=7)  # untrue: the fast kernels are taken
    with pytest.raises(AccuracyGateError):
        load(path)


def test_the_cache_is_that_of_the_user(path: Path, own_cache: Path) -> None:
    load(path)
    assert user_cache("verified") == own_cache
    assert [note.suffix for note in own_cache.iterdir()] == [".json"]
