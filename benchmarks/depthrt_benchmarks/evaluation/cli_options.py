"""The options of `depthrt eval`, as types of its parameters."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class AlignName(str, Enum):
    """How a prediction is aligned with the truth."""

    disparity_lsq = "disparity-lsq"
    depth_lsq = "depth-lsq"
    median = "median"
    none = "none"
    sequence_disparity_lsq = "sequence-disparity-lsq"


class ResizeName(str, Enum):
    """How a prediction is resized to the truth."""

    align_corners = "align-corners"
    half_pixel = "half-pixel"


_PROTOCOL, _FILES, _MACHINE = "Protocol", "Reading the set", "How it runs"
_OUTPUT, _GATES = "Output", "Gates"

Model = Annotated[str, typer.Argument(help="A depthrt .onnx file or built-in name.")]
Datasets = Annotated[
    list[str],
    typer.Argument(
        metavar="DATASET...",
        help="Folders of labelled sets, or a folder of such folders; NYUv2's .mat; clips "
        "without labels, for flicker only.",
    ),
]
Compare = Annotated[
    list[str] | None,
    typer.Option(
        "--compare", help="Another model, or the --csv of an earlier run: paired differences."
    ),
]
Align = Annotated[
    AlignName | None,
    typer.Option(
        help="Default: none for metric models, else least squares on the model's output.",
        rich_help_panel=_PROTOCOL,
    ),
]
Crop = Annotated[
    str | None,
    typer.Option(
        help="none, nyu-eigen, garg, eigen, kitti-benchmark; joined by +. Default: the set's.",
        rich_help_panel=_PROTOCOL,
    ),
]
MinDepth = Annotated[
    float | None, typer.Option(help="Metres; truth must lie above.", rich_help_panel=_PROTOCOL)
]
MaxDepth = Annotated[
    float | None,
    typer.Option(
        help="Metres; truth must lie below, predictions are capped.", rich_help_panel=_PROTOCOL
    ),
]
Resize = Annotated[
    ResizeName | None,
    typer.Option(help="Default: the set's.", rich_help_panel=_PROTOCOL),
]
Flip = Annotated[
    bool,
    typer.Option("--flip", help="Average with the mirrored image.", rich_help_panel=_PROTOCOL),
]
Video = Annotated[
    bool,
    typer.Option(
        "--video/--no-video",
        help="Flicker and TAE where a set is a video.",
        rich_help_panel=_PROTOCOL,
    ),
]
Layout = Annotated[
    str | None,
    typer.Option(
        help="dataset-json, tum, ibims, sintel, diode, kitti, eth3d, nyu, gta, pairs. "
        "Default: detected.",
        rich_help_panel=_FILES,
    ),
]
DepthScale = Annotated[
    float | None,
    typer.Option(help="Metres per unit of the depth files.", rich_help_panel=_FILES),
]
Invalid = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER,...",
        help="Numbers of the depth files that mean 'nothing measured', as in 10000. Always: 0 "
        "and less, NaN, infinity, the largest whole number of the type (65535).",
        rich_help_panel=_FILES,
    ),
]
Near = Annotated[
    float | None, typer.Option(help="GTA V: near plane in metres.", rich_help_panel=_FILES)
]
Far = Annotated[
    float | None, typer.Option(help="GTA V: far plane in metres.", rich_help_panel=_FILES)
]
MaxImages = Annotated[
    int | None,
    typer.Option(
        help="Limit per set: evenly spread images, of a video the first ones.",
        rich_help_panel=_FILES,
    ),
]
Provider = Annotated[
    str, typer.Option(help="auto, cpu, cuda, openvino, ...", rich_help_panel=_MACHINE)
]
Threads = Annotated[
    int | None, typer.Option(help="Threads of the network.", min=1, rich_help_panel=_MACHINE)
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Start anew, without the results of an interrupted run.",
        rich_help_panel=_MACHINE,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="Write JSON with machine and versions.", rich_help_panel=_OUTPUT
    ),
]
Table = Annotated[
    Path | None,
    typer.Option("--csv", help="Write a table with a line per image.", rich_help_panel=_OUTPUT),
]
Report = Annotated[
    Path | None,
    typer.Option(
        help="Write an HTML page that shows the worst images (needs the extra bench).",
        rich_help_panel=_OUTPUT,
    ),
]
MaxAbsRel = Annotated[
    float | None,
    typer.Option(
        help="Gate: exit 3 if the model's AbsRel on a set is above this, if too few images "
        "could be judged, or if it gave NaN.",
        rich_help_panel=_GATES,
    ),
]
FailWorse = Annotated[
    str | None,
    typer.Option(
        metavar="[SHARE]",
        help="Gate, beside --compare: exit 3 if AbsRel is surely more than this share above the "
        "base's, as in 0.02 or 2% (1% if not said), or if nothing was compared.",
        rich_help_panel=_GATES,
    ),
]
MinImages = Annotated[
    str | None,
    typer.Option(
        metavar="N|SHARE%",
        help="How many images of each set the gates must judge: 500, or 95%. Default: all "
        "that --max-images leaves.",
        rich_help_panel=_GATES,
    ),
]
Track = Annotated[
    str | None,
    typer.Option(metavar="DIR|URI", help="Log the run with MLflow.", rich_help_panel=_OUTPUT),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace outputs.", rich_help_panel=_OUTPUT)
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=_OUTPUT)
]
