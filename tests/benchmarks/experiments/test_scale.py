"""The experiment on metres from ten points: on frames whose line is known, and its result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.scale.metres import FrameOfSet, Measured, measure, short_table

ROOT = Path(__file__).parents[3]


def frames(drift: float) -> Measured:
    """Twelve frames of a model with 5% of noise; drift moves the scale from frame to frame."""
    chance = np.random.default_rng(0)
    found = []
    for _ in range(12):
        d = chance.uniform(0.5, 4, 800)
        scale = 0.2 * np.exp(drift * chance.standard_normal())
        y = (scale * d + 0.05) * np.exp(0.05 * chance.standard_normal(800))
        found.append(FrameOfSet(d, 1 / y))
    return Measured(found, 0.1, 30)


def test_without_drift_ten_points_come_close_to_the_bound() -> None:
    row = measure(frames(0.0), "inverse_depth", is_metric=False, draws=8)
    assert row["frames"] == 12
    assert row["aligned_abs_rel"]["disparity-lsq"] == pytest.approx(0.04, abs=0.005)
    assert row["bound"]["one scale and shift"]["ratio"] == pytest.approx(1, abs=0.02)
    assert row["bound"]["one scale"]["ratio"] > 1.2
    ways = row["ten_points_of_one_frame"]
    assert 1 < ways["default"]["ratio"] < 1.25
    assert ways["default"]["refused"] == 0
    assert ways["scale, Huber on logarithms"]["ratio"] > ways["default"]["ratio"]
    assert row["stated_error"]["stated_abs_rel"] == pytest.approx(0.04, abs=0.015)
    assert "default, as if relative" not in ways


def test_drift_bounds_what_any_points_can_give() -> None:
    row = measure(frames(0.4), "inverse_depth", is_metric=False, draws=5)
    bound = row["bound"]["one scale and shift"]["ratio"]
    assert bound > 3
    assert row["ten_points_of_one_frame"]["default"]["ratio"] > 0.98 * bound


def test_the_page_quotes_the_result() -> None:
    document = json.loads((ROOT / "benchmarks" / "results" / "scale_metres.json").read_text())
    page = (ROOT / "docs" / "guide" / "metres.md").read_text(encoding="utf-8")
    assert short_table(document["rows"]) in page
    held = [row["stated_error"]["interval_holds_it"] for row in document["rows"]]
    assert f"{min(held):.0%}"[:-1] + f" to {max(held):.0%} of the draws" in page
    refused = [row["ten_points_of_one_frame"]["default"]["refused"] for row in document["rows"]]
    assert f"refused ({min(refused)} to {max(refused)} of them)" in page
