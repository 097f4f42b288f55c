"""Which of a network's outputs is depth, and in which layout."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from depthrt.errors import UsageError
from depthrt_export.sources.outputs import autocast_was_used, find_form, to_depth, without_autocast

SIZE = (64, 96)
MAP = torch.arange(64 * 96, dtype=torch.float32).reshape(1, 64, 96)
HALF = MAP[:, ::2, ::2]


class Named(NamedTuple):
    features: Tensor
    disparity: Tensor


@pytest.mark.parametrize(
    ("output", "key"),
    [
        (MAP, ""),
        (MAP[:, None], ""),
        (MAP[..., None], ""),
        (MAP[0], ""),
        ([MAP], "0"),
        ({"metric_depth": MAP}, "metric_depth"),
        ({"depth": MAP, "confidence": MAP + 1}, "depth"),
        ({("disp", 1): HALF, ("disp", 0): MAP[:, None]}, "disp.0"),
        ((torch.ones(1, 8, 64, 96), MAP), "1"),
        (OrderedDict(out={"a": [torch.ones(3), MAP]}), "out.a.1"),
        (Named(torch.ones(1, 8, 8, 12), MAP), "disparity"),
    ],
)
def test_what_is_unambiguous_is_taken(output: Any, key: str) -> None:
    form = find_form(output, SIZE, "net")
    assert form.key == key
    assert torch.equal(to_depth(output, torch.Size(SIZE), form), MAP)


def test_the_rest_is_named() -> None:
    pair = (MAP, MAP.sigmoid())
    with pytest.raises(UsageError, match=r"returns 2 maps .* --depth-output KEY, one of 0, 1"):
        find_form(pair, SIZE, "net")
    form = find_form(pair, SIZE, "net", "1")
    assert (form.key, form.others) == ("1", ("0",))
    assert torch.equal(to_depth(pair, torch.Size(SIZE), form), MAP.sigmoid())
    with pytest.raises(UsageError, match=r"net returns no 'depth': it returns 0 \(1, 64, 96\), 1"):
        find_form(pair, SIZE, "net", "depth")
    with pytest.raises(UsageError, match="returns a dict without a tensor"):
        find_form({"depth": None}, SIZE, "net")


def test_autocast_does_nothing_and_is_noticed() -> None:
    conv = torch.nn.Conv2d(3, 1, 3)
    image = torch.ones(1, 3, 8, 8)
    autocast_was_used()
    with without_autocast(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert conv(image).dtype == torch.float32
    assert autocast_was_used()
    assert not autocast_was_used()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert conv(image).dtype == torch.bfloat16
