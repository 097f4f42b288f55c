"""The benchmarks of stabilised and reused depth, on a model whose depth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from depthrt import DepthModel, Stabiliser, open_source, to_rgb
from depthrt_benchmarks.evaluation.datasets.base import Pair
from depthrt_benchmarks.evaluation.protocol.protocol import Customs
from experiments.temporal.reuse import compare, make_still_clip
from experiments.temporal.stabilisation import Figures, clip_figures, labelled_figures, sharpness
from helpers.files.clips import Clip, write_clip
from helpers.models.small_model import build_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DepthModel:
    path = build_model(tmp_path_factory.mktemp("model") / "tiny.onnx")
    return DepthModel.load(path, provider="cpu", threads=1)


def test_sharpness_is_that_of_the_edges_and_falls_with_blur() -> None:
    step = np.zeros((40, 60), np.float32)
    step[:, 30:] = 2
    soft = np.tile(np.clip((np.arange(60) - 25) / 10, 0, 1) * 2, (40, 1)).astype(np.float32)
    # Sobel's gain at a step is 4 of its height, which is the spread.
    assert sharpness(step) == pytest.approx(4.0)
    assert sharpness(step * 3 + 5) == pytest.approx(4.0)
    assert sharpness(soft) == pytest.approx(0.8)


def test_figures_hold_both_depths_and_their_ratio() -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
    base = np.linspace(2, 3, 64, dtype=np.float32) * np.ones((48, 1), np.float32)
    figures = Figures()
    for i in range(4):
        wave = np.float32(1 + 0.1 * (i % 2))
        figures.add(picture, {"raw": base * wave, "stabilised": base * (1 + (wave - 1) / 2)})
    found = figures.summary()
    assert found["flicker_raw"]["median"] == pytest.approx(np.log(1.1), abs=1e-4)
    assert found["flicker_ratio"]["median"] == pytest.approx(np.log(1.05) / np.log(1.1), abs=1e-3)
    assert found["sharpness_ratio"] == pytest.approx(1.0, abs=1e-3)


def test_a_clip_is_measured_frame_by_frame(model: DepthModel, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=8))
    found = clip_figures(clip, model, Stabiliser())
    assert found["frames"] == 8
    assert found["flicker_raw"]["pairs"] == 7
    assert 0 < found["flicker_stabilised"]["median"] < found["flicker_raw"]["median"]


def test_accuracy_is_that_of_the_labelled_frames(model: DepthModel) -> None:
    """The truth is what the model sees, so that the raw depth has no error after the fit."""
    rng = np.random.default_rng(2)
    picture = rng.integers(20, 250, (48, 64, 3)).astype(np.uint8)
    truth = (100 / model(picture).values).astype(np.float32)
    frames = [(Pair(picture, truth if i % 2 else np.zeros_like(truth)), None) for i in range(6)]
    found = labelled_figures(frames, Customs(0.1, 80.0), model, Stabiliser())
    assert (found["frames"], found["labelled_frames"]) == (6, 3)
    assert found["accuracy_raw"]["abs_rel"] < 1e-3
    assert found["accuracy_stabilised"]["delta1"] == 1.0
    assert found["sequence_abs_rel_stabilised"] < 1e-3
    assert "tae_percent_raw" not in found  # no poses


def test_reuse_saves_on_a_still_camera_and_its_error_is_measured(
    model: DepthModel, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "still.mp4", Clip(frames=20, event_s=0.4))
    found = compare(clip, model, threshold=1.0, max_age_s=9.0)
    assert (found["frames"], found["saved_share"]) == (20, 0.9)
    assert found["mean_error"] == found["worst_error"] == 0.0
    moving = write_clip(tmp_path / "moving.mp4", Clip(frames=20))
    cheap, dear = (compare(moving, model, level, 9.0) for level in (0.0, 12.0))
    assert (cheap["saved_share"], cheap["worst_error"]) == (0.0, 0.0)
    assert dear["saved_share"] > 0.5
    assert 0.001 < dear["mean_error"] < dear["mean_error_of_reused"] < dear["worst_error"] < 0.2


@pytest.mark.slow
def test_something_crosses_the_still_clip_that_is_made(tmp_path: Path) -> None:
    made = make_still_clip(tmp_path / "still.mp4", crossing=True)
    frames = [to_rgb(frame.pixels).astype(np.float32) for frame in open_source(made).frames()]
    assert len(frames) == 250
    apart = [float(np.abs(frame - frames[0]).max()) for frame in (frames[50], frames[125])]
    assert apart[0] < 60 < 100 < apart[1]
