"""What a model gives beside depth, on its way through streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from depthrt import DepthModel, Reuse, UsageError, build_ladder, stream, stream_many
from helpers.models.full_model import FOV_DEG, build_full_model
from helpers.models.small_model import build_model

MakeClip = Callable[..., Path]


@pytest.fixture(scope="module")
def full_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_full_model(tmp_path_factory.mktemp("full") / "full.onnx")


@pytest.fixture(scope="module")
def full(full_path: Path) -> DepthModel:
    return DepthModel.load(full_path, provider="cpu", threads=1)


def test_only_depth_is_stabilised(make_clip: MakeClip, full: DepthModel) -> None:
    clip = make_clip()
    steady = [result.depth for result in stream(clip, full, stabilise=True)]
    bare = [result.depth for result in stream(clip, full, stabilise=False)]
    assert any(not np.array_equal(a.values, b.values) for a, b in zip(steady, bare, strict=True))
    for one, other in zip(steady, bare, strict=True):
        np.testing.assert_array_equal(one.confidence, other.confidence)
        np.testing.assert_array_equal(one.valid, other.valid)
        np.testing.assert_array_equal(one.normals, other.normals)
        assert one.fov_deg == other.fov_deg == FOV_DEG


def test_a_frame_that_did_not_change_gets_them_again(make_clip: MakeClip, full: DepthModel) -> None:
    reused = 0
    last = None
    for result in stream(make_clip(), full, reuse=Reuse(threshold=255, max_age_s=0.2)):
        depth = result.depth
        assert depth.confidence is not None
        if result.reused and last is not None:
            reused += 1
            np.testing.assert_array_equal(depth.confidence, last)
            depth.confidence[:] = -1  # each result is its own
        else:
            last = depth.confidence.copy()
    assert reused >= 10


def test_several_streams_in_one_batch_keep_their_own(make_clip: MakeClip, full: DepthModel) -> None:
    clips = {"a": make_clip(), "b": make_clip(frames=20)}
    alone = {n: [r.depth for r in stream(clip, full)] for n, clip in clips.items()}
    seen = {"a": 0, "b": 0}
    for result in stream_many(clips, full, batch=4):
        expected = alone[result.frame.stream][seen[result.frame.stream]]
        np.testing.assert_array_equal(result.depth.valid, expected.valid)
        np.testing.assert_array_equal(result.depth.confidence, expected.confidence)
        seen[result.frame.stream] += 1
    assert seen == {"a": 25, "b": 20}


def test_colours_follow_the_valid_depth_alone(make_clip: MakeClip, full: DepthModel) -> None:
    for result in stream(make_clip(frames=3), full):
        known = result.depth.known_values
        assert known.min() <= result.display_range[0] <= result.display_range[1] <= known.max()


def test_models_of_a_ladder_must_give_the_same(full: DepthModel, tmp_path: Path) -> None:
    plain = DepthModel.load(build_model(tmp_path / "plain.onnx"), provider="cpu")
    with pytest.raises(
        UsageError, match=r"beside depth they give confidence, fov_deg, .* and noth"
    ):
        build_ladder([full, plain], 10)
