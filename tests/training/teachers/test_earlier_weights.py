"""Labels that two networks give together."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
ROWS = np.linspace(1, 3, 128, dtype=np.float32)[:, None]
COLUMNS = np.linspace(0, 2, 160, dtype=np.float32)[None]


def test_the_layout_lies_half_way() -> None:
    from depthrt_training.teachers.earlier_weights import share_layout

    own, other = ROWS + 0 * COLUMNS, ROWS + COLUMNS - 1
    shared = share_layout(own, 0.2 * other + 7)  # another scale and shift
    scale, shift = np.polyfit(other.ravel(), own.ravel(), 1)
    inside = np.s_[16:-16, 16:-16]  # away from the border, where smoothing bends
    half = (own + scale * other + shift) / 2
    assert np.abs(shared - half)[inside].max() < 0.01
    assert np.abs(shared - own)[inside].max() > 0.1


def test_edges_stay_where_its_own_are() -> None:
    from depthrt_training.teachers.earlier_weights import share_layout

    own, other = np.ones((128, 160), np.float32), np.ones((128, 160), np.float32)
    own[:, 80:] = 3
    other[:, 86:] = 3  # the same edge, six pixels beside
    steps = np.abs(np.diff(share_layout(own, other)[64]))
    assert steps.argmax() == 79
    assert np.sort(steps)[-2] < 0.1 * steps.max()
