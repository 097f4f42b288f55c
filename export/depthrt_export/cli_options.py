"""The options of ``depthrt export``: names, help texts and the panels that they are shown in."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

_NETWORK = "The network, where its source does not say"
_CHECKPOINT = "Weights"
_FILE = "The file"
_PROOF = "Proof and report"
_SEARCH = "Search (--precision auto)"


class Kind(str, Enum):
    """What the output means."""

    inverse = "inverse-depth"
    depth = "depth"
    metric = "metric"


class ResizeRule(str, Enum):
    """How a frame becomes the input."""

    stretch = "stretch"
    keep = "keep-aspect"
    pad = "pad"


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
        help="Hugging Face id or folder, FILE.py:FACTORY, PACKAGE.MODULE:FACTORY, a .pt2 or a "
        "TorchScript file; for --precision auto also a float32 .onnx made by depthrt.",
    ),
]
Output: TypeAlias = Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to make.")]

Checkpoint: TypeAlias = Annotated[
    Path | None,
    _option(_CHECKPOINT, "State dict with the weights: .pt, .pth, .tar or .safetensors."),
]
Key: TypeAlias = Annotated[
    str,
    _option(
        _CHECKPOINT,
        "Where the state dict is in a nested file, such as a.b. Default: found by itself.",
    ),
]
TrustCode: TypeAlias = Annotated[
    bool,
    _option(
        _CHECKPOINT,
        "Run code that a .pt2, TorchScript or checkpoint file holds. Default: refuse such a file.",
        "--trust-code",
    ),
]

KindOption: TypeAlias = Annotated[
    Kind | None,
    _option(_NETWORK, "What the output means: relative inverse depth, relative depth, or metres."),
]
UnitOption: TypeAlias = Annotated[
    str | None, _option(_NETWORK, "Unit of the depth: m (metres). Default: none, it is relative.")
]
Size: TypeAlias = Annotated[
    str | None,
    _option(_NETWORK, "Input height and width in pixels, such as 192x320.", metavar="HxW"),
]
MultipleOf: TypeAlias = Annotated[
    int | None,
    _option(_NETWORK, "Pixels that height and width must be a multiple of. Default: 1.", min=1),
]
ResizeOption: TypeAlias = Annotated[
    ResizeRule | None,
    _option(
        _NETWORK,
        "How a frame is brought to the input size: stretched, scaled with its aspect kept, or "
        "scaled and padded. Default: stretch.",
    ),
]
Mean: TypeAlias = Annotated[
    str | None,
    _option(
        _NETWORK,
        "Input of the network = (pixel x scale - mean) / std, with pixels in 0..255. Three numbers "
        "or one. Default: 0.",
        metavar="R,G,B",
    ),
]
Std: TypeAlias = Annotated[
    str | None, _option(_NETWORK, "See --mean. Default: 1.", metavar="R,G,B")
]
Scale: TypeAlias = Annotated[float | None, _option(_NETWORK, "See --mean. Default: 1/255.")]
Name: TypeAlias = Annotated[
    str | None, _option(_NETWORK, "The model's name. Default: from the source.")
]
Licence: TypeAlias = Annotated[
    str | None, _option(_NETWORK, "Licence of the weights, such as Apache-2.0.")
]

Precision: TypeAlias = Annotated[
    Format,
    _option(
        _FILE,
        "Number format inside the graph; auto searches for the fastest graph that is exact enough.",
    ),
]
Dynamic: TypeAlias = Annotated[
    list[Varies] | None,
    _option(
        _FILE,
        "Leave batch or size open; may be given twice. Default: one picture of one size.",
    ),
]
Opset: TypeAlias = Annotated[int, _option(_FILE, "ONNX opset; bf16 takes at least 22.", min=20)]
Rewrite: TypeAlias = Annotated[
    bool,
    _option(
        _FILE, "Make the graph faster without changing what it computes.", "--rewrite/--no-rewrite"
    ),
]
Overwrite: TypeAlias = Annotated[bool, _option(_FILE, "Replace files that exist.", "--overwrite")]

Frames: TypeAlias = Annotated[
    str | None,
    _option(
        _PROOF,
        "Real frames to prove the file on: image, folder, glob or video. Default: depthrt's clip.",
        metavar="SOURCE",
    ),
]
Calibration: TypeAlias = Annotated[
    str | None,
    _option(
        _PROOF,
        "int8 and auto: frames to take the ranges of int8 from. Default: four fifths of --frames.",
        metavar="SOURCE",
    ),
]
MaxError: TypeAlias = Annotated[
    float,
    _option(
        _PROOF,
        "int8: mean difference to float32 allowed, as a share of the depth's spread.",
        min=0.0,
    ),
]
Report: TypeAlias = Annotated[
    Path | None, _option(_PROOF, "Draw the proof as a page: an .html file.")
]
Track: TypeAlias = Annotated[
    str | None,
    _option(_PROOF, "Log the export with MLflow to a folder or server.", metavar="DIR|URI"),
]
AsJson: TypeAlias = Annotated[bool, _option(_PROOF, "Print one JSON document.", "--json")]

Validate: TypeAlias = Annotated[
    str | None,
    _option(
        _SEARCH,
        "auto and int8: frames to measure the error on, which calibration does not use. Default: "
        "a fifth of --frames, of a video its end.",
        metavar="SOURCE",
    ),
]
Dataset: TypeAlias = Annotated[
    Path | None,
    _option(
        _SEARCH,
        "Labelled pictures: a candidate's loss is then the growth of AbsRel on them.",
        metavar="FOLDER",
    ),
]
Target: TypeAlias = Annotated[
    str,
    _option(
        _SEARCH,
        "Machine to make the file for; any precision. host (this one, the only one that is timed), "
        "x86-vnni, x86-avx2, arm64, cuda, tensorrt or openvino.",
        metavar="MACHINE",
    ),
]
MaxDrop: TypeAlias = Annotated[
    str,
    _option(
        _SEARCH,
        "Loss allowed: mean difference to float32 as a share of the depth's spread or, with "
        "--dataset, growth of AbsRel. 5% or 0.05.",
        metavar="SHARE",
    ),
]
Budget: TypeAlias = Annotated[
    str, _option(_SEARCH, "Time for the search: 90s, 10m or 1h.", metavar="TIME")
]
Front: TypeAlias = Annotated[
    Path | None,
    _option(_SEARCH, "Plot of the candidates' time and error: an .svg or .png file."),
]
