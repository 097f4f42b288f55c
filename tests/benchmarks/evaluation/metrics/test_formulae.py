"""Metrics, crops, resize, boundary and intervals against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError
from depthrt.spec import InputSpec, ModelSpec
from depthrt_benchmarks.evaluation.metrics.boundary import THRESHOLDS, boundary_f1
from depthrt_benchmarks.evaluation.metrics.metrics import depth_metrics, range_bins
from depthrt_benchmarks.evaluation.protocol.crops import (
    check_crop,
    crop_mask,
    cut,
    eigen,
    garg,
    nyu_eigen,
)
from depthrt_benchmarks.evaluation.protocol.protocol import Choices, Customs, choose, doubts
from depthrt_benchmarks.evaluation.protocol.resize import resize_to
from depthrt_benchmarks.evaluation.scoring.score import Row
from depthrt_benchmarks.evaluation.scoring.statistics import (
    bootstrap_mean,
    paired_differences,
    ranges,
)


def test_metrics_of_two_pixels() -> None:
    # p/g = 2 and 1/1.2; errors +1 and -1 m.
    found = depth_metrics(np.array([2.0, 5.0]), np.array([1.0, 6.0]))
    a, b = math.log(2), math.log(5 / 6)
    assert found["abs_rel"] == pytest.approx((1 + 1 / 6) / 2)
    assert found["sq_rel"] == pytest.approx((1 + 1 / 6) / 2)
    assert found["rmse"] == pytest.approx(1.0)
    assert found["rmse_log"] == pytest.approx(math.sqrt((a * a + b * b) / 2))
    assert found["log10"] == pytest.approx((math.log10(2) + math.log10(1.2)) / 2)
    assert found["silog"] == pytest.approx(100 * abs(a - b) / 2)  # deviation of two values
    assert [found[f"delta{k}"] for k in (1, 2, 3)] == [0.5, 0.5, 0.5]  # 2 > 1.25^3 > 1.2


def test_delta_is_strict() -> None:
    found = depth_metrics(np.array([1.25, 1.5625, 1.249]), np.ones(3))
    assert found["delta1"] == pytest.approx(1 / 3)
    assert found["delta2"] == pytest.approx(2 / 3)
    assert found["delta3"] == 1.0


def test_perfect_depth() -> None:
    truth = np.linspace(0.5, 9, 50)
    found = depth_metrics(truth, truth)
    assert {key for key, value in found.items() if value == 1} == {"delta1", "delta2", "delta3"}
    assert all(value == 0 for key, value in found.items() if not key.startswith("delta"))


def test_ranges_hold_the_pixels_of_their_depth() -> None:
    bins = range_bins(np.array([1.5, 2.0, 90.0, 1.0]), np.array([1.0, 1.9, 100.0, 1.0]))
    # 1-2 m: 1.0 (twice) and 1.9; 80 m and more: 100.
    assert [(b.index, b.pixels) for b in bins] == [(2, 3), (9, 1)]
    assert bins[0].abs_rel == pytest.approx((0.5 + 0.1 / 1.9 + 0) / 3)
    assert bins[0].delta1 == pytest.approx(2 / 3)
    rows = [Row("a", valid=4, bins=bins)]
    near, far = ranges(rows, least_pixels=1)
    assert (near.name, near.share, far.name, far.share) == ("1-2 m", 0.75, "80 m and more", 0.25)
    assert [r.name for r in ranges(rows, least_pixels=2)] == ["1-2 m"]


def test_crops_are_the_published_ones() -> None:
    assert nyu_eigen(480, 640) == (45, 471, 41, 601)
    # The values that monodepth2 and BTS arrive at for 375x1242 and 352x1216.
    assert garg(375, 1242) == (153, 371, 44, 1197)
    assert eigen(375, 1242) == (124, 342, 44, 1197)
    assert garg(352, 1216) == (143, 349, 43, 1172)


def test_cut_to_the_benchmark_and_mask() -> None:
    truth = np.arange(375 * 1242).reshape(375, 1242)
    small = cut("kitti-benchmark+garg", truth)
    assert small.shape == (352, 1216)
    assert small[0, 0] == truth[23, 13]
    assert cut("garg", truth) is truth
    mask = crop_mask("kitti-benchmark+garg", *small.shape)
    assert mask.sum() == (349 - 143) * (1172 - 43)
    assert crop_mask("none", 3, 4).all()
    with pytest.raises(SourceError, match="352x1216"):
        cut("kitti-benchmark", truth[:300])
    with pytest.raises(UsageError, match="--crop gard is not known"):
        check_crop("gard")


@pytest.mark.parametrize("size", [(7, 9), (12, 20), (3, 4), (1, 5)])
def test_resize_is_torchs(size: tuple[int, int]) -> None:
    values = np.random.default_rng(1).random((5, 8)).astype(np.float32)
    for rule, corners in (("align-corners", True), ("half-pixel", False)):
        if not corners and size[0] < 5:
            continue  # smaller: OpenCV and torch agree only when enlarging
        theirs = torch.nn.functional.interpolate(
            torch.from_numpy(values)[None, None], size, mode="bilinear", align_corners=corners
        )
        ours = resize_to(values, size, rule)  # type: ignore[arg-type]
        np.testing.assert_allclose(ours, theirs[0, 0].numpy(), atol=2e-5)


def _step(column: int, near: float = 1.0, far: float = 2.0) -> NDArray[np.float64]:
    depth = np.full((6, 8), far)
    depth[:, :column] = near
    return depth


def test_boundary_of_a_step() -> None:
    everywhere = np.ones((6, 8), np.bool_)
    truth = _step(4)
    # One of four directions has edges; the other three have neither edge nor hit: 1/4 each of
    # precision and recall, as the original counts.
    assert boundary_f1(truth, truth, everywhere) == pytest.approx(0.25)
    assert boundary_f1(_step(5), truth, everywhere) == 0.0
    assert boundary_f1(np.ones((6, 8)), truth, everywhere) == 0.0


def test_boundary_weighs_by_threshold_and_leaves_holes_out() -> None:
    everywhere = np.ones((6, 8), np.bool_)
    # A step of 1.15 is seen at the thresholds below it only.
    small = _step(4, 1.0, 1.15)
    seen = THRESHOLDS[THRESHOLDS < 1.15].sum() / THRESHOLDS.sum()
    assert boundary_f1(small, _step(4), everywhere) == pytest.approx(0.25 * seen)
    holes = everywhere.copy()
    holes[:, 4] = False
    assert boundary_f1(_step(4), _step(4), holes) == 0.0


def test_interval_of_known_spread() -> None:
    values = np.random.default_rng(3).normal(5, 2, 400)
    found = bootstrap_mean(list(values))
    assert found.value == pytest.approx(values.mean())
    # Normal theory: 1.96 standard errors to both sides.
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)
    assert found == bootstrap_mean(list(values))
    alone = bootstrap_mean([4.0])
    assert (alone.low, alone.high) == (4.0, 4.0)


def test_paired_comparison_sees_what_the_images_share() -> None:
    random = np.random.default_rng(4)
    hard = random.random(50)  # images differ far more than the models
    first = [Row(str(i), metrics={"abs_rel": h, "delta1": 1 - h}) for i, h in enumerate(hard)]
    second = [
        Row(r.name, metrics={"abs_rel": r.metrics["abs_rel"] - 0.01, "delta1": 1 - h})
        for r, h in zip(first, hard, strict=True)
    ]
    found = {
        d.metric: d for d in paired_differences(first, [*second[5:], Row("0", skipped="dark")])
    }
    assert found["abs_rel"].images == 45
    assert found["abs_rel"].value == pytest.approx(-0.01)
    assert found["abs_rel"].better == "second"
    assert found["delta1"].better == "cannot tell"
    assert paired_differences(second, first)[0].better == "first"


CUSTOMS = Customs(0.5, 20.0, "garg")


def _spec(kind: str, unit: str | None = None) -> ModelSpec:
    return ModelSpec("net", kind, InputSpec(8, 8), unit)  # type: ignore[arg-type]


def test_protocol_follows_the_model_and_the_set() -> None:
    assert choose(_spec("inverse_depth"), CUSTOMS, Choices()).align == "disparity-lsq"
    assert choose(_spec("depth"), CUSTOMS, Choices()).align == "depth-lsq"
    metric = choose(_spec("depth", "m"), CUSTOMS, Choices())
    assert metric.align == "none"
    line = metric.line()
    for word in ("none;", "crop garg", "0.5 < truth < 20 m", "align-corners", "no test-time"):
        assert word in line
    said = choose(_spec("depth", "m"), CUSTOMS, Choices("median", "none", 1, 9, "half-pixel", True))
    for word in ("median;", "no crop", "1 < truth < 9 m", "half-pixel", "mirrored"):
        assert word in said.line()


def test_protocols_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="net gives inverse depth"):
        choose(_spec("inverse_depth"), CUSTOMS, Choices("depth-lsq"))
    with pytest.raises(UsageError, match="0 < min < max"):
        choose(_spec("depth"), CUSTOMS, Choices(min_depth_m=30))
    relative = _spec("inverse_depth")
    assert "does not say that it gives metres" in doubts(
        relative, choose(relative, CUSTOMS, Choices("none"))
    )[0]  # fmt: skip
    assert doubts(_spec("depth", "m"), choose(_spec("depth", "m"), CUSTOMS, Choices())) == []
