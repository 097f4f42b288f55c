"""What is known of the network in an ONNX file of others, and how it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthrt.errors import UsageError
from depthrt.files.file_hash import file_sha256
from depthrt.spec import InputSpec, Kind
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.witness import COMMON, Direction, Finding, pick
from depthrt_export.sources.network import DepthNetwork, Normalisation, describe
from depthrt_export.sources.onnx_file.config import beside
from depthrt_export.sources.onnx_file.first_nodes import first_nodes, own_normalisation
from depthrt_export.sources.onnx_file.forms import find_form, input_size
from depthrt_export.sources.onnx_file.image_input import image_inputs
from depthrt_export.sources.onnx_file.reading import OnnxFile
from depthrt_export.sources.onnx_file.reference import Form, fed

_PIXELS = ("mean", "std", "scale")
_DIRECTION: Mapping[Kind, Direction] = {"inverse_depth": "inverse-depth", "depth": "depth"}


@dataclass(frozen=True, eq=False)
class Described:
    """The network in a file: how it is fed and read, at which size.

    - ``notes``: a line for each thing that neither the user nor the file itself said outright;
    - ``finding``: what the built-in model says, where it was asked for what nobody said.
    """

    network: DepthNetwork
    form: Form
    size: tuple[int, int]
    notes: tuple[str, ...]
    finding: Finding | None = None


def described(
    file: OnnxFile, said: SourceOptions, options: ExportOptions, phases: Phases
) -> Described:
    """All that is known of the network: said, told beside the file, seen in its graph, or found.

    Raises:
        UsageError: something is missing that cannot be found, or contradicts the file.
        ModelError: it takes no picture or gives no depth map.
    """
    neighbours = beside(file.path)
    fitting, unused = _fitting(neighbours.options, said, file, options)
    known = _over(said, fitting)
    size = input_size(file, known.size)
    form = find_form(file, size, said.output, bgr=known.bgr)
    known = dataclasses.replace(known, size=size)
    notes = [*neighbours.notes, *unused]
    by_user = [f"--{n}" for n in _PIXELS if getattr(said, n) is not None]
    if form.image.element == "uint8" and by_user:
        raise UsageError(
            f"{file.path.name} takes uint8 pixels as they are: leave out {', '.join(by_user)}"
        )
    own = own_normalisation(first_nodes(file.model.graph, form.image), form.image)
    if own is not None and not by_user:
        how, why = own
        known = _fed_with(known, how)
        notes.append(f"input: {why}")
    finding = _asked_for(file, form, known, options, phases)
    if finding is not None:
        known, found = _found(known, finding)
        notes += found
    network = describe(known, _name(file.path), _facts(file, form))
    if form.depth.others and not said.output:
        others = ", ".join(form.depth.others)
        taken = (
            f"{form.depth.name} was taken for the depth (beside it: {others}); say --depth-output "
            "NAME for another"
        )
        network = dataclasses.replace(network, assumed={**network.assumed, "output": taken})
    return Described(network, form, size, tuple(notes), finding)


def _asked_for(
    file: OnnxFile, form: Form, known: SourceOptions, options: ExportOptions, phases: Phases
) -> Finding | None:
    """What the built-in model finds of normalisation and direction; None where both are known.

    Raises:
        UsageError: it cannot tell: they are to be said.
    """
    fed_how = None if all(getattr(known, n) is None for n in _PIXELS) else _normalisation(known)
    if fed_how is not None and known.kind is not None:
        return None
    direction = None if known.kind is None else _DIRECTION[known.kind]
    height, width = known.size or (0, 0)
    spec = InputSpec(height, width, resize=known.resize or "stretch")
    doubt = "" if fed_how is None else fed_how.doubt()
    if doubt:  # before the user waits for the frames
        phases.note(f"normalisation: {doubt}")
    with phases("try ways to feed it"):
        finding = pick(
            fed(file, form),
            spec,
            options.frames,
            normalisation=fed_how,
            direction=direction,
            metric=known.unit == "m",
        )
    if not finding.picked:
        raise UsageError(finding.question() + (f"; {doubt}" if doubt else ""))
    return finding


def _found(known: SourceOptions, finding: Finding) -> tuple[SourceOptions, list[str]]:
    """The options with what the built-in model found, and a line on it."""
    found = []
    if finding.best.normalisation in COMMON and all(getattr(known, n) is None for n in _PIXELS):
        known = _fed_with(known, COMMON[finding.best.normalisation])
        found.append(finding.best.normalisation)
    if known.kind is None:
        kind = next(k for k, name in _DIRECTION.items() if name == finding.best.direction)
        known = dataclasses.replace(known, kind=kind)
        found.append(finding.best.direction)
    return known, [f"found: {' and '.join(found)} ({finding.evidence()})"]


def _over(said: SourceOptions, neighbours: SourceOptions) -> SourceOptions:
    """What the user said, with what lies beside the file where that says nothing."""
    if said.kind is not None:  # a unit and a range belong to a kind
        neighbours = dataclasses.replace(neighbours, unit=None, valid_range=None)
    return said.over(neighbours)


def _fed_with(known: SourceOptions, how: Normalisation) -> SourceOptions:
    return dataclasses.replace(known, mean=how.mean, std=how.std, scale=how.scale)


def _normalisation(known: SourceOptions) -> Normalisation:
    default = Normalisation()
    scale = default.scale if known.scale is None else known.scale
    return Normalisation(known.mean or default.mean, known.std or default.std, scale)


def _facts(file: OnnxFile, form: Form) -> dict[str, Any]:
    return {
        "source": file.path.name,
        "source_sha256": file_sha256(file.path),
        "source_opset": file.opset,
        "producer": f"{file.model.producer_name} {file.model.producer_version}".strip(),
        "depth_output": form.depth.name,
    }


def _fitting(
    beside_it: SourceOptions, said: SourceOptions, file: OnnxFile, options: ExportOptions
) -> tuple[SourceOptions, list[str]]:
    """What lies beside the file as far as the graph can follow, and a line on what it cannot."""
    own = image_inputs(file.path, file.model)[0]
    is_open = own.height is None and own.width is None
    known, notes = beside_it, []
    if not is_open:
        size, fixed = known.size, own.fixed_size
        if size is not None and fixed is not None and size != fixed:
            notes.append(
                f"size: the file is fixed at {fixed[0]}x{fixed[1]}; the config's "
                f"{size[0]}x{size[1]} is not used"
            )
        step = known.multiple_of or 1
        fits = all(side is not None and side % step == 0 for side in (own.height, own.width))
        known = dataclasses.replace(known, size=None, multiple_of=step if fits else None)
    if known.resize == "keep_aspect" and not (is_open and "size" in options.vary):
        known = dataclasses.replace(known, resize="stretch")
        if said.resize is None:
            other = "; --dynamic size keeps the aspect" if is_open else ""
            notes.append(
                "resize: the config keeps the aspect; the graph has one size, so pictures are "
                f"stretched{other}"
            )
    return known, notes


def _name(path: Path) -> str:
    """The file's name; its folder's where the file is called ``model``, as on the hub."""
    if path.stem != "model" and not path.stem.startswith("model_"):
        return path.stem
    folder = path.resolve().parent
    folder = folder.parent if folder.name == "onnx" else folder
    return folder.name or path.stem
