"""Networks that give more than depth, from the network to a run of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.sources.images import read_image
from depthrt.spec import OPTIONAL_OUTPUTS, InputSpec
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, ExportPrecision, SourceOptions
from depthrt_export.report.export_report import Report
from networks.full_output import FullOutput

NETWORK = Path(__file__).parents[2] / "networks" / "full_output.py"
ALL = tuple(OPTIONAL_OUTPUTS)
FEW = frozenset({"batch"})


def made(
    factory: str,
    folder: Path,
    frames: str,
    said: SourceOptions | None = None,
    precision: ExportPrecision = "float32",
    **options: Any,
) -> Report:
    settings = ExportOptions(precision=precision, frames=frames, golden=False, **options)
    source = f"{NETWORK}:{factory}"
    return build(
        source, folder / "made.onnx", said or SourceOptions(), settings, Phases(quiet=True)
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, frames: str) -> Report:
    return made("build", tmp_path_factory.mktemp("full"), frames, vary=FEW)


def pictures(frames: str, count: int) -> NDArray[np.uint8]:
    paths = sorted(Path(frames).iterdir())[:count]
    return np.stack([prepare(read_image(path), InputSpec(48, 64)) for path in paths])


def test_the_file_gives_what_the_network_gives(full: Report, frames: str) -> None:
    pixels = pictures(frames, 3)
    with torch.inference_mode():
        expected = FullOutput().eval()(torch.from_numpy(pixels).float() / 255)
    session = ort.InferenceSession(str(full.target), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == ["depth", *ALL]
    found = dict(zip(names, session.run(names, {"image": pixels}), strict=True))
    np.testing.assert_allclose(found["depth"], expected["depth"][:, 0], atol=1e-5)
    np.testing.assert_allclose(found["confidence"], expected["confidence"][:, 0], atol=1e-5)
    assert (found["valid"] == expected["valid"].numpy()).mean() > 0.999
    assert 0.05 < found["valid"].mean() < 0.95
    normals = torch.nn.functional.normalize(expected["normals"], dim=1)
    np.testing.assert_allclose(found["normals"], normals, atol=1e-5)
    np.testing.assert_allclose(found["fov_deg"], expected["fov_deg"], atol=1e-4)


def test_the_file_says_what_it_gives_and_how_exactly(full: Report) -> None:
    assert full.spec.outputs == ALL
    assert json.loads(full.spec.to_json())["schema_version"] == 2
    figures = full.spec.measured["optional_outputs"]["float32"]
    assert figures["confidence"]["max_error"] < 1e-3
    assert figures["normals"]["max_error"] < 1e-3
    assert figures["valid"]["equal"] > 0.999
    assert figures["fov_deg"]["max_difference_deg"] < 0.01
    said = full.spec.provenance["assumed"]["beside depth"]
    assert "confidence (larger is taken for surer)" in said
    assert "fov_deg (taken for the horizontal angle in degrees)" in said


def test_the_runtime_takes_the_file(full: Report, frames: str) -> None:
    depth = DepthModel.load(full.target, provider="cpu")(
        read_image(sorted(Path(frames).iterdir())[0])
    )
    assert depth.normals is not None
    assert np.linalg.norm(depth.normals, axis=0) == pytest.approx(np.ones((48, 64)), abs=1e-4)
    assert depth.fov_deg is not None
    assert 60 < depth.fov_deg < 70


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("float16", marks=pytest.mark.slow),
        pytest.param("bfloat16", marks=pytest.mark.slow),
        "int8",
    ],
)
def test_other_precisions_keep_them(
    full: Report, frames: str, tmp_path: Path, precision: ExportPrecision
) -> None:
    report = made("build", tmp_path, frames, precision=precision, max_error=0.5)
    assert report.spec.outputs == ALL
    figures = report.spec.measured["optional_outputs"]
    assert figures["float32"].keys() == figures[precision].keys() == {*ALL}
    assert 0 < figures[precision]["confidence"]["mean_error"] < 0.2
    assert figures[precision]["valid"]["equal"] > 0.9
    assert any(note.startswith("beside depth, against float32: ") for note in report.notes)
    if precision == "int8":
        model = DepthModel.load(report.target, provider="cpu")
        assert model.predict(pictures(frames, 1)).optional.keys() == {*ALL}


@pytest.mark.slow  # exports a network of its own
def test_smaller_maps_are_brought_to_the_size_of_the_picture(tmp_path: Path, frames: str) -> None:
    report = made("build_half", tmp_path, frames, rewrite=False)
    assert report.spec.outputs == ALL
    found = DepthModel.load(report.target, provider="cpu").predict(pictures(frames, 1))
    assert found.optional["confidence"].shape == found.optional["valid"].shape == (1, 48, 64)
    assert found.optional["normals"].shape == (1, 3, 48, 64)


@pytest.mark.slow  # exports a network of its own
def test_depth_may_be_nan_where_the_network_says_that_it_is_not_valid(
    tmp_path: Path, frames: str
) -> None:
    report = made("build_without_sky", tmp_path, frames, precision="int8", max_error=0.5)
    session = ort.InferenceSession(str(report.target), providers=["CPUExecutionProvider"])
    depth, valid = session.run(["depth", "valid"], {"image": pictures(frames, 1)})
    np.testing.assert_array_equal(np.isfinite(depth), valid)
    assert np.isfinite(
        DepthModel.load(report.target, provider="cpu").infer(pictures(frames, 1))
    ).all()


@pytest.mark.slow  # exports a network of its own
def test_other_names_are_kept_where_that_is_said(tmp_path: Path, frames: str) -> None:
    also = {"conf": "confidence", "fov": "fov_deg", "mask": "valid"}
    report = made("build_renamed", tmp_path, frames, SourceOptions(also=also), rewrite=False)
    assert report.spec.outputs == ("confidence", "valid", "fov_deg")
    said = report.spec.provenance["assumed"]
    assert "mask as valid (what is not 0 is valid)" in said["beside depth"]
    assert "beside it: normal)" in said["output"]


@pytest.mark.slow  # exports a network of its own
def test_other_names_are_left_out_and_named(tmp_path: Path, frames: str) -> None:
    report = made("build_renamed", tmp_path, frames, rewrite=False)
    assert report.spec.outputs == ()
    said = report.spec.provenance["assumed"]["beside depth"]
    assert "conf was left out; --also conf=confidence keeps it" in said
    assert "fov was left out; --also fov=fov_deg keeps it" in said


@pytest.mark.slow  # exports a network of its own
def test_depth_alone(tmp_path: Path, frames: str) -> None:
    report = made("build", tmp_path, frames, SourceOptions(also={}), rewrite=False)
    assert json.loads(report.spec.to_json())["schema_version"] == 1
    assert "beside depth" not in report.spec.provenance["assumed"]
    session = ort.InferenceSession(str(report.target), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["depth"]


@pytest.mark.parametrize(
    ("also", "says"),
    [
        ({"sky": "valid"}, "--also sky=valid: network returns no 'sky'; it returns depth (1, 1"),
        ({"depth": "confidence"}, "--also depth=confidence: depth is the depth"),
        ({"fov_deg": "confidence"}, "returns torch.float32 (1,), not a map of confidence"),
        ({"confidence": "fov_deg"}, "returns torch.float32 (1, 1, 48, 64), not an angle"),
        ({"confidence": "normals"}, "(1, 1, 48, 64), not normals N,3,H,W of the picture"),
    ],
)
def test_what_is_not_there_is_refused(
    tmp_path: Path, frames: str, also: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        made("build", tmp_path, frames, SourceOptions(also=also, name="network"))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
