"""The part of a map's range that is shown."""

from __future__ import annotations

import numpy as np
import pytest

from depthrt.temporal.display_range import percentiles


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (48, 63), (51, 101)])
def test_percentiles_are_numpys(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(5).normal(3, 40, shape).astype(np.float32)
    ranks = (0, 2, 50, 98, 99.5, 100)
    np.testing.assert_allclose(percentiles(values, *ranks), np.percentile(values, ranks), rtol=1e-5)
