"""Alignments against hand computations and numpy's own least squares."""

from __future__ import annotations

import numpy as np
import pytest

from depthrt_benchmarks.evaluation.metrics.metrics import absolute_relative
from depthrt_benchmarks.evaluation.protocol.alignment import (
    Fit,
    Moments,
    fit,
    moments,
    solve_space,
    to_depth_m,
)

RANDOM = np.random.default_rng(5)


def test_least_squares_is_numpys() -> None:
    p, y = RANDOM.random(200), RANDOM.random(200)
    design = np.stack([p, np.ones_like(p)], axis=1)
    (scale, shift), *_ = np.linalg.lstsq(design, y, rcond=None)
    line = Moments.of(p, y).solve()
    assert (line.scale, line.shift) == (pytest.approx(scale), pytest.approx(shift))
    halves = Moments.of(p[:77], y[:77]) + Moments.of(p[77:], y[77:])
    assert halves.solve().scale == pytest.approx(scale)


def test_a_constant_prediction_becomes_the_mean() -> None:
    line = Moments.of(np.full(4, 3.0), np.array([1.0, 2, 3, 6])).solve()
    assert line.scale * 3 + line.shift == pytest.approx(3.0)
    assert Moments().solve() == Fit()


def test_disparity_lsq_finds_inverse_depth_again() -> None:
    truth = np.array([0.5, 1.0, 2.0, 8.0])
    raw = (1 / truth - 0.3) / 0.02
    space = solve_space(raw, "inverse_depth", "disparity-lsq")
    line = fit(space, truth, "disparity-lsq")
    assert (line.scale, line.shift) == (pytest.approx(0.02), pytest.approx(0.3))
    np.testing.assert_allclose(to_depth_m(space, line, "disparity-lsq", 0.1, 10), truth)


def test_the_cap_holds_for_disparity_below_it() -> None:
    aligned = to_depth_m(np.array([0.05, 0.0, -1.0]), Fit(), "disparity-lsq", 0.1, 10)
    assert aligned.tolist() == [10.0, 10.0, 10.0]
    assert to_depth_m(np.array([50.0]), Fit(), "disparity-lsq", 0.1, 10).tolist() == [0.1]


def test_depth_lsq_solves_on_depth() -> None:
    truth = np.array([1.0, 3.0, 5.0])
    space = solve_space((truth - 1) / 2, "depth", "depth-lsq")
    line = fit(space, truth, "depth-lsq")
    np.testing.assert_allclose(to_depth_m(space, line, "depth-lsq", 0.5, 10), truth)
    assert moments(space, truth, "depth-lsq").b1 == truth.sum()


def test_median_scales_before_it_clamps() -> None:
    truth = np.array([2.0, 4.0, 6.0])
    space = solve_space(np.array([1.0, 2.0, 9.0]), "depth", "median")
    line = fit(space, truth, "median")
    assert (line.scale, line.shift) == (2.0, 0.0)
    assert to_depth_m(space, line, "median", 3.0, 10.0).tolist() == [3.0, 4.0, 10.0]


def test_inverse_depth_as_depth_and_back() -> None:
    raw = np.array([0.5, 4.0, 0.0, -1.0])
    assert solve_space(raw, "inverse_depth", "median").tolist() == [2.0, 0.25, np.inf, np.inf]
    assert solve_space(raw, "depth", "disparity-lsq").tolist() == [2.0, 0.25, 0.0, 0.0]
    # An infinitely far pixel counts in the median and is clamped to the far end.
    line = fit(solve_space(raw[:3], "inverse_depth", "median"), np.array([4.0, 1.0, 9.0]), "median")
    assert line.scale == 2.0


def test_none_takes_metres() -> None:
    space = solve_space(np.array([0.01, 3.0, 99.0]), "depth", "none")
    assert to_depth_m(space, fit(space, space, "none"), "none", 0.1, 10).tolist() == [0.1, 3, 10]


def test_what_is_not_finite_takes_no_part_and_is_clamped() -> None:
    truth = np.array([0.5, 1.0, 2.0, 8.0, 4.0, 4.0])
    raw = np.append(1 / truth[:4], [np.nan, np.inf])
    space = solve_space(raw, "inverse_depth", "disparity-lsq")
    line = fit(space, truth, "disparity-lsq")
    assert line.scale == pytest.approx(1.0)
    aligned = to_depth_m(space, line, "disparity-lsq", 0.1, 10)
    np.testing.assert_allclose(aligned, [0.5, 1, 2, 8, 0.1, 0.1])  # NaN and infinite nearness
    depth = to_depth_m(np.array([np.inf, -np.inf, np.nan]), Fit(), "none", 0.1, 10)
    assert depth.tolist() == [10.0, 0.1, 0.1]
    nothing = np.full(3, np.nan)
    assert fit(nothing, truth[:3], "median") == fit(nothing, truth[:3], "depth-lsq") == Fit()


def test_absolute_relative() -> None:
    assert absolute_relative(np.array([2.0, 3.0]), np.array([1.0, 4.0])) == pytest.approx(0.625)
