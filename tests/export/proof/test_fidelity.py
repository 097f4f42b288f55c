"""The figures of fidelity, against values worked out by hand and against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depthrt_export.proof.fidelity import (
    aligned_delta1,
    disparity_lsq,
    fidelity,
    pearson,
    spread,
    sqnr_db,
    summary,
)

RANDOM = np.random.default_rng(2)
REFERENCE = (RANDOM.random((40, 60)) * 4 + 1).astype(np.float32)


def test_equal_maps_are_perfect() -> None:
    figures = fidelity(REFERENCE, REFERENCE)
    assert math.isinf(figures.sqnr_db)
    assert figures.pearson == pytest.approx(1)
    assert (figures.delta1, figures.mean_error, figures.max_error) == (1.0, 0.0, 0.0)
    assert summary([figures])["sqnr_db"] == 999


def test_sqnr_of_a_known_noise() -> None:
    reference = np.full((2, 2), 10, np.float32)
    noisy = reference + np.array([[1, -1], [1, -1]], np.float32)
    assert sqnr_db(reference, noisy) == pytest.approx(20)  # power 100 over 1
    assert sqnr_db(np.zeros((2, 2), np.float32), noisy) == -math.inf


def test_pearson_is_numpys() -> None:
    other = REFERENCE + RANDOM.normal(size=REFERENCE.shape).astype(np.float32)
    expected = np.corrcoef(REFERENCE.ravel(), other.ravel())[0, 1]
    assert pearson(REFERENCE, other) == pytest.approx(expected, rel=1e-6)
    assert pearson(REFERENCE, -REFERENCE) == pytest.approx(-1)
    assert pearson(REFERENCE, np.ones_like(REFERENCE)) == 0


def test_least_squares_is_lstsqs() -> None:
    prediction = RANDOM.random((30, 30)).astype(np.float32)
    target = 3 * prediction - 2 + RANDOM.normal(0, 0.1, (30, 30)).astype(np.float32)
    columns = np.stack([prediction.ravel(), np.ones(900)], axis=1)
    expected, *_ = np.linalg.lstsq(columns, target.ravel(), rcond=None)
    assert disparity_lsq(prediction, target) == pytest.approx(tuple(expected), rel=1e-5)
    constant = np.full((30, 30), 0.5, np.float32)
    assert disparity_lsq(constant, target) == pytest.approx((1, float(target.mean()) - 0.5))


def test_delta1_forgives_scale_and_shift_alone() -> None:
    assert aligned_delta1(REFERENCE, 7 * REFERENCE - 3) == 1
    half = REFERENCE.copy()
    half[:20] = half[:20][::-1, ::-1]  # other depths in the upper half
    assert 0.5 < aligned_delta1(REFERENCE, half) < 0.95


def test_delta1_of_depth_is_taken_on_its_inverse() -> None:
    depth = (1 / REFERENCE).astype(np.float32)
    worse = (1 / (REFERENCE - 0.9)).astype(np.float32)  # exact once its inverse is aligned
    assert aligned_delta1(depth, worse, "depth") == 1
    assert aligned_delta1(depth, worse, "inverse_depth") < 1


def test_far_pixels_near_zero_do_not_decide() -> None:
    reference = REFERENCE.copy()
    reference[0] = 0
    tiny = reference.copy()
    tiny[0] = 1e-4
    assert aligned_delta1(reference, tiny) == 1


def test_errors_are_shares_of_the_spread() -> None:
    ramp = np.linspace(0, 100, 10001, dtype=np.float32).reshape(1, -1)
    assert spread(ramp) == pytest.approx(96)
    figures = fidelity(ramp, ramp + np.float32(0.96))
    assert figures.mean_error == pytest.approx(0.01, rel=1e-3)
    assert figures.max_error == pytest.approx(0.01, rel=1e-3)
    assert spread(np.full((4, 4), 5, np.float32)) == pytest.approx(0.005)


def test_summary_takes_the_worst_at_its_own_end() -> None:
    good = fidelity(REFERENCE, REFERENCE + np.float32(0.01))
    bad = fidelity(REFERENCE, REFERENCE[::-1].copy())
    figures = summary([good, bad])
    assert figures["worst_sqnr_db"] == pytest.approx(bad.sqnr_db, rel=1e-5)
    assert figures["worst_max_error"] == pytest.approx(bad.max_error, rel=1e-5)
    assert figures["mean_error"] == pytest.approx((good.mean_error + bad.mean_error) / 2, rel=1e-5)
