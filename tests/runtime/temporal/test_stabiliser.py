"""Depth that does not flicker: what is taken out, and what must stay."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import DepthModel, InputSpec, ModelSpec, Stabiliser, UsageError, stream
from depthrt.temporal.optical_flow import thumbnail_size
from helpers.files.clips import picture
from helpers.models.small_model import SIZE, WEIGHTS

SHAPE = (96, 160)
Map = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def scene(shift: int = 0, seed: int = 1) -> tuple[Pixels, Map]:
    """A textured picture (3,h,w) and its depth, a window of a wide one moved right by ``shift``."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (24, 70, 3)).astype(np.uint8)
    wide = cv2.resize(coarse, (280, SHAPE[0]), interpolation=cv2.INTER_CUBIC)
    columns = np.arange(280, dtype=np.float32) / 70
    depth = np.tile(2 + np.sin(columns) + 0.3 * columns, (SHAPE[0], 1)).astype(np.float32)
    depth[30:60, 120:150] += 1.5  # a box with an edge
    first = 60 - shift
    window = slice(first, first + SHAPE[1])
    return np.ascontiguousarray(wide[:, window].transpose(2, 0, 1)), depth[:, window].copy()


def jumps(maps: list[Map]) -> float:
    return float(np.mean([np.abs(b - a).mean() for a, b in pairwise(maps[4:])]))


def disturbed(
    disturb: Callable[[Map, int], Map], stabiliser: Stabiliser, frames: int = 14
) -> tuple[list[Map], list[Map]]:
    """A still scene's depth, each frame disturbed, before and after."""
    pixels, depth = scene()
    before = [disturb(depth, i).astype(np.float32) for i in range(frames)]
    return before, [stabiliser.update(values, pixels) for values in before]


def noisy(depth: Map, number: int) -> Map:
    coarse = np.random.default_rng(number).normal(0, 0.05, (12, 20)).astype(np.float32)
    return np.asarray(depth + cv2.resize(coarse, SHAPE[::-1]), np.float32)


def test_jumps_of_scale_and_shift_are_taken_out() -> None:
    before, after = disturbed(lambda d, i: d * (1 + 0.1 * (-1) ** i) + 0.2 * (i % 3), Stabiliser())
    assert jumps(after) < 0.15 * jumps(before)


def test_boiling_is_taken_out() -> None:
    before, after = disturbed(noisy, Stabiliser())
    assert jumps(after) < 0.55 * jumps(before)
    truth = scene()[1]
    assert np.abs(after[-1] - truth).mean() < np.abs(before[-1] - truth).mean()


def test_depth_moves_with_the_picture_and_its_edges_stay_sharp() -> None:
    stabiliser = Stabiliser()
    for shift in range(0, 32, 4):
        pixels, depth = scene(shift)
        steady = stabiliser.update(noisy(depth, shift), pixels)
    # Away from the border, where new parts come in: no trail behind the box, no blur.
    inner = (slice(10, 86), slice(40, 150))
    assert np.abs(steady - depth)[inner].mean() < 0.03
    step = np.abs(np.diff(steady[45, 60:140])).max()
    assert step > 0.85 * np.abs(np.diff(depth[45, 60:140])).max()


def test_new_depth_where_something_else_comes_into_view() -> None:
    stabiliser, (pixels, depth) = Stabiliser(), scene()
    for _ in range(6):
        stabiliser.update(depth, pixels)
    pixels, depth = pixels.copy(), depth.copy()
    pixels[:, 20:50, 30:70] = 255 - pixels[:, 20:50, 30:70]
    depth[20:50, 30:70] += 2
    steady = stabiliser.update(depth, pixels)
    assert np.abs(steady - depth)[24:46, 34:66].max() < 0.1


def test_depth_that_stays_is_returned_as_it_is() -> None:
    _, after = disturbed(lambda d, i: d, Stabiliser())
    for steady in after:
        np.testing.assert_allclose(steady, scene()[1], atol=1e-5)


def test_scale_and_shift_are_let_go_in_time() -> None:
    """A lasting change of scale is believed after a while, so that no error stays for ever."""
    stabiliser, (pixels, depth) = Stabiliser(), scene()
    stabiliser.update(depth, pixels)
    steady = [stabiliser.update(depth * np.float32(1.2), pixels) for _ in range(160)]
    shares = [float(s.mean() / depth.mean()) for s in steady]
    assert shares[0] < 1.05
    assert shares[-1] == pytest.approx(1.2, abs=0.01)
    assert all(b >= a - 1e-6 for a, b in pairwise(shares))


def test_reset_and_another_size_forget_the_past() -> None:
    stabiliser, (pixels, depth) = Stabiliser(), scene()
    stabiliser.update(depth, pixels)
    stabiliser.reset()
    np.testing.assert_array_equal(stabiliser.update(depth * 3, pixels), depth * 3)
    smaller = np.ascontiguousarray(depth[:64, :128])
    np.testing.assert_array_equal(stabiliser.update(smaller, pixels[:, :64, :128]), smaller)


def test_metric_depth_keeps_its_scale_unless_it_is_asked_to_be_aligned() -> None:
    def doubled(depth: Map, number: int) -> Map:
        return depth * 2 if number >= 8 else depth

    spec = ModelSpec("metric", "depth", InputSpec(*SHAPE), unit="m")
    _, kept = disturbed(doubled, Stabiliser.of(spec))
    _, aligned = disturbed(doubled, Stabiliser.of(spec, align=True))
    truth = scene()[1]
    assert np.median(kept[8] / truth) > 1.95  # a jump that large is no flicker
    assert np.median(aligned[8] / truth) < 1.15


def test_inverse_metres_keep_their_scale() -> None:
    spec = ModelSpec("metric", "inverse_depth", InputSpec(*SHAPE), unit="m")

    def nearing(depth: Map, number: int) -> Map:  # 2% nearer with every frame
        return np.asarray(depth * 1.02**number, np.float32)

    _, kept = disturbed(nearing, Stabiliser.of(spec))
    truth = scene()[1]
    for number, values in enumerate(kept):
        assert 0.93 < np.median(values / (truth * 1.02**number)) < 1.01


def test_metric_depth_is_steadied_by_its_ratios() -> None:
    spec = ModelSpec("metric", "depth", InputSpec(*SHAPE), unit="m")

    def boiling(depth: Map, number: int) -> Map:
        return np.asarray(depth * np.exp(noisy(depth, number) - depth), np.float32)

    before, after = disturbed(boiling, Stabiliser.of(spec))
    assert jumps(after) < 0.6 * jumps(before)
    assert min(float(values.min()) for values in after) > 0


def test_the_output_may_be_the_input() -> None:
    pixels, depth = scene()
    apart, inside = Stabiliser(), Stabiliser()
    for i in range(4):
        values = noisy(depth, i)
        expected = apart.update(values, pixels)
        assert inside.update(values, pixels, out=values) is values
        np.testing.assert_array_equal(values, expected)


def test_padding_is_no_part_of_the_picture() -> None:
    pixels, depth = scene()
    padded = np.full((3, 128, 192), 116, np.uint8)
    padded[:, : SHAPE[0], : SHAPE[1]] = pixels
    plain, cut = Stabiliser(), Stabiliser()
    for i in range(3):
        expected = plain.update(noisy(depth, i), pixels)
        np.testing.assert_array_equal(cut.update(noisy(depth, i), padded), expected)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (32, 32), (518, 518), (40, 700)])
def test_any_size(shape: tuple[int, int]) -> None:
    rng, stabiliser = np.random.default_rng(4), Stabiliser()
    for _ in range(3):
        pixels = rng.integers(0, 256, (3, *shape)).astype(np.uint8)
        steady = stabiliser.update(rng.random(shape).astype(np.float32), pixels)
        assert steady.shape == shape
        assert np.isfinite(steady).all()


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((224, 288), (144, 112)),
        ((256, 256), (128, 128)),  # a third would be too narrow for flow in coarse steps
        ((128, 160), (160, 128)),
        ((288, 160), (160, 288)),
        ((518, 518), (103, 103)),
        ((48, 64), (64, 48)),
    ],
)
def test_thumbnails_are_a_whole_number_smaller_and_wide_enough_for_quick_flow(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    assert thumbnail_size(shape) == size


def test_constant_depth_and_black_pictures_stay_finite() -> None:
    stabiliser, black = Stabiliser(), np.zeros((3, *SHAPE), np.uint8)
    for value in (0.0, 0.0, 5.0, 5.0):
        steady = stabiliser.update(np.full(SHAPE, value, np.float32), black)
        assert np.isfinite(steady).all()


def test_a_bad_gain_is_refused() -> None:
    with pytest.raises(UsageError, match="gain 0 is not above 0"):
        Stabiliser(gain=0)


def test_in_a_stream_scene_cuts_start_over_and_raw_stays_raw(model: DepthModel) -> None:
    plain = picture(0, SIZE)
    lighter, bright = plain + np.uint8(6), np.full_like(plain, 250)
    pictures = [plain, lighter, plain, lighter, bright, bright]
    raw = list(stream(pictures, model))
    steady = list(stream(pictures, model, stabilise=True))
    assert [r.scene_cut for r in steady] == [False] * 4 + [True, False]
    for before, after in ((raw[0], steady[0]), (raw[4], steady[4])):
        np.testing.assert_array_equal(after.depth.values, before.depth.values)
    jump = 6 * sum(WEIGHTS)
    np.testing.assert_allclose(raw[3].depth.values - raw[2].depth.values, jump, atol=1e-3)
    assert np.abs(steady[3].depth.values - steady[2].depth.values).max() < 0.4 * jump
