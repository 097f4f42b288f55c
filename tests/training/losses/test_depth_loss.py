"""What the loss counts for more: exact edges, and what is far; and the error that chooses."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from depthrt_training.losses.depth_loss import (  # noqa: E402
    LossWeights,
    depth_loss,
    far_weight,
    invariant_error,
    relative_error,
)


def test_a_blurred_edge_costs_more_on_an_exact_target() -> None:
    target = torch.zeros(2, 16, 16)
    target[:, :, 8:] = 4.0
    blurred = target.clone()
    blurred[:, :, 6:10] = torch.tensor([0.8, 1.6, 2.4, 3.2])
    valid = torch.ones(2, 16, 16, dtype=torch.bool)
    weights = LossWeights(gradient=0.5, exact_gradient=2.0, anchor=0.2, trim=0.1)

    unknown = torch.full((2,), torch.nan)

    def loss(exact: list[bool]) -> float:
        return float(depth_loss(blurred, target, valid, torch.tensor(exact), unknown, weights))

    soft, sharp = loss([False, False]), loss([True, True])
    assert sharp > 2 * soft
    assert loss([True, False]) == pytest.approx((soft + sharp) / 2)
    exact = torch.tensor([True, True])
    assert float(depth_loss(target, target, valid, exact, unknown, weights)) < 1e-2


def test_far_pixels_weigh_by_the_inverse_of_inverse_depth_where_infinity_is_known() -> None:
    target = torch.tensor([[[1.0, 2.0, 4.0, 9.0]], [[1.0, 2.0, 4.0, 9.0]]])
    valid = torch.tensor([[[True, True, True, False]]]).repeat(2, 1, 1)
    weight = far_weight(target, valid, torch.tensor([1.0, torch.nan]), 0.25)
    inverse = torch.tensor([0.0, 1.0, 3.0])  # above the horizon of 1; their mean is 4 / 3
    expected = 1 / (inverse + 0.25 * 4 / 3)
    assert torch.allclose(weight[0, 0, :3], expected / expected.mean())
    assert torch.equal(weight[1], torch.ones(1, 4))


def test_an_error_far_away_costs_more_with_a_far_weight_and_the_same_without_a_horizon() -> None:
    target = torch.linspace(0, 6, 64).repeat(1, 64, 1)  # 0 is infinitely far
    far, near = target.clone(), target.clone()
    far[:, :, 2:10] += 0.5
    near[:, :, 54:62] += 0.5
    valid, exact = torch.ones(1, 64, 64, dtype=torch.bool), torch.tensor([False])
    weights = LossWeights(gradient=0.0, exact_gradient=0.0, anchor=0.0, trim=0.0, far=0.25)

    def loss(guess: torch.Tensor, horizon: float) -> float:
        return float(depth_loss(guess, target, valid, exact, torch.tensor([horizon]), weights))

    assert loss(far, 0.0) > 2 * loss(near, 0.0)
    assert loss(far, torch.nan) == pytest.approx(loss(near, torch.nan), rel=0.05)


def test_the_relative_error_is_that_of_depth_up_to_scale_and_shift() -> None:
    depth_m = torch.linspace(1, 5, 32).repeat(1, 32, 1)
    target, valid = 3 / depth_m + 0.7, torch.ones(1, 32, 32, dtype=torch.bool)
    horizon = torch.tensor([0.7])
    assert float(relative_error(2 * target + 5, target, valid, horizon)) < 2e-3
    wrong = target.clone()
    wrong[:, :8] = 3 / (depth_m[:, :8] * 1.01) + 0.7
    assert float(relative_error(wrong, target, valid, horizon)) == pytest.approx(0.0043, abs=1e-3)
    assert torch.isnan(relative_error(target, target, valid, torch.tensor([torch.nan]))).all()


def test_a_pixel_counts_by_its_weight_and_not_at_all_without_one() -> None:
    target = torch.linspace(0, 6, 64).repeat(2, 64, 1)
    guess, weight = target.clone(), torch.ones(2, 64, 64)
    guess[:, :, :8] += 1.0
    weight[0, :, :8] = 0.0
    weight[1, :, :8] = 0.5
    weights = LossWeights(gradient=0.0, exact_gradient=0.0, anchor=1.0, trim=1.0)
    unknown, exact = torch.full((1,), torch.nan), torch.tensor([False])

    def loss(i: int, counts: torch.Tensor) -> float:
        part = (guess[i : i + 1], target[i : i + 1], counts)
        return float(depth_loss(*part, exact, unknown, weights))

    assert loss(0, weight[:1]) == pytest.approx(0.0, abs=1e-5)
    whole, half = loss(1, torch.ones(1, 64, 64, dtype=torch.bool)), loss(1, weight[1:])
    assert 0.4 < half / whole < 0.65
    same = torch.ones(1, 64, 64)
    assert loss(1, same) == loss(1, same.bool())


def test_scale_and_shift_are_found_whatever_the_weights() -> None:
    draws = torch.Generator().manual_seed(3)
    target = 6 * torch.rand(1, 32, 32, generator=draws)
    weight = torch.rand(1, 32, 32, generator=draws)
    assert float(invariant_error(0.5 * target - 1, target, weight)) < 0.01
