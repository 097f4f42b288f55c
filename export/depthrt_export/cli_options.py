"""The options of ``depthrt export``: names, help texts and the panels that they are shown in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from depthrt.errors import UsageError

_NETWORK = "The network, where its source does not say"
_CHECKPOINT = "Weights"
_FILE = "The file"
_PROOF = "Proof and report"
_SEARCH = "Search (--precision auto)"


class Varies(str, Enum):
    """What a graph may leave open."""

    batch = "batch"
    size = "size"


class Format(str, Enum):
    """Number formats."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"
    auto = "auto"


def _option(panel: str, text: str, *names: str, **shown: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **shown)


Source: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="ONNX, .pt2 or TorchScript file, FILE.py:FACTORY, Hugging Face id or folder.",
    ),
]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", help="The .onnx file to make.")
]

Checkpoint: TypeAlias = Annotated[
    Path | None, _option(_CHECKPOINT, "State dict: .pt, .pth, .tar or .safetensors.")
]
Key: TypeAlias = Annotated[str, _option(_CHECKPOINT, "Where it is in a nested dict, such as a.b.")]
Ignore: TypeAlias = Annotated[
    list[str] | None,
    _option(_CHECKPOINT, "Names in it to leave out, such as '*.mask'.", metavar="NAME"),
]
TrustCode: TypeAlias = Annotated[
    bool,
    _option(_CHECKPOINT, "Run code in a file. Default: refuse the file.", "--trust-code"),
]

KindOption: TypeAlias = Annotated[
    str | None,
    _option(_NETWORK, "inverse-depth, depth (relative), metric (m).", metavar="KIND"),
]
UnitOption: TypeAlias = Annotated[
    str | None, _option(_NETWORK, "Of the depth: m, or none (default).", metavar="m")
]
Size: TypeAlias = Annotated[
    str | None, _option(_NETWORK, "Input height and width in pixels.", metavar="HxW")
]
MultipleOf: TypeAlias = Annotated[
    int | None,
    _option(_NETWORK, "Sides are multiples of it. Default: 1.", metavar="N", min=1),
]
ResizeOption: TypeAlias = Annotated[
    str | None,
    _option(_NETWORK, "stretch (default), keep-aspect or pad.", metavar="RULE"),
]
Mean: TypeAlias = Annotated[
    str | None,
    _option(
        _NETWORK,
        "The input is (pixel 0..255 x scale - mean) / std. Default: 0.",
        metavar="R,G,B",
    ),
]
Std: TypeAlias = Annotated[
    str | None, _option(_NETWORK, "See --mean. Default: 1.", metavar="R,G,B")
]
Scale: TypeAlias = Annotated[float | None, _option(_NETWORK, "See --mean. Default: 1/255.")]
Bgr: TypeAlias = Annotated[
    bool,
    _option(_NETWORK, "Blue first; --mean and --std stay R,G,B.", "--bgr"),
]
DepthOutput: TypeAlias = Annotated[
    str,
    _option(_NETWORK, "Key of the depth among several outputs.", metavar="KEY"),
]
Also: TypeAlias = Annotated[
    list[str] | None,
    _option(
        _NETWORK,
        "Keep it as confidence, valid, ...",
        metavar="KEY=OUTPUT",
    ),
]
Name: TypeAlias = Annotated[str | None, _option(_NETWORK, "The model's. Default: the file's.")]
Licence: TypeAlias = Annotated[str | None, _option(_NETWORK, "Of the weights: Apache-2.0, ...")]

Precision: TypeAlias = Annotated[
    Format,
    _option(
        _FILE,
        "fp32 (default), fp16, bf16, int8, auto (a search).",
        metavar="FORMAT",
        show_default=False,
    ),
]
Dynamic: TypeAlias = Annotated[
    list[Varies] | None,
    _option(_FILE, "Leave open: batch, size (or both).", metavar="AXIS"),
]
Opset: TypeAlias = Annotated[
    int, _option(_FILE, "ONNX opset; for bf16 at least 22.", metavar="N", min=20)
]
Rewrite: TypeAlias = Annotated[
    bool,
    _option(_FILE, "Faster; it computes the same.", "--rewrite/--no-rewrite", show_default=False),
]
Overwrite: TypeAlias = Annotated[bool, _option(_FILE, "Replace files that exist.", "--overwrite")]
Triton: TypeAlias = Annotated[
    Path | None,
    _option(_FILE, "Model repository of Triton.", metavar="DIR"),
]
Kserve: TypeAlias = Annotated[
    Path | None,
    _option(_FILE, "Manifest and models of KServe.", metavar="DIR"),
]

Frames: TypeAlias = Annotated[
    str | None,
    _option(
        _PROOF,
        "Images, video. Default: the demo.",
        metavar="SOURCE",
    ),
]
Calibration: TypeAlias = Annotated[
    str | None,
    _option(
        _PROOF,
        "int8, auto: for the ranges. Default: --frames.",
        metavar="SOURCE",
    ),
]
MaxError: TypeAlias = Annotated[
    float,
    _option(
        _PROOF,
        "int8: mean error allowed, of the spread; 10%.",
        metavar="SHARE",
        min=0.0,
        show_default=False,
    ),
]
Strict: TypeAlias = Annotated[
    bool,
    _option(
        _PROOF,
        "Refuse what a witness denies.",
        "--strict",
    ),
]
Golden: TypeAlias = Annotated[
    bool,
    _option(
        _PROOF,
        "Frames in the file, for `depthrt verify`.",
        "--golden/--no-golden",
        show_default=False,
    ),
]
Report: TypeAlias = Annotated[Path | None, _option(_PROOF, "Draw the proof: .html.")]
Track: TypeAlias = Annotated[
    str | None, _option(_PROOF, "Log the export with MLflow.", metavar="DIR|URI")
]
AsJson: TypeAlias = Annotated[bool, _option(_PROOF, "Print one JSON document.", "--json")]

Validate: TypeAlias = Annotated[
    str | None,
    _option(
        _SEARCH,
        "int8, auto: to judge on. Default: the last of --frames.",
        metavar="SOURCE",
    ),
]
Dataset: TypeAlias = Annotated[
    Path | None,
    _option(
        _SEARCH,
        "Labelled set, as for depthrt eval: judge by AbsRel on it.",
        metavar="FOLDER",
    ),
]
Target: TypeAlias = Annotated[
    str,
    _option(
        _SEARCH,
        "int8, auto: host (default), x86-vnni, x86-avx2, arm64, cuda, tensorrt, openvino.",
        metavar="MACHINE",
        show_default=False,
    ),
]
MaxDrop: TypeAlias = Annotated[
    str,
    _option(
        _SEARCH,
        "Error allowed; with --dataset, growth of AbsRel; 5%.",
        metavar="SHARE",
        show_default=False,
    ),
]
Budget: TypeAlias = Annotated[
    str,
    _option(
        _SEARCH,
        "Of the search alone: 90s, 10m (default), 1h.",
        metavar="TIME",
        show_default=False,
    ),
]
Front: TypeAlias = Annotated[Path | None, _option(_SEARCH, "Plot of time and error: .svg or .png.")]

_INT8, _AUTO, _RANGES = ("int8",), ("auto",), ("int8", "auto")
_PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "calibration": _RANGES,
    "validate": _RANGES,
    "max_error": _INT8,
    "max_drop": _AUTO,
    "budget": _AUTO,
    "dataset": _AUTO,
}
_INSTEAD = {
    ("max_drop", "int8"): "; its bound is --max-error",
    ("max_error", "auto"): "; its bound is --max-drop",
}


def require_effect(given: Collection[str], precision: str, target: str) -> None:
    """Refuse options that would be ignored.

    Args:
        given: names of the parameters that the user gave.
        precision: as on the command line: fp32, fp16, bf16, int8 or auto.
        target: the machine; of a float file's it changes only the graph for OpenVINO.

    Raises:
        UsageError: one has no effect with this precision.
    """
    for name, fitting in _PRECISIONS.items():
        if name in given and precision not in fitting:
            option = name.replace("_", "-")
            allowed = " or ".join(fitting)
            raise UsageError(
                f"--{option} works only with --precision {allowed}, not {precision}"
                f"{_INSTEAD.get((name, precision), '')}: leave it out"
            )
    if target not in ("host", "openvino") and precision not in _RANGES:
        hint = "; half precision suits it: --precision fp16" if target == "cuda" else ""
        raise UsageError(
            f"--target {target} works only with --precision {' or '.join(_RANGES)}, "
            f"not {precision}{hint}: leave it out"
        )
    if {"frames", "calibration", "validate"} <= set(given):
        raise UsageError(
            "--frames has no effect where --calibration and --validate are given: leave it out"
        )
