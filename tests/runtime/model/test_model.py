"""Loading a model strictly and running it on images of any size."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from depthrt import DepthModel, InferenceError, InputSpec, ModelError, ProviderError, UsageError
from depthrt.model.preprocess import prepare
from depthrt.model.providers import SessionOptions, candidates
from depthrt.model.session import session_options
from depthrt.system.cpu_cores import usable_cores
from helpers.models.small_model import SIZE, build_model, build_spec, expected_depth


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DepthModel:
    return DepthModel.load(build_model(tmp_path_factory.mktemp("model") / "tiny.onnx"))


def images() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 255, (h, w, 3), dtype=np.uint8) for h, w in ((90, 160), (48, 64))]


def test_images_of_any_size_give_float32_depth(model: DepthModel) -> None:
    depths = model.infer_images(images())
    for image, depth in zip(images(), depths, strict=True):
        expected = expected_depth(prepare(image, model.spec.input)[None])[0]
        np.testing.assert_allclose(depth.values, expected, rtol=1e-6)
        assert depth.values.dtype == np.float32
        assert depth.image_size == image.shape[:2]
        assert depth.at_image_size().shape == image.shape[:2]
        assert (depth.kind, depth.unit) == ("inverse_depth", None)


def test_one_image_is_called_directly(model: DepthModel) -> None:
    image = images()[0]
    np.testing.assert_array_equal(model(image).values, model.infer_images([image])[0].values)


@pytest.mark.parametrize("fixed", [1, 4])
def test_a_fixed_batch_serves_any_number(tmp_path: Path, fixed: int) -> None:
    model = DepthModel.load(build_model(tmp_path / "fixed.onnx", batch=fixed))
    batch = np.random.default_rng(2).integers(0, 255, (6, 3, *SIZE), dtype=np.uint8)
    np.testing.assert_allclose(model.infer(batch), expected_depth(batch), rtol=1e-6)


def test_padding_is_cut_off_the_depth(tmp_path: Path) -> None:
    spec = replace(build_spec((64, 64)), input=InputSpec(64, 64, resize="pad"))
    model = DepthModel.load(build_model(tmp_path / "pad.onnx", size=(64, 64), spec=spec))
    assert model(np.zeros((50, 100, 3), np.uint8)).values.shape == (32, 64)


def test_a_dynamic_graph_follows_the_frame(tmp_path: Path) -> None:
    spec = replace(build_spec(), input=InputSpec(48, 64, "keep_aspect", 16))
    model = DepthModel.load(build_model(tmp_path / "dynamic.onnx", spec=spec, dynamic_size=True))
    assert model.dynamic_size
    assert model(np.zeros((96, 64, 3), np.uint8)).values.shape == (96, 64)


def test_says_what_was_bound_and_which_file(model: DepthModel) -> None:
    assert model.provider == "cpu"
    assert model.sha256() == hashlib.sha256(model.path.read_bytes()).hexdigest()
    model.warm_up()
    model.warm_up(batch=3)


def test_threads_wait_busily_for_one_frame_only(model: DepthModel) -> None:
    def spins(**said: Any) -> str:
        options = DepthModel.load(model.path, provider="cpu", **said).session.get_session_options()
        assert options.get_session_config_entry("session.force_spinning_stop") == "1"
        return str(options.get_session_config_entry("session.intra_op.allow_spinning"))

    assert spins() == spins(spinning=True, objective="throughput") == "1"
    assert spins(objective="throughput") == spins(objective="live") == spins(spinning=False) == "0"


def test_threads_and_spinning_suit_a_pipeline() -> None:
    options = session_options(SessionOptions())
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    assert options.intra_op_num_threads == usable_cores()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert session_options(SessionOptions(threads=3)).intra_op_num_threads == 3


@pytest.mark.parametrize(("provider", "spins"), [("cpu", "1"), ("openvino", "0"), ("cuda", "0")])
def test_no_idle_thread_spins_beside_a_provider_with_threads_of_its_own(
    provider: str, spins: str
) -> None:
    options = session_options(SessionOptions(provider, spinning=True), name=provider)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == spins


def test_weights_are_brought_back_to_float_once_where_int8_has_no_kernels() -> None:
    options = session_options(SessionOptions("cuda"), name="cuda")
    assert options.get_session_config_entry("session.disable_quant_qdq") == "1"
    with pytest.raises(RuntimeError, match="disable_quant_qdq"):  # not said at all
        session_options(SessionOptions()).get_session_config_entry("session.disable_quant_qdq")


def test_non_finite_depth_is_an_error(tmp_path: Path) -> None:
    model = DepthModel.load(build_model(tmp_path / "nan.onnx", gain=float("inf")))
    with pytest.raises(InferenceError, match="non-finite"):
        model(np.zeros((9, 9, 3), np.uint8))


def test_a_failing_session_names_the_shape(model: DepthModel) -> None:
    with pytest.raises(InferenceError, match=r"shape \(1, 3, 9, 9\)"):
        model.infer(np.zeros((1, 3, 9, 9), np.uint8))


def test_an_image_that_is_none_is_refused(model: DepthModel) -> None:
    with pytest.raises(UsageError, match="not str"):
        model("photo.jpg")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "corrupt or no ONNX"), (b"no model " * 99, "corrupt or no ONNX")],
)
def test_a_corrupt_file_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "corrupt.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=sentence):
        DepthModel.load(path)


def test_a_file_without_spec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no depthrt model"):
        DepthModel.load(build_model(tmp_path / "plain.onnx", spec=""))


def test_a_spec_that_contradicts_the_graph_is_refused(tmp_path: Path) -> None:
    path = build_model(tmp_path / "m.onnx", spec=build_spec((32, 32)))
    with pytest.raises(ModelError, match="takes 48x64, but the spec says 32x32"):
        DepthModel.load(path)


def test_unknown_names_are_answered_with_the_known(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no built-in model 'nosuch'"):
        DepthModel.load("nosuch")
    with pytest.raises(ModelError, match="no model file at"):
        DepthModel.load(tmp_path / "missing.onnx")


def test_a_provider_that_is_not_there_is_an_error(model: DepthModel) -> None:
    with pytest.raises(ProviderError, match="unknown provider 'gpu'"):
        DepthModel.load(model.path, provider="gpu")
    with pytest.raises(ProviderError, match="not in the installed onnxruntime"):
        DepthModel.load(model.path, provider="coreml")


def test_a_silent_fallback_is_an_error(model: DepthModel, monkeypatch: pytest.MonkeyPatch) -> None:
    # onnxruntime-gpu on a machine without a GPU: offered, bound to the CPU without a word.
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    real = ort.InferenceSession

    def falls_back(path: str, options: ort.SessionOptions, **_: object) -> object:
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "InferenceSession", falls_back)
    with pytest.raises(ProviderError, match="cuda was asked for, but onnxruntime bound cpu"):
        DepthModel.load(model.path, provider="cuda")


def test_auto_prefers_an_accelerator_and_ends_at_the_cpu() -> None:
    offered = ["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]
    assert candidates("auto", offered) == ["cuda", "cpu"]
    assert candidates("tensorrt", offered) == ["tensorrt"]
