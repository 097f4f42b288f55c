"""The reference of drift that an export keeps in the file."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.monitor.features import depth_features, picture_features
from depthrt.monitor.reference import REFERENCE_KEY, reference_in
from depthrt.sources.images import read_image
from depthrt_calibration.frames import sample_frames
from depthrt_export.proof.field_checks import drift_reference
from depthrt_export.report.export_report import Report


def test_the_reference_is_that_of_the_finished_file(unet: Report, frames: str) -> None:
    model = DepthModel.load(unet.target, provider="cpu")
    reference = reference_in(model.session.get_modelmeta().custom_metadata_map)
    assert reference is not None
    assert not reference.in_order
    assert reference.frames >= 8
    said = [note for note in unet.notes if "judges drift against" in note]
    assert len(said) == 1
    assert said[0].startswith(f"{reference.frames} frames of ")
    image = read_image(sorted(Path(frames).iterdir())[0])
    found = {
        **picture_features(prepare(image, model.spec.input)),
        **depth_features(model(image)),
    }
    for name, value in found.items():  # a frame of the same folder is within what was seen
        low, high = (reference.bins[name].middles[i] for i in (0, -1))
        assert low < value < high


def test_few_frames_give_none(unet: Report, frames: str) -> None:
    samples = sample_frames(frames, 7, unet.spec.input)
    assert drift_reference(unet.target, unet.spec, samples, "frames") is None


@pytest.mark.parametrize("name", ["depthrt-s", "depthrt-xs"])
def test_built_in_models_know_no_camera(name: str) -> None:
    model = DepthModel.load(name, provider="cpu", verify=False)
    entries = {entry.key for entry in onnx.load_model(model.path).metadata_props}
    assert REFERENCE_KEY not in entries
