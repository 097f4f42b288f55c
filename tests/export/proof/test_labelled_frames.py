"""AbsRel of a labelled set, by depth maps whose error is known beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.errors import SourceError
from depthrt.model.preprocess import PAD_VALUE
from depthrt.spec import InputSpec, Resize
from depthrt_export.proof.labelled_frames import (
    absolute_relative_error,
    labelled_frames,
    open_labelled,
    remarks,
)
from helpers.files.labelled import write_png16, write_set

SQUARE = 64  # pictures of 48x64 fill three quarters of it


def spec(resize: Resize) -> InputSpec:
    return InputSpec(SQUARE, SQUARE, resize=resize, multiple_of=8)


def test_padding_is_no_part_of_the_depth(tmp_path: Path) -> None:
    (frame,) = labelled_frames(open_labelled(write_set(tmp_path, 1)), 1, spec("pad"))
    assert frame.content == (48, 64)
    assert (frame.sample.pixels[:, 48:] == PAD_VALUE).all()
    prediction = np.full((SQUARE, SQUARE), 77, np.float32)
    prediction[:48] = 1 / frame.seen.truth_m
    assert absolute_relative_error(prediction, frame, "inverse_depth") < 1e-6


def test_frames_that_keep_their_aspect_have_the_size_of_the_graph(tmp_path: Path) -> None:
    frames = labelled_frames(open_labelled(write_set(tmp_path, 3)), 3, spec("keep_aspect"))
    assert {f.sample.pixels.shape for f in frames} == {(3, SQUARE, SQUARE)}
    assert {f.content for f in frames} == {(SQUARE, SQUARE)}
    prediction = cv2.resize(1 / frames[0].seen.truth_m, (SQUARE, SQUARE))
    assert absolute_relative_error(np.asarray(prediction), frames[0], "inverse_depth") < 0.02


def test_values_that_mean_unknown_are_not_judged(tmp_path: Path) -> None:
    folder = write_set(tmp_path, 1, invalid=[20470])
    path = folder / "depth" / "000000.png"
    raw = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint16)
    exact = (1 / (raw * np.float32(1e-4))).astype(np.float32)
    raw[:, :9] = 20470  # 2.047 m, inside the range of the set
    write_png16(path, raw)
    (frame,) = labelled_frames(open_labelled(folder), 1, InputSpec(48, 64))
    assert (frame.seen.truth_m[:, :9] == 0).all()
    assert (frame.seen.truth_m[:, 9:] > 0).all()
    assert absolute_relative_error(exact, frame, "inverse_depth") < 1e-6


@pytest.mark.parametrize(("gain", "shift"), [(2.0, 0.0), (1.0, 1.0)])
def test_metres_are_judged_as_they_are(gain: float, shift: float, tmp_path: Path) -> None:
    (frame,) = labelled_frames(open_labelled(write_set(tmp_path, 1)), 1, InputSpec(48, 64))
    wrong = gain * frame.seen.truth_m + np.float32(shift)
    expected = float(np.mean(np.abs(wrong - frame.seen.truth_m) / frame.seen.truth_m))
    assert expected > 0.5
    assert absolute_relative_error(wrong, frame, "depth", "m") == pytest.approx(expected, rel=1e-4)
    assert absolute_relative_error(frame.seen.truth_m, frame, "depth", "m") == 0
    assert absolute_relative_error(wrong, frame, "depth") < 1e-5  # relative depth: a line is free


def test_pairs_are_spread_from_the_first_to_the_last(tmp_path: Path) -> None:
    frames = labelled_frames(open_labelled(write_set(tmp_path, 6)), 4, InputSpec(48, 64))
    assert [f.sample.label[-1] for f in frames] == ["0", "1", "3", "5"]


@pytest.mark.parametrize("invalid", [["a"], {"a": 1}])
def test_facts_that_are_no_numbers_are_one_sentence(invalid: object, tmp_path: Path) -> None:
    folder = write_set(tmp_path, 1)
    facts = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**facts, "invalid": invalid}))
    with pytest.raises(SourceError, match="give a number or a list of them"):
        labelled_frames(open_labelled(folder), 1, InputSpec(48, 64))


def test_one_value_that_means_unknown_need_be_no_list(tmp_path: Path) -> None:
    folder = write_set(tmp_path, 1, invalid=20470)
    path = folder / "depth" / "000000.png"
    raw = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint16)
    raw[:, :9] = 20470
    write_png16(path, raw)
    (frame,) = labelled_frames(open_labelled(folder), 1, InputSpec(48, 64))
    assert not frame.seen.valid[:, :9].any()
    assert frame.seen.valid[:, 9:].all()


def test_a_plain_folder_of_pairs_is_read_and_its_assumed_unit_is_said(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "pairs", 2)
    (folder / "dataset.json").unlink()
    sets = open_labelled(folder)
    assert [each.layout for each in sets] == ["pairs"]
    frames = labelled_frames(sets, 8, InputSpec(48, 64))
    assert len(frames) == 2
    shades = {frame.sample.label: frame.sample.pixels[0] for frame in frames}
    said = remarks(sets, frames, lambda s: shades[s.label].astype(np.float32), "depth")
    assert (
        "pairs: depth files of uint16 are in millimetres, as whole numbers are (--depth-scale)"
        in (said)
    )
    assert any("turned near and far round in 2 of 2 images" in line for line in said)


def test_several_sets_in_one_folder_are_judged_together(tmp_path: Path) -> None:
    for name in ("office", "street"):
        write_set(tmp_path / name, 2)
    frames = labelled_frames(open_labelled(tmp_path), 3, InputSpec(48, 64))
    assert [frame.sample.label for frame in frames] == [
        "office/000000",
        "office/000001",
        "street/000001",
    ]
