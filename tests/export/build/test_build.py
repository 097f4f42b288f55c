"""The whole way: a user's file to a proven model in place."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from depthrt.errors import TargetError
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.sources.images import read_image
from depthrt.spec import METADATA_KEY, InputSpec, ModelSpec
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.report.export_report import Report
from networks.small_unet import DEPTHRT, small_unet

MEAN, STD = (np.array(DEPTHRT[k], np.float32).reshape(1, 3, 1, 1) for k in ("mean", "std"))


def by_the_book(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What PyTorch gives for uint8 N,3,H,W, normalised as the network's paper would say it."""
    with torch.no_grad():
        depth = small_unet().eval()(torch.from_numpy((pixels / np.float32(255) - MEAN) / STD))
    return np.asarray(depth.squeeze(1).numpy())


def pictures(frames: str, count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    paths = sorted(Path(frames).iterdir())[:count]
    return np.stack([prepare(read_image(p), InputSpec(*size)) for p in paths])


@pytest.mark.parametrize(("batch", "size"), [(1, (64, 96)), (3, (64, 96)), (2, (100, 60))])
def test_file_gives_what_pytorch_gives_border_included(
    unet: Report, frames: str, batch: int, size: tuple[int, int]
) -> None:
    session = ort.InferenceSession(str(unet.target), providers=["CPUExecutionProvider"])
    pixels = pictures(frames, batch, size)
    (depth,) = session.run(["depth"], {"image": pixels})
    expected = by_the_book(pixels)
    assert depth.dtype == np.float32
    assert depth.shape == (batch, *size)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(depth, expected, atol=2e-5)
    for border in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        np.testing.assert_allclose(depth[border], expected[border], atol=2e-5)


def test_spec_comes_back_through_onnxruntime(unet: Report) -> None:
    session = ort.InferenceSession(str(unet.target), providers=["CPUExecutionProvider"])
    text = session.get_modelmeta().custom_metadata_map[METADATA_KEY]
    spec = ModelSpec.from_json(text)
    assert spec.to_json() == unet.spec.to_json()
    assert (spec.name, spec.kind, spec.unit) == ("small-unet", "inverse_depth", None)
    assert (spec.input.height, spec.input.width, spec.input.multiple_of) == (64, 96, 4)
    assert spec.provenance["source"] == "small_unet.py:small_unet"
    assert spec.provenance["varies"] == ["batch", "size"]
    assert spec.provenance["packages"]["torch"] == torch.__version__
    assert spec.measured["frames"]["count"] == 8
    assert spec.measured["proof"]["worst_max_error"] < 1e-4
    assert len(spec.measured["proof"]["other_shapes"]) == 2
    assert spec.output_range == unet.proof.output_range


def test_runtime_takes_the_file(unet: Report, frames: str) -> None:
    model = DepthModel.load(unet.target, provider="cpu")
    depth = model(read_image(sorted(Path(frames).iterdir())[0]))
    assert depth.values.shape == (64, 96)
    assert model.dynamic_size
    assert model.fixed_batch is None


def test_file_is_alone_and_knows_no_folder_of_ours(unet: Report) -> None:
    assert [p.name for p in unet.target.parent.iterdir()] == ["unet.onnx"]
    content = unet.target.read_bytes()
    assert str(Path.cwd()).encode() not in content
    assert b"site-packages" not in content
    names = [node.name for node in onnx.load(unet.target).graph.node]
    assert len(set(names)) == len(names)
    assert "head/Conv" in names  # nodes carry the names of their modules


def test_report_is_one_json_document(unet: Report) -> None:
    document = json.loads(json.dumps(unet.to_dict()))
    assert document["file_bytes"] == unet.target.stat().st_size
    assert document["peak_memory_bytes"] > 50e6
    assert next(iter(document["times_s"])) == "load the network"
    assert document["spec"]["precision"] == "float32"


def test_existing_target_is_kept(unet: Report, frames: str) -> None:
    before = hashlib.sha256(unet.target.read_bytes()).hexdigest()
    with pytest.raises(TargetError, match="exists: give another output or --overwrite") as caught:
        build("any", unet.target, SourceOptions(), ExportOptions(frames=frames), Phases(quiet=True))
    assert caught.value.exit_code == 2
    assert hashlib.sha256(unet.target.read_bytes()).hexdigest() == before


def test_checkpoint_is_named_by_its_hash(tmp_path: Path, frames: str) -> None:
    checkpoint = tmp_path / "weights.pt"
    state = {f"module.{n}": v.half() for n, v in small_unet().state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, checkpoint)
    said = SourceOptions(checkpoint=checkpoint, name="mine", kind="depth", unit="m")
    report = build(
        f"{Path(__file__).parents[2] / 'networks' / 'small_unet.py'}:small_unet",
        tmp_path / "mine.onnx",
        said,
        ExportOptions(frames=frames),
        Phases(quiet=True),
    )
    facts = report.spec.provenance
    assert facts["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert facts["checkpoint_prefix"] == "module."
    assert (report.spec.name, report.spec.kind, report.spec.unit) == ("mine", "depth", "m")
    assert onnx.load(report.target).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
