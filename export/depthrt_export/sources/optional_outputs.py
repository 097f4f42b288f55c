"""What a network returns beside its depth map, as the optional outputs of a depthrt file.

An output whose key is that of an optional output (``confidence``, ``valid``, ``normals``,
``fov_deg``) is taken for it if its shape fits; others are where somebody says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from depthrt.errors import UsageError
from depthrt.spec import OPTIONAL_OUTPUTS
from depthrt_export.sources.outputs import (
    LAYOUTS,
    OptionalForm,
    OutputForm,
    as_map,
    listed,
    map_layout,
    named_tensors,
    sides_of,
)

_NORMALS = {"N,3,H,W": (0, 1, 2, 3), "N,H,W,3": (0, 3, 1, 2)}
_ALIKE = {
    "confidence": ("conf", "certainty"),
    "valid": ("mask", "validity"),
    "normals": ("normal",),
    "fov_deg": ("fov", "field_of_view"),
}


def with_optional(
    form: OutputForm,
    output: Any,
    size: tuple[int, int],
    also: Mapping[str, str] | None,
    name: str,
) -> OutputForm:
    """The form of a network's outputs with the optional ones, and a sentence on each choice.

    Args:
        form: of its depth.
        output: what it gave for one picture.
        size: of that picture, height and width.
        also: the optional output of each key; empty: depth alone; None: by the keys.
        name: the network's.

    Raises:
        UsageError: a key that is not there, or whose tensor is not what it is said to be.
    """
    tensors = named_tensors(output)
    taken: list[OptionalForm] = []
    notes: list[str] = []
    for key, optional in (also or {}).items():
        if key not in tensors:
            raise UsageError(
                f"--also {key}={optional}: {name} returns no {key!r}; {listed(tensors)}"
            )
        if key == form.key:
            raise UsageError(f"--also {key}={optional}: {key} is the depth")
        found = _form(optional, key, tensors[key], size)
        if isinstance(found, str):
            raise UsageError(f"--also {key}={optional}: {name} returns {found}")
        taken.append(found)
    if also is None or also:
        known = {each.name for each in taken} | {each.key for each in taken} | {form.key}
        for key in [key for key in OPTIONAL_OUTPUTS if key in tensors and key not in known]:
            found = _form(key, key, tensors[key], size)
            if isinstance(found, str):
                notes.append(f"{key} was left out: it is {found}")
            else:
                taken.append(found)
    if also is None:
        notes += _hints(tensors, form.key, taken)
    order = [*OPTIONAL_OUTPUTS]
    taken.sort(key=lambda each: order.index(each.name))
    used = {each.key for each in taken}
    others = tuple(key for key in form.others if key not in used)
    said = (*(_sentence(each, tensors[each.key]) for each in taken), *notes)
    return dataclasses.replace(form, optional=tuple(taken), others=others, said=said)


def to_optional(output: Any, size: torch.Size, forms: Sequence[OptionalForm]) -> tuple[Tensor, ...]:
    """The network's optional outputs, as :data:`depthrt.spec.OPTIONAL_OUTPUTS` has them."""
    tensors = named_tensors(output)
    return tuple(_MAKERS[form.name](tensors[form.key], size, form) for form in forms)


def _form(name: str, key: str, tensor: Tensor, size: tuple[int, int]) -> OptionalForm | str:
    """The form of a tensor as an optional output, or what it is instead."""
    shape = tuple(tensor.shape)
    if name == "fov_deg":
        fits = tensor.is_floating_point() and tensor.numel() == 1
        return OptionalForm(name, key) if fits else f"{tensor.dtype} {shape}, not an angle for each"
    if name == "normals":
        channels = {"N,3,H,W": 1, "N,H,W,3": 3}
        for layout, axis in channels.items() if tensor.is_floating_point() else ():
            if len(shape) == 4 and shape[axis] == 3:
                plane = tensor.select(axis, 0)
                if map_layout(plane, size) == "N,H,W":
                    return OptionalForm(name, key, layout, tuple(plane.shape[-2:]) != size)
        return f"{tensor.dtype} {shape}, not normals N,3,H,W of the picture"
    numbers = tensor.float() if name == "valid" and not tensor.is_complex() else tensor
    layout = map_layout(numbers, size)
    if layout not in LAYOUTS:
        return layout.replace("depth map", f"map of {name}")
    return OptionalForm(name, key, layout, sides_of(numbers, layout) != size)


def _sentence(form: OptionalForm, tensor: Tensor) -> str:
    """What is kept, and what nobody said of it."""
    how = {
        "confidence": "larger is taken for surer",
        "valid": "above 0.5 is valid" if tensor.is_floating_point() else "what is not 0 is valid",
        "normals": "made unit vectors; x right, y down, z forward is taken for granted",
        "fov_deg": "taken for the horizontal angle in degrees",
    }[form.name]
    source = "" if form.key == form.name else f"{form.key} as "
    return f"{source}{form.name} ({how})"


def _hints(tensors: Mapping[str, Tensor], depth: str, taken: Sequence[OptionalForm]) -> list[str]:
    """What is probably an optional output by another name."""
    found = {each.name for each in taken}
    return [
        f"{key} was left out; --also {key}={name} keeps it"
        for name, others in _ALIKE.items()
        for key in tensors
        if name not in found and key != depth and key.rpartition(".")[2].lower() in others
    ]


def _resized(maps: Tensor, size: torch.Size, form: OptionalForm) -> Tensor:
    """Maps N,C,H,W at the picture's size, bilinear."""
    if not form.resize:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def _confidence(tensor: Tensor, size: torch.Size, form: OptionalForm) -> Tensor:
    maps = as_map(tensor, form.layout).to(torch.float32)
    return _resized(maps.unsqueeze(1), size, form).squeeze(1)


def _valid(tensor: Tensor, size: torch.Size, form: OptionalForm) -> Tensor:
    maps = as_map(tensor, form.layout)
    if not maps.is_floating_point():
        maps = maps.to(torch.bool)
        if not form.resize:
            return maps
    return _resized(maps.to(torch.float32).unsqueeze(1), size, form).squeeze(1) > 0.5


def _normals(tensor: Tensor, size: torch.Size, form: OptionalForm) -> Tensor:
    maps = tensor.permute(_NORMALS[form.layout]).to(torch.float32)
    return F.normalize(_resized(maps, size, form), dim=1)


def _fov_deg(tensor: Tensor, size: torch.Size, form: OptionalForm) -> Tensor:
    return tensor.reshape(-1).to(torch.float32)


_MAKERS = {
    "confidence": _confidence,
    "valid": _valid,
    "normals": _normals,
    "fov_deg": _fov_deg,
}
