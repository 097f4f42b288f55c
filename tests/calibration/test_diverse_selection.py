"""The choice of frames: features, empty pictures, farthest points, scenes."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.sources.base import Selection, SourceInfo
from depthrt_calibration.collect import CollectOptions
from depthrt_calibration.diverse_selection import choose, farthest, nearest_other
from depthrt_calibration.image_features import NEAR_DUPLICATE, emptiness, feature
from depthrt_calibration.scan import spans

RANDOM = np.random.default_rng(4)


def scene(seed: int, size: tuple[int, int] = (108, 192)) -> NDArray[np.uint8]:
    """A smooth coloured picture, uint8 RGB 3,h,w; other seeds look quite different."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0.0 : 1.0 : size[0] * 1j, 0.0 : 1.0 : size[1] * 1j]
    waves = [
        128 + 100 * np.sin(2 * np.pi * (a * rows + b * columns) + c)
        for a, b, c in random.uniform(0.3, 2.5, (3, 3))
    ]
    return np.rint(np.stack(waves)).astype(np.uint8)


def apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.linalg.norm(feature(a) - feature(b)))


def points(*values: float) -> NDArray[np.float32]:
    """Features on a line."""
    return np.array(values, np.float32)[:, None]


def test_distance_of_features() -> None:
    one, other = scene(1), scene(2)
    assert feature(one).shape == (259,)
    assert apart(one, one) == 0
    assert apart(one, other) > 5 * NEAR_DUPLICATE
    noisy = np.clip(one + RANDOM.normal(0, 2, one.shape), 0, 255).astype(np.uint8)
    assert apart(one, noisy) < NEAR_DUPLICATE
    brighter = np.clip(one.astype(int) + 25, 0, 255).astype(np.uint8)
    assert apart(one, brighter) > NEAR_DUPLICATE
    assert apart(one, np.ascontiguousarray(one[:, :, ::-1])) > NEAR_DUPLICATE  # mirrored


def test_an_even_grey_step_is_its_lightness() -> None:
    """Grey 119 has L* = 50.03 and black 0: thumbnail and mean each move by about a half."""
    grey, black = np.full((3, 64, 64), 119, np.uint8), np.zeros((3, 64, 64), np.uint8)
    assert apart(grey, black) == pytest.approx(np.hypot(0.5003, 0.5003), abs=5e-3)


@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [(0, 0, "black"), (10, 3, "black"), (128, 1, "blank"), (250, 0, "blank"), (128, 20, "")],
)
def test_empty_pictures(mean: int, spread: int, expected: str) -> None:
    noise = RANDOM.normal(mean, spread, (3, 120, 160)) if spread else np.full((3, 120, 160), mean)
    assert emptiness(np.clip(noise, 0, 255).astype(np.uint8)) == expected


def test_a_night_scene_is_not_empty() -> None:
    night = np.zeros((3, 108, 192), np.uint8)
    night[:, 50:58, 90:110] = 240
    assert night.mean() < 16
    assert emptiness(night) == ""


def test_farthest_points_on_a_line() -> None:
    line = points(0, 1, 2, 3, 10)
    # The mean is 3.2: 3 is usual, then 10 (7 away), then 0 (3 away), then 1 before 2 (a tie).
    assert farthest(line, 4, []) == [3, 4, 0, 1]
    assert choose(line, [0] * 5, 4) == [0, 1, 3, 4]
    assert choose(line, [0] * 5, 9) == [0, 1, 2, 3, 4]


def test_equal_points_are_taken_once() -> None:
    assert sorted(farthest(points(5, 5, 5), 3, [])) == [0, 1, 2]


def test_every_scene_is_heard_before_the_farthest() -> None:
    features = points(0, 0.1, 0.2, 50, 51, 52, 100)
    scenes = [0, 1, 1, 2, 2, 2, 3]
    chosen = choose(features, scenes, 4)
    assert [scenes[i] for i in chosen] == [0, 1, 2, 3]
    assert 4 in chosen  # the usual one of scene 2
    few = choose(features, scenes, 2)  # the speakers are 0, .1, 51, 100: near the mean, then far
    assert few == [0, 4]


def test_the_cover_is_within_twice_the_best() -> None:
    features = RANDOM.normal(size=(11, 2)).astype(np.float32)
    pairs = np.linalg.norm(features[:, None] - features[None], axis=2)

    def radius(centres: tuple[int, ...]) -> float:
        return float(pairs[:, list(centres)].min(axis=1).max())

    best = min(radius(centres) for centres in itertools.combinations(range(11), 3))
    assert radius(tuple(choose(features, [0] * 11, 3))) <= 2 * best + 1e-6


def test_distance_to_the_nearest_other() -> None:
    assert nearest_other(points(0, 1, 5)) == [1, 1, 4]
    assert nearest_other(points(7)) == [0]


def test_long_videos_are_read_in_parts() -> None:
    short = SourceInfo("a", (48, 64), Fraction(30), frame_count=9000, path=Path("a"))
    assert spans(short) == [Selection()]
    film = SourceInfo("b", (48, 64), Fraction(24), frame_count=172_800, path=Path("b"))
    parts = spans(film)
    assert len(parts) == 48
    assert [p.start_s for p in parts[:3]] == [0, 150, 300]
    assert sum(p.max_frames or 0 for p in parts) <= 9000


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"count": 3}, "--count 3 is less than 8: ranges need more frames"),
        ({"count": 64, "limit": 10}, "--limit 10 is less than --count 64"),
        ({"every": 0}, "--every 0 is less than 1"),
    ],
)
def test_options_out_of_range(options: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        CollectOptions(**options)  # type: ignore[arg-type]
