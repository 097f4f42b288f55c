"""What is said of a network's outputs beside depth, and what is found of them by their keys."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from depthrt.errors import UsageError
from depthrt_export.options import from_settings, parse_also
from depthrt_export.sources.optional_outputs import to_optional, with_optional
from depthrt_export.sources.outputs import OptionalForm, OutputForm, find_form, not_depth

SIZE = (48, 64)


def forms(output: dict[str, torch.Tensor], also: dict[str, str] | None = None) -> OutputForm:
    form = find_form(output, SIZE, "net", "", not_depth(also))
    return with_optional(form, output, SIZE, also, "net")


def depth() -> torch.Tensor:
    return torch.rand(1, 1, *SIZE)


def test_a_second_map_of_a_known_name_is_no_depth() -> None:
    form = forms({"pred": depth(), "confidence": torch.rand(1, *SIZE)})
    assert form.key == "pred"
    assert form.optional == (OptionalForm("confidence", "confidence", "N,H,W"),)
    assert form.others == ()


def test_a_known_name_of_another_shape_is_left_out_and_named() -> None:
    form = forms({"depth": depth(), "normals": torch.rand(1, 2, *SIZE), "valid": torch.rand(1, 7)})
    assert form.optional == ()
    valid, normals = form.said
    assert valid.startswith("valid was left out: it is torch.float32 (1, 7), not a map of valid")
    assert normals.startswith("normals was left out: it is torch.float32 (1, 2, 48, 64), not norm")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (torch.tensor([[0, 255], [1, 0]], dtype=torch.uint8), [[False, True], [True, False]]),
        (torch.tensor([[0.2, 0.6], [0.5, 1.0]]), [[False, True], [False, True]]),
        (torch.tensor([[True, False], [False, True]]), [[True, False], [False, True]]),
    ],
)
def test_masks_of_any_numbers(mask: torch.Tensor, expected: list[list[bool]]) -> None:
    form = OptionalForm("valid", "valid", "N,H,W")
    (valid,) = to_optional({"valid": mask[None]}, torch.Size((2, 2)), (form,))
    assert valid.dtype == torch.bool
    assert valid[0].tolist() == expected


def test_normals_with_channels_last_become_unit_vectors() -> None:
    normals = torch.zeros(1, 24, 32, 3)
    normals[..., 2] = -5
    form = forms({"depth": depth(), "normals": normals})
    assert form.optional == (OptionalForm("normals", "normals", "N,H,W,3", True),)
    (made,) = to_optional({"normals": normals}, torch.Size(SIZE), form.optional)
    assert made.shape == (1, 3, *SIZE)
    torch.testing.assert_close(made[0, 2], torch.full(SIZE, -1.0))


def test_what_is_said_on_the_command_line() -> None:
    assert parse_also([]) is None
    assert parse_also(["none"]) == {}
    assert parse_also(["out.0=confidence", "m=valid"]) == {"out.0": "confidence", "m": "valid"}


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["conf"], "--also 'conf' is not KEY=OUTPUT"),
        (["conf=certainty"], "'certainty' is none of confidence, valid, normals, fov_deg"),
        (["a=valid", "b=valid"], "--also says valid twice"),
        (["a=valid", "a=confidence"], "--also says a twice"),
        (["none", "a=valid"], "--also 'none' is not KEY=OUTPUT"),
    ],
)
def test_what_cannot_be_meant(texts: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_also(texts)
    assert says in str(caught.value)


def test_a_file_may_say_it_once() -> None:
    assert from_settings({"also": {"conf": "confidence"}}, "net.py").also == {"conf": "confidence"}
    assert from_settings({"also": {}}, "net.py").also == {}


@pytest.mark.parametrize("also", ["conf", ["conf"], {"a": "sky"}, {"a": "valid", "b": "valid"}])
def test_settings_that_cannot_be_meant(also: Any) -> None:
    with pytest.raises(UsageError, match=r"also is a dict of keys and confidence, valid"):
        from_settings({"also": also}, "net.py")
