"""What a user may say of a network and of the file to be made from it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from depthrt.errors import UsageError
from depthrt.spec import OPTIONAL_OUTPUTS, Interpolation, Kind, Resize, Unit

Vary = Literal["batch", "size"]
ExportPrecision = Literal["float32", "float16", "bfloat16", "int8", "auto"]

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_LARGEST = 16384  # pixels a side, as in the spec

DEFAULT_OPSET = 20
"""The first opset whose Resize, Gelu and GridSample torch.onnx needs no detours for."""


@dataclass(frozen=True)
class SourceOptions:
    """What is said of a network beside its source; None leaves it to the source.

    A pixel p in 0..255 reaches the network as ``(p * scale - mean) / std``. ``key``: where the
    state dict is in the checkpoint; ``ignore``: names in it that the network need not have;
    ``output``: the key of the depth among several outputs; ``also``: which optional
    output each other key is, as in ``{"conf": "confidence"}``, empty to keep none; ``bgr``: the
    network's first channel is blue, while mean and std stay in the order red, green, blue.
    """

    checkpoint: Path | None = None
    key: str = ""
    ignore: tuple[str, ...] = ()
    trust_code: bool = False
    name: str | None = None
    licence: str | None = None
    kind: Kind | None = None
    unit: Unit | None = None
    valid_range: tuple[float, float] | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    scale: float | None = None
    size: tuple[int, int] | None = None
    multiple_of: int | None = None
    resize: Resize | None = None
    interpolation: Interpolation | None = None
    output: str = ""
    also: Mapping[str, str] | None = None
    bgr: bool = False

    def over(self, other: SourceOptions) -> SourceOptions:
        """These options, with the other's where these say nothing."""
        values = {
            f.name: getattr(other, f.name) if getattr(self, f.name) in (None, "", False, ()) else v
            for f in dataclasses.fields(self)
            for v in [getattr(self, f.name)]
        }
        return SourceOptions(**values)


@dataclass(frozen=True)
class ExportOptions:
    """How the file is made and proven.

    - ``vary``: which of batch and size the graph leaves open;
    - ``frames``: image, folder, glob or video for the proof and the calibration; None: the clip
      that comes with depthrt;
    - ``calibration``: frames for the int8 ranges, where they are not to come from ``frames``;
    - ``max_error``: largest mean |difference| of an int8 graph to its float32 graph, as a share of
      the float output's 2-98 percentile spread;
    - ``strict``: refuse a network of which the witness says that it is fed or read wrongly;
    - ``golden``: put golden frames into the file;
    - of ``auto`` alone: ``validate``, frames to judge on, where they are not to come from
      ``frames``; ``dataset``, a labelled set; ``target``, the machine; ``max_drop``, the error (or
      growth of AbsRel on the set) allowed; ``budget_s``, the time for the search.
    """

    precision: ExportPrecision = "float32"
    vary: frozenset[Vary] = frozenset()
    opset: int = DEFAULT_OPSET
    rewrite: bool = True
    frames: str | None = None
    calibration: str | None = None
    max_error: float = 0.10
    overwrite: bool = False
    validate: str | None = None
    dataset: Path | None = None
    target: str = "host"
    max_drop: float = 0.05
    budget_s: float = 600.0
    strict: bool = False
    golden: bool = True


def from_settings(settings: Mapping[str, Any], where: str) -> SourceOptions:
    """Options from a mapping, as the ``DEPTHRT`` attribute of a user's module holds them.

    Keys are the names of :class:`SourceOptions` that describe the network (not ``checkpoint``,
    ``key``, ``ignore``, ``trust_code``); ``kind`` may be ``inverse-depth``, ``depth`` or
    ``metric``; ``mean`` and ``std`` one number or three. None says nothing.

    Raises:
        UsageError: an unknown key or an unusable value; ``where`` names the place.
    """
    allowed = {f.name for f in dataclasses.fields(SourceOptions)} - {
        "checkpoint",
        "key",
        "ignore",
        "trust_code",
    }
    unknown = ", ".join(sorted(map(str, set(settings) - allowed)))
    if unknown:
        raise UsageError(
            f"{where} holds unknown settings: {unknown} (known: {', '.join(sorted(allowed))})"
        )
    values = {key: _plain(value) for key, value in settings.items() if value is not None}
    if "kind" in values:
        kind, unit = parse_kind(str(values["kind"]), where)
        values["kind"] = kind
        if unit is not None:
            values.setdefault("unit", unit)
    for key in ("mean", "std"):
        if key in values:
            values[key] = _three(values[key], key, where)
    for key in ("size", "valid_range"):
        if isinstance(values.get(key), list):
            values[key] = tuple(values[key])
    if isinstance(values.get("resize"), str):
        values["resize"] = values["resize"].replace("-", "_")
    for key, value in values.items():
        if key in _RULES and not _RULES[key][0](value):
            raise UsageError(f"{where}: {key} is {_RULES[key][1]}, not {settings[key]!r}")
    return SourceOptions(**values)


def parse_kind(text: str, where: str = "--kind") -> tuple[Kind, Unit | None]:
    """``inverse-depth``, ``depth`` (relative) or ``metric`` (depth in metres) as kind and unit."""
    known: dict[str, tuple[Kind, Unit | None]] = {
        "inverse-depth": ("inverse_depth", None),
        "depth": ("depth", None),
        "metric": ("depth", "m"),
    }
    if text.replace("_", "-") not in known:
        raise UsageError(f"{where}: {text!r} is none of {', '.join(known)}")
    return known[text.replace("_", "-")]


def parse_also(texts: Sequence[str]) -> Mapping[str, str] | None:
    """``KEY=OUTPUT`` of each text, or ``none`` alone; None without a text.

    Raises:
        UsageError: neither, another optional output, or the same one twice.
    """
    if [*texts] == ["none"]:
        return {}
    found: dict[str, str] = {}
    for text in texts:
        key, equals, name = text.rpartition("=")
        if not (key and equals):
            raise UsageError(f"--also {text!r} is not KEY=OUTPUT, as in conf=confidence, or none")
        if name not in OPTIONAL_OUTPUTS:
            raise UsageError(f"--also {text!r}: {name!r} is none of {', '.join(OPTIONAL_OUTPUTS)}")
        if key in found or name in found.values():
            raise UsageError(f"--also says {key if key in found else name} twice")
        found[key] = name
    return found or None


def parse_resize(text: str) -> Resize:
    """``stretch``, ``keep-aspect`` or ``pad``."""
    rule = text.replace("-", "_")
    if rule not in get_args(Resize):
        known = ", ".join(get_args(Resize)).replace("_", "-")
        raise UsageError(f"--resize: {text!r} is none of {known}")
    return cast("Resize", rule)


def parse_size(text: str) -> tuple[int, int]:
    """``192x320`` as height and width."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.strip().isdigit() and int(side) > 0 for side in sides):
        raise UsageError(f"--size {text!r} is not HEIGHTxWIDTH in pixels, such as 192x320")
    return int(sides[0]), int(sides[1])


def parse_three(text: str | None, option: str) -> tuple[float, float, float] | None:
    """``0.485,0.456,0.406`` or one number for all channels."""
    if text is None:
        return None
    try:
        return _three([float(part) for part in text.split(",")], option, "the command line")
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not one number or three, as in 0.5,0.4,0.3") from (
            error
        )


def parse_seconds(text: str) -> float:
    """``90s``, ``10m``, ``1h``, or a number of seconds."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if not found or float(found.group(1)) == 0:
        raise UsageError(f"--budget {text!r} is not a time such as 90s, 10m or 1h")
    return float(found.group(1)) * _SECONDS[found.group(2)]


def _three(value: Any, key: str, where: str) -> tuple[float, float, float]:
    numbers = value if isinstance(value, list) else [value]
    if not all(_is_number(number) for number in numbers):
        raise UsageError(f"{where}: {key} is one number or three, not {value!r}")
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:
        raise UsageError(f"{where}: {key} needs one number or three, not {len(numbers)}")
    red, green, blue = (float(number) for number in numbers)
    return red, green, blue


def _plain(value: Any) -> Any:
    """Python's own numbers and lists for tuples, arrays and tensors."""
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _is_number(value: object) -> bool:
    """Whether it is a finite number; True is none."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    return usable and math.isfinite(cast("float", value))


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST


def _is_size(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_side, value))


def _is_range(value: object) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))
    return pair and cast("tuple[float, float]", value)[0] < cast("tuple[float, float]", value)[1]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_also(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    names = [*value.values()]
    known = all(isinstance(key, str) for key in value) and all(n in OPTIONAL_OUTPUTS for n in names)
    return known and len({*names}) == len(names)


def _one_of(names: tuple[str, ...]) -> tuple[Callable[[object], bool], str]:
    return lambda value: value in names, f"one of {', '.join(names)}"


_RULES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "name": (_is_text, "a text"),
    "bgr": (lambda value: isinstance(value, bool), "True or False"),
    "licence": (lambda value: isinstance(value, str), "a text"),
    "output": (_is_text, "the key of an output, such as 'depth' or 'disp.0'"),
    "also": (_is_also, "a dict of keys and " + ", ".join(OPTIONAL_OUTPUTS)),
    "size": (_is_size, "(height, width) in whole pixels, such as (192, 320)"),
    "multiple_of": (_is_side, "a whole number of pixels from 1 on"),
    "scale": (_is_number, "a number, such as 1 / 255"),
    "valid_range": (_is_range, "two numbers, the smaller first, such as (0.1, 80)"),
    "unit": _one_of(get_args(Unit)),
    "resize": _one_of(get_args(Resize)),
    "interpolation": _one_of(get_args(Interpolation)),
}
