"""What the points allow, what is refused, and the error that is stated."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from depthrt.errors import AccuracyGateError, UsageError
from depthrt_export.scale.choose_line import Samples, Wish, fit_points

WISH = Wish("inverse_depth")
Numbers = np.ndarray


def samples(
    count: int = 10, *, shift: float = 0.05, noise: float = 0.0, seed: int = 0, pictures: int = 1
) -> Samples:
    """Points of a model that is off by noise, a share of inverse depth."""
    chance = np.random.default_rng(seed)
    d = chance.uniform(0.3, 4, count)
    metres = 1 / (0.2 * d + shift) * np.exp(noise * chance.standard_normal(count))
    return Samples(d, metres, np.arange(count) % pictures, 4.0)


def test_scale_and_shift_of_clean_points() -> None:
    found = fit_points(samples(), WISH)
    assert (found.line.scale, found.line.shift) == pytest.approx((0.2, 0.05), rel=1e-6)
    assert found.error.abs_rel < 1e-6
    assert found.error.left_out == "point"
    assert "in other pictures scale and shift drift" in found.notes[0]
    assert found.line.nearest_m == pytest.approx(samples().metres.min() / 10)
    assert found.line.farthest_m == pytest.approx(samples().metres.max() * 10)


def test_no_shift_where_a_scale_meets_what_is_left_out_better() -> None:
    found = fit_points(samples(8, shift=0.0, noise=0.1), WISH)
    assert found.line.shift is None
    assert found.line.scale == pytest.approx(0.2, rel=0.1)
    assert found.notes[0].startswith("scale alone: with a shift a point left out is missed by .")
    asked = fit_points(samples(8, shift=0.0, noise=0.1), replace(WISH, shift="yes"))
    assert asked.line.shift is not None


def test_metres_are_corrected_by_a_scale() -> None:
    d = np.array([1.0, 2, 3, 5, 8])
    given = Samples(d, 1.5 * d, np.zeros(5, np.intp), 7.0)
    found = fit_points(given, Wish("depth", is_metric=True))
    assert (found.line.scale, found.line.shift) == (pytest.approx(1.5), None)
    assert found.notes[0] == "scale alone: the model gives metres already"
    both = fit_points(replace(given, metres=1.5 * d + 1), Wish("depth", True, "yes"))
    assert (both.line.scale, both.line.shift) == pytest.approx((1.5, 1.0))


def test_the_slip_of_a_point_is_left_out_and_counts() -> None:
    given = samples(12, noise=0.03)
    given.metres[4] *= 10
    found = fit_points(given, WISH)
    assert np.flatnonzero(found.outliers).tolist() == [4]
    assert found.predicted_m[4] == pytest.approx(given.metres[4] / 10, rel=0.15)
    assert (found.line.scale, found.line.shift) == pytest.approx((0.2, 0.05), rel=0.2)
    assert 0.9 / 12 < found.error.abs_rel < 0.15


def test_the_worst_points_of_a_weak_fit_are_named() -> None:
    given = samples(5)
    given.metres[2] *= 4
    named = replace(given, places=tuple(f"room.png ({n}, 0)" for n in range(5)))
    found = fit_points(named, replace(WISH, max_error=1e9))
    assert found.error.abs_rel > 0.25
    weak = next(note for note in found.notes if note.startswith("the fit is weak"))
    predicted = f"{found.predicted_m[2]:.3g} m by the fit"
    assert f"room.png (2, 0): {given.metres[2]:.4g} m given, {predicted}" in weak
    assert weak.count("m given") == 3
    with pytest.raises(AccuracyGateError, match=r"raise --max-error; worst points: room.png"):
        fit_points(named, replace(WISH, max_error=0.0))
    assert not any("weak" in note for note in fit_points(samples(5), WISH).notes)


@pytest.mark.parametrize("noise", [0.1, 0.25])
def test_the_interval_holds_the_error_of_other_points(noise: float) -> None:
    held = []
    for seed in range(20):
        found = fit_points(samples(12, noise=noise, seed=seed), WISH)
        others = samples(2000, noise=noise, seed=1000 + seed)
        error = float(np.mean(np.abs(found.line.metres(others.d) / others.metres - 1)))
        held.append(found.error.low <= error <= found.error.high)
    assert np.mean(held) >= 0.75  # few points say little of rare large errors


def test_pictures_are_left_out_where_there_are_three() -> None:
    found = fit_points(samples(12, noise=0.05, pictures=4), WISH)
    assert found.error.left_out == "picture"
    assert found.notes == ()
    assert found.error.line().startswith("AbsRel of a picture left out: .0")


def test_many_points_are_left_out_in_bands() -> None:
    found = fit_points(samples(1500, noise=0.05), WISH)
    assert found.error.left_out == "group of points"
    assert found.error.low < found.error.abs_rel < found.error.high < 0.06


def changed(**fields: Numbers) -> Samples:
    return replace(samples(), **fields)


ONE_DISTANCE = changed(metres=np.linspace(2, 2.2, 10))


@pytest.mark.parametrize(
    ("given", "wish", "sentence"),
    [
        (samples(1), WISH, "1 point cannot tell how far off the metres are: give three"),
        (samples(2), WISH, "2 points cannot tell how far off the metres are: give three"),
        (changed(metres=samples().metres[::-1] * 0 + samples().d), WISH, "the scale would be"),
        (samples(3), replace(WISH, shift="yes"), "3 points, and a shift wants 4"),
        (ONE_DISTANCE, replace(WISH, shift="yes"), "all points are at about one distance (2 to"),
        (changed(d=2 + samples().d * 1e-4), WISH, "the model gives about the same depth at all"),
        (changed(d=samples(shift=0).d - 2), replace(WISH, shift="no"), "is not above 0 at every"),
        (samples(), replace(WISH, farthest_m=2.0), "--farthest 2 is not beyond the farthest point"),
    ],
)  # fmt: skip
def test_points_that_cannot_tell(given: Samples, wish: Wish, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        fit_points(given, wish)
    assert sentence in str(refused.value)


def test_one_distance_gives_a_scale() -> None:
    given = Samples(
        np.array([1.9, 2.0, 2.1, 2.05, 1.95]), np.full(5, 2.5), np.zeros(5, np.intp), 4.0
    )
    found = fit_points(given, WISH)
    assert found.line.shift is None
    assert found.line.scale == pytest.approx(0.2, rel=0.01)
    assert found.notes[0].startswith("scale alone: all points are at about one distance")


def test_three_points_give_a_scale_and_a_wide_interval() -> None:
    found = fit_points(samples(3, shift=0, noise=0.1), WISH)
    assert found.line.shift is None
    assert found.notes[0] == "scale alone: 3 points, and a shift wants 4"
    assert 2 * found.error.abs_rel < found.error.high < np.inf


def test_points_that_have_nothing_to_do_with_the_model() -> None:
    refusals = []
    for seed in range(20):
        chance = np.random.default_rng(seed)
        given = Samples(
            chance.uniform(0.3, 4, 12), np.exp(chance.uniform(-1, 3, 12)), np.zeros(12, np.intp), 4
        )
        with suppress(UsageError):
            try:
                fit_points(given, WISH)
            except AccuracyGateError as error:
                refusals.append(str(error))
                continue
            refusals.append("")
    assert refusals.count("") <= 2
    assert sum(text.startswith("the points do not fit the model: AbsRel") for text in refusals) > 9
