"""What a network returns for a picture, and which of it is the depth map."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from depthrt.errors import UsageError
from depthrt.spec import OPTIONAL_OUTPUTS
from depthrt.system.process_settings import Borrowed, Undo

Layout = Literal["N,H,W", "N,1,H,W", "N,H,W,1", "H,W"]

_MAX_ASPECT_DRIFT = 0.05  # an output of another size is the same picture if its aspect is
_SHOWN = 6
_OF_DEPTH = re.compile(r"depth|disp", re.IGNORECASE)


@dataclass(frozen=True)
class OptionalForm:
    """How one of the network's outputs becomes an optional output of the file.

    - ``name``: as in :data:`depthrt.spec.OPTIONAL_OUTPUTS`;
    - ``key``: which output it is (see :func:`named_tensors`);
    - ``layout``: its axes, empty for one number of each picture;
    - ``resize``: whether it is resized to the picture, bilinear.
    """

    name: str
    key: str
    layout: str = ""
    resize: bool = False


@dataclass(frozen=True)
class OutputForm:
    """How the network's output becomes N,H,W.

    - ``layout``: the axes of the depth map; a map H,W belongs to a batch of one picture;
    - ``resize``: whether it is resized to the picture, bilinear;
    - ``key``: which output it is (see :func:`named_tensors`), empty where a tensor is returned;
    - ``others``: the keys of the outputs that are not used;
    - ``optional``: what else is kept;
    - ``said``: a sentence on each output that is kept beside depth, or might have been.
    """

    layout: Layout
    resize: bool
    key: str = ""
    others: tuple[str, ...] = ()
    optional: tuple[OptionalForm, ...] = ()
    said: tuple[str, ...] = ()


def find_form(
    output: Any,
    size: tuple[int, int],
    name: str,
    key: str = "",
    excluded: Collection[str] = (),
) -> OutputForm:
    """The form of the depth map among a network's outputs for one picture of ``size``.

    Without a ``key`` the only map is taken, the only one whose key speaks of depth or disparity,
    or the largest of maps that are named alike and all differ in size; none of those ``excluded``.

    Raises:
        UsageError: no depth map of the picture is there, several are, or none has this key.
    """
    tensors = named_tensors(output)
    if key and key not in tensors:
        raise UsageError(f"{name} returns no {key!r}: {listed(tensors)}")
    if not tensors:
        raise UsageError(
            f"{name} returns {_describe(output)} without a tensor, not a depth map N,H,W or N,1,H,W"
        )
    looked_at = {k: t for k, t in tensors.items() if k not in excluded}
    looked_at = {key: tensors[key]} if key else looked_at or tensors
    layouts = {
        path: layout
        for path, tensor in looked_at.items()
        if isinstance(layout := map_layout(tensor, size), str) and layout in LAYOUTS
    }
    if not layouts:
        raise UsageError(_no_map(looked_at, size, name, output))
    path = _chosen(layouts, tensors)
    if path is None:
        raise UsageError(
            f"{name} returns {len(layouts)} maps of the picture: say which is the depth by "
            f"--depth-output KEY, one of {', '.join(layouts)}"
        )
    height, width = sides_of(tensors[path], layouts[path])
    others = tuple(other for other in tensors if other != path)
    lone = isinstance(output, Tensor)
    return OutputForm(layouts[path], (height, width) != size, "" if lone else path, others)


def not_depth(also: Mapping[str, str] | None) -> tuple[str, ...]:
    """The keys of outputs that are no depth: what they are is said, or is their key."""
    return () if also == {} else (*OPTIONAL_OUTPUTS, *(also or {}))


def named_tensors(output: Any, path: str = "") -> dict[str, Tensor]:
    """Every tensor in nested dicts, tuples, lists and dataclasses, by its path.

    ``{"disp": [a, b]}`` gives ``disp.0`` and ``disp.1``; a key that is a tuple, ``("disp", 0)``,
    gives ``disp.0`` as well.
    """
    if isinstance(output, Tensor):
        return {path or "0": output}
    found: dict[str, Tensor] = {}
    for part, value in _parts(output):
        found |= named_tensors(value, f"{path}.{part}" if path else part)
    return found


def to_depth(output: Any, size: torch.Size, form: OutputForm) -> Tensor:
    """The network's output as float32 N,H,W."""
    maps = as_map(named_tensors(output)[form.key] if form.key else output, form.layout)
    if form.resize:
        maps = F.interpolate(maps.unsqueeze(1), size=size, mode="bilinear", align_corners=False)
        maps = maps.squeeze(1)
    return maps.to(torch.float32)


def as_map(tensor: Tensor, layout: str) -> Tensor:
    """A map of the picture in any layout as N,H,W."""
    if layout == "H,W":
        return tensor.unsqueeze(0)
    if layout == "N,1,H,W":
        return tensor.squeeze(1)
    return tensor.squeeze(3) if layout == "N,H,W,1" else tensor


LAYOUTS: tuple[Layout, ...] = ("N,H,W", "N,1,H,W", "N,H,W,1", "H,W")


def map_layout(tensor: Tensor, size: tuple[int, int]) -> str:
    """The layout of a depth map of the picture, or why it is none, as the end of a sentence."""
    shape = tuple(tensor.shape)
    if not tensor.is_floating_point() or not 2 <= len(shape) <= 4:
        return f"{tensor.dtype} {shape}, not a depth map N,H,W or N,1,H,W of floats"
    fitting = [
        layout
        for layout in LAYOUTS
        if len(layout.split(",")) == len(shape) and _is_map(shape, layout, size)
    ]
    if fitting:
        return fitting[0]
    if len(shape) == 4 and shape[0] == 1 and 1 not in (shape[1], shape[3]):
        return f"{shape[1]} channels {shape}, not a depth map: it must have one channel"
    rows, columns = shape[-2:]
    if len(shape) == 2 or min(rows, columns) <= 1 or shape[0] != 1:
        return f"{tensor.dtype} {shape}, not a depth map N,H,W or N,1,H,W of floats"
    return (
        f"{rows}x{columns} for a picture of {size[0]}x{size[1]}: that is no depth map of the "
        "picture"
    )


def _is_map(shape: tuple[int, ...], layout: Layout, size: tuple[int, int]) -> bool:
    if layout != "H,W" and shape[0] != 1:
        return False
    if (layout == "N,1,H,W" and shape[1] != 1) or (layout == "N,H,W,1" and shape[3] != 1):
        return False
    height, width = shape[1:3] if layout == "N,H,W,1" else shape[-2:]
    if height <= 1 or width <= 1:
        return False
    return abs((height / width) / (size[0] / size[1]) - 1) <= _MAX_ASPECT_DRIFT


def sides_of(tensor: Tensor, layout: str) -> tuple[int, int]:
    """Height and width of a map."""
    shape = tensor.shape[1:3] if layout == "N,H,W,1" else tensor.shape[-2:]
    return int(shape[0]), int(shape[1])


def _chosen(layouts: Mapping[str, Layout], tensors: Mapping[str, Tensor]) -> str | None:
    """Which map is the depth (see :func:`find_form`); None where that is not clear."""
    if len(layouts) == 1:
        return next(iter(layouts))
    named = [path for path in layouts if _OF_DEPTH.search(path)]
    if len(named) == 1:
        return named[0]
    by_area = sorted(
        layouts, key=lambda path: math.prod(sides_of(tensors[path], layouts[path])), reverse=True
    )
    sizes = {sides_of(tensors[path], layouts[path]) for path in layouts}
    alike = len({path.rpartition(".")[0] for path in layouts}) == 1
    return by_area[0] if alike and len(sizes) == len(layouts) else None


def _no_map(looked_at: Mapping[str, Tensor], size: tuple[int, int], name: str, output: Any) -> str:
    if len(looked_at) == 1:
        (tensor,) = looked_at.values()
        return f"{name} returns {map_layout(tensor, size)}"
    return (
        f"{name} returns {_describe(output)}, and none of it is a depth map N,H,W or N,1,H,W of "
        f"the picture: {listed(looked_at)}"
    )


def _parts(output: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(output, Mapping):
        for key, value in output.items():
            yield ".".join(map(str, key)) if isinstance(key, tuple) else str(key), value
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        yield from zip(output._fields, output, strict=True)
    elif isinstance(output, (tuple, list)):
        yield from ((str(i), value) for i, value in enumerate(output))
    elif is_dataclass(output) and not isinstance(output, type):
        yield from ((field.name, getattr(output, field.name)) for field in fields(output))


def _describe(output: Any) -> str:
    if isinstance(output, (tuple, list)):
        return f"a {type(output).__name__} of {len(output)}"
    return f"a {type(output).__name__}"


def listed(tensors: Mapping[str, Tensor]) -> str:
    """The keys and shapes of tensors, as the end of a sentence."""
    shown = [f"{path} {tuple(tensor.shape)}" for path, tensor in list(tensors.items())[:_SHOWN]]
    more = [] if len(tensors) <= _SHOWN else [f"and {len(tensors) - _SHOWN} more"]
    return "it returns " + ", ".join([*shown, *more]) if shown else "it returns no tensor"


_switched_off: list[str] = []


def autocast_was_used() -> bool:
    """Whether a network has tried to compute in 16 bits since the last call."""
    used = bool(_switched_off)
    _switched_off.clear()
    return used


def _no_autocast() -> Undo:
    """Make ``torch.autocast`` do nothing: on the CPU it computes in bfloat16."""
    kind = torch.amp.autocast_mode.autocast
    before = kind.__enter__, kind.__exit__

    def enter(self: Any) -> Any:
        if self._enabled:
            _switched_off.append(self.device)
        return self

    def leave(self: Any, *_: object) -> bool:
        return False

    kind.__enter__, kind.__exit__ = enter, leave  # type: ignore[method-assign]

    def undo() -> None:
        kind.__enter__, kind.__exit__ = before  # type: ignore[method-assign]

    return undo


without_autocast = Borrowed(_no_autocast)
"""Run a network in float32 although its code asks for 16 bits."""
