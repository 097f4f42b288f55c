"""`depthrt pull` of ONNX files that know nothing of depthrt: they land as proven depthrt files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from depthrt.model.catalogue import hub_models
from depthrt.model.depth_model import DepthModel
from helpers.commands import Command
from helpers.web.hub_server import COMMIT, Hub, running

SIZE = (48, 64)
WEIGHTS = (0.5, 0.3, 0.2)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`depthrt` in this process."""
    return Command(capfd, monkeypatch)


def foreign() -> bytes:
    """As exporters of transformers write it: ``pixel_values`` float32, open in all but colour."""
    kernel = np.array(WEIGHTS, np.float32).reshape(1, 3, 1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["pixel_values", "kernel", "bias"], ["map"]),
            helper.make_node("Squeeze", ["map", "axes"], ["predicted_depth"]),
        ],
        "main",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["b", 3, "h", "w"])],
        [helper.make_tensor_value_info("predicted_depth", TensorProto.FLOAT, ["b", "h", "w"])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([9], np.float32), "bias"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def expected(pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """The network's depth of uint8 N,3,H,W: float N,H,W."""
    shape = (1, 3, 1, 1)
    fed = (pixels / 255 - np.reshape(mean, shape)) / np.reshape(std, shape)
    return (fed * np.reshape(WEIGHTS, shape)).sum(axis=1) + 9


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 3, *SIZE), np.uint8)


def test_a_row_of_the_table_says_how_the_network_is_fed(
    hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = foreign()
    row = dataclasses.replace(
        hub_models.HUB_MODELS[0],
        revision=COMMIT,
        sha256=hashlib.sha256(content).hexdigest(),
        size=SIZE,
        multiple_of=1,
    )
    monkeypatch.setattr(hub_models, "HUB_MODELS", (row,))
    hub.files[row.repo] = {row.file: content}
    done = command("pull", row.name, "--json")
    assert done.code == 0, done.err
    assert done.document["fetched"] == f"{row.repo}/{row.file}@{COMMIT}"
    model = DepthModel.load(row.name, provider="cpu")
    spec = model.spec
    assert (spec.name, spec.kind, spec.unit, spec.licence) == (row.name, row.kind, None, "mit")
    assert (spec.input.height, spec.input.width) == SIZE
    assert np.allclose(
        model.infer(pixels()), expected(pixels(), row.mean, row.std), rtol=1e-4, atol=1e-4
    )


def test_of_another_repository_its_own_files_and_the_options_say_it(
    hub: Hub, command: Command
) -> None:
    settings = {
        "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.25] * 3,
        "do_rescale": True, "rescale_factor": 1 / 255, "do_resize": True,
        "size": {"height": SIZE[0], "width": SIZE[1]}, "image_processor_type": "DPTImageProcessor",
    }  # fmt: skip
    hub.files["a/b"] = {
        "onnx/model.onnx": foreign(),
        "preprocessor_config.json": json.dumps(settings).encode(),
    }
    done = command("pull", "hf:a/b", "--kind", "metric")
    assert done.code == 0, done.err
    model = DepthModel.load("hf:a/b", provider="cpu")
    assert (model.spec.kind, model.spec.unit) == ("depth", "m")
    assert np.allclose(
        model.infer(pixels()), expected(pixels(), (0.5,) * 3, (0.25,) * 3), rtol=1e-4, atol=1e-4
    )


def test_weights_beside_the_file_are_fetched_with_it(
    hub: Hub, command: Command, tmp_path: Path
) -> None:
    model = onnx.load_from_string(foreign())
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    hub.files["a/b"] = {
        f"onnx/{name}": (tmp_path / name).read_bytes() for name in ("model.onnx", "model.onnx_data")
    }
    done = command(
        "pull", "hf:a/b", "--kind", "depth", "--size", "48x64", "--mean", 0.5, "--std", 0.5
    )
    assert done.code == 0, done.err
    found = DepthModel.load("hf:a/b", provider="cpu").infer(pixels())
    assert np.allclose(found, expected(pixels(), (0.5,) * 3, (0.5,) * 3), rtol=1e-4, atol=1e-4)


def test_without_the_libraries_it_is_said_before_anything_is_fetched(
    hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = hub_models.HUB_MODELS[0]
    hub.files[row.repo] = {row.file: foreign()}
    monkeypatch.setattr(
        hub_models, "HUB_MODELS", (dataclasses.replace(row, revision=COMMIT, sha256=""),)
    )
    from importlib.util import find_spec

    monkeypatch.setattr(
        "depthrt_export.hub.pull.importlib.util.find_spec",
        lambda name: None if name == "onnx" else find_spec(name),
    )
    done = command("pull", row.name)
    assert done.code == 2
    assert (
        "depthrt: onnx needed to turn onnx/model.onnx into a depthrt file is not inst" in done.err
    )
    assert not [path for _, path, _ in hub.asked if path.endswith(".onnx")]


def test_a_table_of_onnx_that_is_no_depth_network_leaves_nothing(
    hub: Hub, command: Command, tmp_path: Path
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    hub.files["a/b"] = {"model.onnx": model.SerializeToString()}
    done = command("pull", "hf:a/b", "--kind", "depth", "--size", "48x64")
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert list((tmp_path / "cache" / "depthrt" / "models").iterdir()) == []


@pytest.mark.slow
def test_weights_of_transformers_are_exported(
    hub: Hub, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from experiments.quantisation.depth_families import FAMILIES, save

    folder = save(FAMILIES["depth-anything-metric"], tmp_path / "network")
    row = hub_models.hub_model("depth-anything-v2-metric-indoor-small")
    assert row is not None
    row = dataclasses.replace(row, revision=COMMIT)
    monkeypatch.setattr(hub_models, "HUB_MODELS", (row,))
    hub.files[row.repo] = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()
    }
    done = command("pull", row.name)
    assert done.code == 0, done.err
    spec = DepthModel.load(row.name, provider="cpu").spec
    assert (spec.kind, spec.unit, spec.name) == ("depth", "m", row.name)
    assert spec.licence == "mit"
