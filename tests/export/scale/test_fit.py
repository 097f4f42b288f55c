"""Scale and shift of points whose line is known."""

from __future__ import annotations

import numpy as np
import pytest

from depthrt.spec import Kind
from depthrt_export.scale.fit import Line, agreement, fit_line, fit_scale, outliers

CHANCE = np.random.default_rng(3)
SCALE, SHIFT = 0.2, 0.05


def points(kind: Kind, count: int, shift: float = SHIFT) -> tuple[np.ndarray, np.ndarray]:
    d = np.random.default_rng(count).uniform(0.2, 4, count)
    y = SCALE * d + shift
    return d, (1 / y if kind == "inverse_depth" else y)


@pytest.mark.parametrize("kind", ["inverse_depth", "depth"])
@pytest.mark.parametrize("count", [3, 10, 500])
def test_a_line_is_recovered(kind: Kind, count: int) -> None:
    assert fit_line(*points(kind, count), kind) == pytest.approx((SCALE, SHIFT), rel=1e-6)
    d, metres = points(kind, count, shift=0.0)
    assert fit_scale(d, metres, kind) == pytest.approx(SCALE, rel=1e-9)


@pytest.mark.parametrize("kind", ["inverse_depth", "depth"])
def test_a_fifth_of_wrong_points_moves_it_little(kind: Kind) -> None:
    d, metres = points(kind, 20)
    metres[[1, 7]] *= 10
    metres[[4, 12]] /= 12
    assert fit_line(d, metres, kind) == pytest.approx((SCALE, SHIFT), rel=1e-3)
    d, metres = points(kind, 20, shift=0.0)
    metres[[1, 4, 7, 12]] *= 8
    assert fit_scale(d, metres, kind) == pytest.approx(SCALE, rel=1e-3)
    # Least squares would be far off.
    assert not np.isclose(np.polyfit(d, 1 / metres, 1)[0], SCALE, rtol=0.05)


def test_wrong_points_are_found_and_good_ones_are_not() -> None:
    d, metres = points("inverse_depth", 12)
    noisy = metres * np.exp(0.05 * np.random.default_rng(0).standard_normal(12))
    noisy[5] *= 4
    line = Line("inverse_depth", *fit_line(d, noisy, "inverse_depth"), 0.1, 100)
    assert np.flatnonzero(outliers(line.metres(d), noisy)).tolist() == [5]


def test_points_that_fit_exactly_but_one_by_a_little_have_no_outlier() -> None:
    _, metres = points("inverse_depth", 12)
    other = metres.copy()
    other[3] *= 1.5
    assert not outliers(metres, other).any()


def test_order_says_the_direction() -> None:
    d, metres = points("inverse_depth", 9)
    assert agreement(d, metres, "inverse_depth", 1.01) == 1
    assert agreement(d, metres, "depth", 1.01) == -1
    assert agreement(d, np.full(9, 2.0), "depth", 1.2) == 0


def test_depth_is_finite_and_positive_everywhere() -> None:
    d = np.array([-1e30, -1, 0, 0.5, 1e30])
    near = Line("inverse_depth", 1.0, -0.2, 0.25, 50.0).metres(d)
    assert near.tolist() == pytest.approx([50, 50, 50, 1 / 0.3, 0.25])
    far = Line("depth", 2.0, None, 0.25, 50.0).metres(d)
    assert far.tolist() == [0.25, 0.25, 0.25, 1, 50]


def test_a_formula_reads_as_it_is() -> None:
    assert Line("inverse_depth", 0.5, -0.25, 1, 9).formula() == "1/metres = 0.5 x depth - 0.25"
    assert Line("depth", 1.25, None, 1, 9).formula() == "metres = 1.25 x depth"
