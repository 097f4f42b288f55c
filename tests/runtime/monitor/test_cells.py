"""Dirt on a lens takes texture away at the same places, whatever the scene."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.errors import ModelError
from depthrt.monitor.cells import CELLS, COUNT, UsualCells, texture_by_cell
from depthrt.monitor.drift import Rate, score_cells, usual_cells
from depthrt.monitor.reference import read_reference
from depthrt.monitor.watch import Watch, WatchOptions, drifting

SIZE = (112, 144)
Pixels = NDArray[np.uint8]


def scenes(seed: int) -> Iterator[Pixels]:
    """Pictures (3,h,w) whose scene changes each five: noise of some strength, and a flat part."""
    random = np.random.default_rng(seed)
    while True:
        strength = random.uniform(10, 60)
        flat = np.ones(SIZE, np.float32)
        place = random.integers(0, SIZE[1] - 50)
        flat[: random.integers(10, 60), place : place + 50] = 0.05
        for _ in range(5):
            noise = random.normal(128, strength, (3, *SIZE)) - 128
            yield np.clip(128 + noise * flat, 0, 255).astype(np.uint8)


def smeared(picture: Pixels) -> Pixels:
    """A smear on the lens, over a cell or so."""
    mask = np.zeros(SIZE, np.float32)
    cv2.ellipse(mask, (100, 80), (14, 12), 0, 0, 360, 1.0, -1)
    soft = np.stack([cv2.GaussianBlur(plane, (0, 0), 4) for plane in picture])
    return np.asarray(picture * (1 - mask) + soft * mask, np.uint8)


def cells_of(pictures: Iterator[Pixels], count: int) -> NDArray[np.float32]:
    return np.array([texture_by_cell(each) for each in islice(pictures, count)])


def test_texture_is_beside_that_of_the_whole_picture() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 20, SIZE)
    noise[:16, :16] *= 0.1  # the first cell, nearly
    picture = np.repeat((128 + noise).astype(np.uint8)[None], 3, axis=0)
    cells = texture_by_cell(picture)
    assert cells.shape == (COUNT,) == (CELLS[0] * CELLS[1],)
    assert np.median(cells) == 0
    assert cells.argmin() == 0
    assert cells[0] == pytest.approx(-1, abs=0.15)
    assert texture_by_cell(picture // 2)[0] == pytest.approx(cells[0], abs=0.15)


def test_a_smear_is_over_the_limit_and_unchanged_windows_are_below() -> None:
    usual = usual_cells(cells_of(scenes(1), 1200), Rate())
    calm = [score_cells(usual, cells_of(scenes(seed), 120)).score for seed in range(2, 12)]
    assert max(calm) < 1
    dirty = score_cells(usual, cells_of(map(smeared, scenes(20)), 120))
    assert dirty.score > 1
    assert dirty.mean > 0.3
    again = UsualCells(usual.means, usual.deviations, usual.limit)
    assert again.loss(cells_of(scenes(2), 120))[1] < 1


def test_a_loss_that_is_too_small_to_matter_is_none() -> None:
    usual = UsualCells(np.zeros(COUNT), np.full(COUNT, 0.001), 1.0)
    window = np.zeros((120, COUNT), np.float32)
    window[:, 7] = -0.09
    assert score_cells(usual, window).score == 0
    window[:, 7] = -0.11
    assert score_cells(usual, window).score == pytest.approx(110, abs=1)


def test_a_watch_learns_places_and_keeps_them() -> None:
    watch = Watch(WatchOptions(learn_s=300, rate=Rate()))
    stream = scenes(1)

    def add(pictures: Iterator[Pixels], count: int) -> None:
        for each in islice(pictures, count):
            watch.add(
                {"brightness": 0.5 + 0.01 * float(each[0, 0, 0]) / 255}, texture_by_cell(each)
            )

    add(stream, 600)
    watch.settle()
    reference = watch.verdict.reference
    assert reference is not None
    assert reference.cells is not None
    read = read_reference(reference.to_json())
    assert read.cells is not None
    assert read.cells.means == pytest.approx(reference.cells.means, abs=1e-4)
    assert read.cells.limit == pytest.approx(reference.cells.limit, abs=1e-3)
    add(stream, 200)
    assert not watch.verdict.drifts
    add(map(smeared, stream), 200)
    assert drifting(watch.verdict) == ["smear"]
    add(stream, 240)
    assert not watch.verdict.drifts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"means": [0.0] * 62}, "means"),
        ({"deviations": [0.0] * COUNT}, "deviations"),
        ({"limit": 0}, "limit"),
    ],
)
def test_broken_cells_are_refused(change: dict[str, object], said: str) -> None:
    whole = {"means": [0.0] * COUNT, "deviations": [0.1] * COUNT, "limit": 5.0}
    feature = {"edges": [0.0, 1.0, 2.0], "inner": [1, 2], "width": 1.0, "bins": "BBBBBBBB"}
    content = {
        "version": 1, "frames": 8, "in_order": True, "sample_s": 0.5, "source": "a test",
        "model": "", "features": {"brightness": feature}, "cells": {**whole, **change},
    }  # fmt: skip
    with pytest.raises(ModelError, match=said):
        read_reference(json.dumps(content))
