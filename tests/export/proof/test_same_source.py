"""Whoever is judged on the recording that it was calibrated on is told so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.spec import InputSpec
from depthrt_calibration.recordings import recordings
from depthrt_export.options import ExportOptions
from depthrt_export.proof.frame_split import source_name, split_frames
from depthrt_export.report.export_report import Report
from helpers.files.clips import Clip, write_clip

INPUT = InputSpec(64, 96)
SENTENCE = "judged on another part of what it was calibrated on"


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `depthrt calibrate` made of a copy of the demo clip."""
    from depthrt_calibration.collect import CollectOptions, collect

    folder = tmp_path_factory.mktemp("chosen")
    clip = folder / "ride.mp4"
    shutil.copy(DEMO_CLIP, clip)
    collect([str(clip)], folder / "frames", CollectOptions(count=16, every=10))
    return folder / "frames"


def test_frames_chosen_from_a_recording_are_known_by_it(chosen: Path, tmp_path: Path) -> None:
    moved = tmp_path / "renamed.mp4"
    shutil.copy(DEMO_CLIP, moved)
    options = ExportOptions(precision="int8", calibration=str(chosen), frames=str(moved))
    found = split_frames(options, INPUT)
    assert found.same_sources == ("renamed.mp4",)
    assert f"{SENTENCE} (renamed.mp4)" in found.notes[-1]


def test_another_recording_is_no_such_thing(chosen: Path, tmp_path: Path) -> None:
    other = write_clip(tmp_path / "other.mp4", Clip(frames=10))
    options = ExportOptions(precision="int8", calibration=str(chosen), frames=str(other))
    found = split_frames(options, INPUT)
    assert found.same_sources == ()
    assert not any(SENTENCE in note for note in found.notes)


def test_one_source_that_is_split_is_the_same_source(frames: str) -> None:
    found = split_frames(ExportOptions(precision="int8", frames=frames), INPUT)
    assert found.same_sources == (Path(frames).name,)


def test_the_index_names_recordings_without_their_folders(chosen: Path) -> None:
    kept = json.loads((chosen / "calibration.json").read_text())["recordings"]
    assert list(kept.values()) == ["ride.mp4"]
    assert kept.items() <= recordings(str(chosen)).items()
    assert recordings("demo").keys() == kept.keys()
    assert recordings("rtsp://me:secret@host/live") != recordings("rtsp://host/other")
    assert "secret" not in str(recordings("rtsp://me:secret@host/live"))


def test_the_file_keeps_it(unet_int8: Report, unet: Report, frames: str) -> None:
    kept = unet_int8.spec.measured["frames"]
    assert kept["same_source_as_calibration"] == [Path(frames).name]
    assert any(SENTENCE in note for note in unet_int8.notes)
    assert "same_source_as_calibration" not in unet.spec.measured["frames"]  # no calibration


def test_a_folder_is_named_so_that_it_can_be_told_from_others() -> None:
    assert source_name("/home/me/sets/office/rgb") == "office/rgb"
    assert source_name("rgb") == "rgb"
    assert source_name("/home/me/rides/monday.mp4") == "monday.mp4"
    assert source_name(None) == "the clip of depthrt"
