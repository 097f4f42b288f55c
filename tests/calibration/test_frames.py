"""Which frames of a source are taken for a proof or a calibration."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.errors import DepthrtError, SourceError
from depthrt.model.catalogue import registry as models
from depthrt.model.preprocess import prepare
from depthrt.sources.images import read_image
from depthrt.spec import InputSpec
from depthrt_calibration import frames as module
from depthrt_calibration.frames import Sample, indices, sample_frames, split

SPEC = InputSpec(16, 24)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((20, 30, 3), i * 20, np.uint8))
    return tmp_path


def test_frames_are_spread_over_the_source(folder: Path) -> None:
    samples = sample_frames(str(folder), 3, SPEC)
    assert [s.label for s in samples] == ["0.png#0", "4.png#4", "9.png#9"]
    assert [int(s.pixels[0, 0, 0]) for s in samples] == [0, 80, 180]
    assert len(sample_frames(str(folder), 99, SPEC)) == 10


@pytest.mark.parametrize(
    ("total", "count", "begin", "end"),
    [(127, 64, [0, 2, 4], [124, 126]), (127, 80, [0, 1, 3], [124, 126]), (10, 64, [0, 1], [8, 9]),
     (5, 1, [0], [0]), (1, 8, [0], [0]), (0, 8, [], [])],
)  # fmt: skip
def test_indices_go_from_the_first_to_the_last(
    total: int, count: int, begin: list[int], end: list[int]
) -> None:
    found = indices(total, count)
    assert found[: len(begin)] == begin
    assert found[len(found) - len(end) :] == end
    assert len(set(found)) == len(found) == min(total, count)
    assert found == sorted(found)


def test_a_picture_that_cannot_be_read_is_replaced_by_the_next(folder: Path) -> None:
    (folder / "4.png").write_bytes(b"torn")
    samples = sample_frames(str(folder), 3, SPEC)
    assert [s.label for s in samples] == ["0.png#0", "5.png#5", "9.png#9"]


def test_frames_are_prepared_as_everywhere(folder: Path) -> None:
    (sample,) = sample_frames(str(folder / "7.png"), 4, SPEC)
    np.testing.assert_array_equal(sample.pixels, prepare(read_image(folder / "7.png"), SPEC))


def test_frames_that_keep_their_aspect_have_one_size_here(folder: Path) -> None:
    samples = sample_frames(str(folder), 2, InputSpec(16, 16, "keep_aspect", multiple_of=8))
    assert {s.pixels.shape for s in samples} == {(3, 16, 16)}


def test_sample_at_another_size_is_the_same_picture() -> None:
    pixels = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (3, 16, 1))
    larger = Sample(pixels, "ramp").at_size(32, 48).pixels
    assert larger.shape == (3, 32, 48)
    assert np.abs(larger[:, ::2, ::2].astype(int) - pixels).max() <= 5


def test_held_out_frames_are_never_calibrated_on(folder: Path) -> None:
    samples = sample_frames(str(folder), 10, SPEC)
    calibration, held_out = split(samples)
    assert [s.label for s in held_out] == ["2.png#2", "7.png#7"]
    assert {s.label for s in calibration} | {s.label for s in held_out} == {
        s.label for s in samples
    }
    assert len(calibration) == 8


def test_of_a_video_the_end_is_held_out() -> None:
    """Neighbours look alike: a held-out frame between two others would be no unseen one."""
    samples = sample_frames(None, 20, SPEC)
    assert [s.label for s in (samples[0], samples[-1])] == ["demo.mp4#0", "demo.mp4#143"]
    calibration, held_out = split(samples)
    assert held_out == samples[-4:]
    assert calibration == samples[:14]  # two between are in neither


def test_nothing_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError):
        sample_frames(str(folder / "absent"), 3, SPEC)
    monkeypatch.setattr(module, "DEMO_CLIP", models.DATA / "absent.mp4")
    with pytest.raises(DepthrtError, match="--frames SOURCE"):
        sample_frames(None, 3, SPEC)
