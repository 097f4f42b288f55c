"""The contract that a depthrt model file carries in its own metadata.

A depthrt model is one ``.onnx`` file with

- input ``image``: uint8 RGB pixels, N,3,H,W; normalisation is inside the graph;
- output ``depth``: float32, N,H,W, unnormalised;
- further outputs where the spec names them: see :data:`OPTIONAL_OUTPUTS`;
- metadata entry ``depthrt``: the JSON form of :class:`ModelSpec`;
- for int8 weights, metadata entry ``depthrt_weight_bits``: how many of their bits are used: 8, or
  7 so that processors without VNNI can add their products fast without saturation.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from depthrt.errors import ModelError
from depthrt.files.json_file import parse_json

METADATA_KEY = "depthrt"
WEIGHT_BITS_KEY = "depthrt_weight_bits"
SCHEMA_VERSION = 2
"""The newest version that is read. Files without optional outputs are written as version 1, which
older releases of depthrt read, too."""
_SHOWN = 200  # characters of a wrong value

Kind = Literal["inverse_depth", "depth"]
Unit = Literal["m"]
Resize = Literal["stretch", "keep_aspect", "pad"]
Interpolation = Literal["linear", "cubic", "area"]
Precision = Literal["float32", "float16", "bfloat16", "int8", "int8_dynamic", "int16"]


class TensorForm(NamedTuple):
    """Element type of a tensor, as ONNX names it, and its axes."""

    element: Literal["float", "bool"]
    axes: tuple[str, ...]


DEPTH = TensorForm("float", ("N", "H", "W"))
OPTIONAL_OUTPUTS: Mapping[str, TensorForm] = {
    "confidence": TensorForm("float", ("N", "H", "W")),
    "valid": TensorForm("bool", ("N", "H", "W")),
    "normals": TensorForm("float", ("N", "3", "H", "W")),
    "fov_deg": TensorForm("float", ("N",)),
}
"""What a file may give beside ``depth``, at the same height and width.

- ``confidence``: larger is surer; the scale is the network's own and need not end at 1;
- ``valid``: where the depth means something. Elsewhere (sky, say) it may be anything, NaN, too;
- ``normals``: unit vectors of the surface, towards the camera, in its coordinates: x right, y down,
  z forward. So z is negative where a surface can be seen;
- ``fov_deg``: horizontal angle of view of the image that goes in, in degrees, between 0 and 180.
"""


def direction_of(kind: Kind) -> Literal["nearer", "farther"]:
    """What a larger value of depth of this kind means."""
    return "nearer" if kind == "inverse_depth" else "farther"


@dataclass(frozen=True)
class InputSpec:
    """How a frame of any size becomes the network's input.

    - ``stretch`` resizes to height x width.
    - ``pad`` keeps the aspect ratio and fills the right and the bottom.
    - ``keep_aspect`` needs a graph with dynamic height and width. It scales as DPT does: both sides
      by the ratio (of heights or of widths) that is nearer to 1, then each side is rounded to
      ``multiple_of``.
    """

    height: int
    width: int
    resize: Resize = "stretch"
    multiple_of: int = 1
    interpolation: Interpolation = "linear"

    def __post_init__(self) -> None:
        respell(self, "resize")


@dataclass(frozen=True)
class ModelSpec:
    """What a depthrt model expects and returns: a versioned JSON object in the file's metadata.

    - ``kind``: ``inverse_depth`` (larger is nearer) or ``depth`` (larger is farther).
    - ``unit``: ``m`` for metric depth, else None (relative, known up to scale, or scale and shift).
    - ``valid_range``: values that the network can predict, in the output's unit; None if unknown.
    - ``output_range``: smallest and largest value seen when the file was made.
    - ``outputs``: the optional outputs that the graph has beside ``depth``, of
      :data:`OPTIONAL_OUTPUTS`.
    - ``float_nodes``: graph nodes left in float by quantisation.
    - ``provenance``: source, checkpoint hash, package versions.
    - ``measured``: fidelity, accuracy, latency ratio, and on which frames.
    """

    name: str
    kind: Kind
    input: InputSpec
    unit: Unit | None = None
    valid_range: tuple[float, float] | None = None
    output_range: tuple[float, float] | None = None
    precision: Precision = "float32"
    float_nodes: tuple[str, ...] = ()
    licence: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(_is_text(self.name) and bool(self.name), "name", self.name, "a name")
        _require(_is_text(self.licence), "licence", self.licence, "a line of text")
        nodes = isinstance(self.float_nodes, tuple) and all(map(_is_text, self.float_nodes))
        _require(nodes, "float_nodes", self.float_nodes, "a list of names")
        known = isinstance(self.outputs, tuple) and all(map(_is_optional_output, self.outputs))
        rule = "a list of names, each once, of " + ", ".join(OPTIONAL_OUTPUTS)
        _require(known and len({*self.outputs}) == len(self.outputs), "outputs", self.outputs, rule)
        for key in ("provenance", "measured"):
            _require(isinstance(getattr(self, key), Mapping), key, getattr(self, key), "an object")
        respell(self, "kind", "precision")
        _require_one_of("kind", self.kind, get_args(Kind))
        _require_one_of("unit", self.unit, (*get_args(Unit), None))
        _require_one_of("precision", self.precision, get_args(Precision))
        _require_one_of("resize", self.input.resize, get_args(Resize))
        _require_one_of("interpolation", self.input.interpolation, get_args(Interpolation))
        for key in ("height", "width", "multiple_of"):
            value = getattr(self.input, key)
            _require(_is_int(value) and 1 <= value <= 16384, key, value, "an integer in 1..16384")
        for key in ("height", "width"):
            value = getattr(self.input, key)
            rule = f"a multiple of {self.input.multiple_of}"
            _require(value % self.input.multiple_of == 0, key, value, rule)
        for key in ("valid_range", "output_range"):
            value = getattr(self, key)
            _require(
                value is None or _is_range(value), key, value, "two finite numbers, low < high"
            )

    @property
    def larger_is(self) -> Literal["nearer", "farther"]:
        """What a larger value of the output means."""
        return direction_of(self.kind)

    def to_json(self) -> str:
        """The JSON object that goes into the metadata of the ``.onnx`` file."""
        content = dataclasses.asdict(self)
        content["larger_is"] = self.larger_is
        version = SCHEMA_VERSION
        if not self.outputs:
            del content["outputs"]
            version = 1
        return json.dumps({"schema_version": version, **content}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read what :meth:`to_json` wrote.

        Raises:
            ModelError: not JSON, a newer schema, unknown or missing fields, values out of range.
        """
        try:
            content = parse_json(text)
        except ValueError as error:
            raise ModelError(f"the depthrt spec is not valid JSON ({error})") from error
        if not isinstance(content, dict):
            raise ModelError("the depthrt spec is not a JSON object")
        version = content.pop("schema_version", None)
        if not _is_int(version) or version < 1:
            raise ModelError(
                f"the depthrt spec has no usable schema_version (got {_shown(version)})"
            )
        if version > SCHEMA_VERSION:
            raise ModelError(
                f"the spec has schema version {version}, but this depthrt reads up to "
                f"{SCHEMA_VERSION}: upgrade depthrt"
            )
        if version < 2 and "outputs" in content:
            raise ModelError("the spec names outputs, which schema version 1 has not")
        larger_is = content.pop("larger_is", None)
        spec: ModelSpec = _build(
            cls, {**content, "input": _build(InputSpec, content.get("input"), "input.")}
        )
        if larger_is not in (None, spec.larger_is):
            raise ModelError(
                f"the spec contradicts itself: kind {spec.kind}, but larger is {_shown(larger_is)}"
            )
        return spec


def _build(cls: type[Any], content: object, prefix: str = "") -> Any:
    if not isinstance(content, dict):
        raise ModelError(f"the depthrt spec lacks the object {prefix.rstrip('.') or 'spec'}")
    fields = dataclasses.fields(cls)
    known = {f.name for f in fields}
    required = {
        f.name
        for f in fields
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    for word, names in (("unknown", set(content) - known), ("missing", required - set(content))):
        if names:
            listed = _shown(", ".join(prefix + name for name in sorted(names))).strip("'\"")
            raise ModelError(f"the depthrt spec has {word} fields: {listed}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    return cls(**values)


def respell(frozen: object, *keys: str) -> None:
    """Let words be written with - too, as on the command line: ``inverse-depth``."""
    for key in keys:
        word = getattr(frozen, key)
        if isinstance(word, str):
            object.__setattr__(frozen, key, word.replace("-", "_"))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    """Whether a value is text without control characters, safe to print on a terminal."""
    return isinstance(value, str) and value.isprintable()


def _is_optional_output(value: object) -> bool:
    return isinstance(value, str) and value in OPTIONAL_OUTPUTS


def _is_range(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    try:
        numbers = all(isinstance(v, (int, float)) and math.isfinite(v) for v in value)
    except OverflowError:  # an integer that no float holds
        return False
    return numbers and value[0] < value[1]


def _require_one_of(key: str, value: object, allowed: tuple[object, ...]) -> None:
    _require(value in allowed, key, value, "one of " + ", ".join(str(a) for a in allowed))


def _require(condition: bool, key: str, value: object, rule: str) -> None:
    if not condition:
        raise ModelError(f"the depthrt spec has {key}={_shown(value)}, which is not {rule}")


def _shown(value: object) -> str:
    """The ``repr`` of a value, which has no control characters, cut to a line."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
