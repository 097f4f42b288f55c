"""The loss counts edges for more where the truth has them in the right place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

sys.path.insert(0, str(Path(__file__).parents[2] / "training"))

from losses import LossWeights, depth_loss  # noqa: E402


def test_a_blurred_edge_costs_more_on_an_exact_target() -> None:
    target = torch.zeros(2, 16, 16)
    target[:, :, 8:] = 4.0
    blurred = target.clone()
    blurred[:, :, 6:10] = torch.tensor([0.8, 1.6, 2.4, 3.2])
    valid = torch.ones(2, 16, 16, dtype=torch.bool)
    weights = LossWeights(gradient=0.5, exact_gradient=2.0, anchor=0.2, trim=0.1)

    def loss(exact: list[bool]) -> float:
        return float(depth_loss(blurred, target, valid, torch.tensor(exact), weights))

    soft, sharp = loss([False, False]), loss([True, True])
    assert sharp > 2 * soft
    assert loss([True, False]) == pytest.approx((soft + sharp) / 2)
    assert float(depth_loss(target, target, valid, torch.tensor([True, True]), weights)) < 1e-2
