"""A picture so long that a network which keeps the aspect would run at many times its size."""

from __future__ import annotations

import numpy as np
import pytest

from depthrt.spec import InputSpec

pytest.importorskip("starlette")

from depthrt_serving.http.problems import ProblemError
from depthrt_serving.pictures.sent import SentPicture


def raw(height: int, width: int) -> SentPicture:
    return SentPicture("the picture", bytes(height * width * 3), (height, width))


@pytest.mark.parametrize(("height", "width"), [(48, 4000), (4000, 48)])
def test_it_is_refused_before_the_network_runs(height: int, width: int) -> None:
    spec = InputSpec(48, 64, "keep_aspect", 16)
    with pytest.raises(ProblemError, match="cut the picture into parts") as caught:
        raw(height, width).prepare(spec)
    assert caught.value.status == 413


def test_a_panorama_of_common_length_and_fixed_sizes_are_taken() -> None:
    wide = raw(48, 160).prepare(InputSpec(48, 64, "keep_aspect", 16))
    assert wide.shape == (3, 48, 160)
    long = raw(48, 4000).prepare(InputSpec(48, 64))
    assert long.shape == (3, 48, 64)
    assert long.dtype == np.uint8
