"""Samples made hard: their labels stay where they were."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize("step", [1, 2])
def test_the_covered_box_shows_the_other_picture_and_has_no_label(step: int) -> None:
    from depthrt_training.data.augmentation import cover

    rng = np.random.default_rng(0)
    for _ in range(50):
        rgb = np.zeros((64, 96, 3), np.uint8)
        other = np.full((64, 96, 3), 255, np.uint8)
        target = np.ones((64 // step, 96 // step), np.float32)
        valid = np.ones(target.shape, bool)
        covered, same, known = cover((rgb, target, valid), other, rng)
        assert 0.03 < (covered[..., 0] == 255).mean() < 0.37
        assert np.array_equal(known, covered[::step, ::step, 0] == 0)
        assert same is target
        assert valid.all()
        assert not rgb.any()


def test_colours_change_and_geometry_does_not() -> None:
    from depthrt_training.data.augmentation import MILD, STRONG, augment
    from depthrt_training.data.label_cache import Sample

    ramp = np.broadcast_to(np.arange(96, dtype=np.float16) / 32, (64, 96))
    rgb = np.repeat((ramp * 80).astype(np.uint8)[..., None], 3, axis=2)
    sample = Sample(rgb, np.ascontiguousarray(ramp), None, 0.0)

    def drawn(colours: object) -> tuple[list[np.ndarray], list[np.ndarray]]:
        items = [
            augment(sample, (64, 96), np.random.default_rng(i), True, colours)  # type: ignore[arg-type]
            for i in range(30)
        ]
        return [item[0] for item in items], [item[1] for item in items]

    mild, mild_targets = drawn(MILD)
    strong, strong_targets = drawn(STRONG)
    for a, b in zip(mild_targets, strong_targets, strict=True):
        assert np.array_equal(a, b)

    def spread(images: list[np.ndarray]) -> float:
        return float(np.std([image.mean() for image in images]))

    assert spread(strong) > 1.5 * spread(mild)
