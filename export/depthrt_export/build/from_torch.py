"""A PyTorch network as the source: traced, rewritten, and proven against itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from depthrt.errors import AccuracyGateError
from depthrt_calibration.frames import evenly
from depthrt_export.build.checks import MEASURED, ask_built_in_model
from depthrt_export.build.spec import float32_spec, opset_for
from depthrt_export.build.step_results import Float32
from depthrt_export.console import Phases
from depthrt_export.graph.export import export_graph
from depthrt_export.graph.fold_pixels import fold_channel_order, fold_normalisation
from depthrt_export.model_file import write_model
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.frame_split import FRAMES_WITHOUT_RANGES, split_frames
from depthrt_export.proof.independence import require_alone
from depthrt_export.proof.optional_outputs import file_outputs, prove_optional
from depthrt_export.proof.verify import TOLERANCES, prove
from depthrt_export.quantise.targets import rewritten
from depthrt_export.sources.load import load_network
from depthrt_export.sources.outputs import OutputForm, autocast_was_used
from depthrt_export.sources.torch_network import (
    TorchNetwork,
    fed,
    probe,
    torch_outputs,
    torch_reference,
)


def from_torch(
    source: str,
    said: SourceOptions,
    options: ExportOptions,
    output: Path,
    folder: Path,
    phases: Phases,
) -> Float32:
    """Trace a PyTorch network, rewrite its graph, and prove the float32 file against it.

    Args:
        source: a network in one of the forms of :func:`load_network`.
        said: what is said of it beside.
        options: how the file is made and proven.
        output: the file to be made, whose name the network takes where it has none.
        folder: takes the float32 file.
        phases: shows what is being done.
    """
    with phases("load the network"):
        network = load_network(source, said)
        autocast_was_used()  # forget that of earlier networks
        form = probe(network)
    with phases("read frames"):
        frames = split_frames(options, network.input)
    network = _with_what_was_seen(network, form)
    for topic, sentence in network.assumed.items():
        phases.note(f"{topic}: {sentence}")
    if options.strict and network.normalisation.doubt():
        raise AccuracyGateError(f"{network.name}: {network.normalisation.doubt()}")
    reference = torch_reference(network, form)
    with phases("run pictures alone and together"):
        batch_open = "batch" in options.vary
        require_alone(network, reference, frames.validation, batch_open=batch_open)
    statement = None
    if network.witnessed:
        statement = ask_built_in_model(network, fed(network, form), frames, options, phases)
    with phases("trace and translate"):
        model = export_graph(network, form, options.vary, opset_for(options))
    with phases("fold and rewrite"):
        turned = fold_channel_order(model)
        folded = fold_normalisation(model)
        model, rewrites = rewritten(model, options)
    path = folder / "float32.onnx"
    write_model(model, path)
    with phases("prove against PyTorch"):
        shown = evenly(frames.validation, FRAMES_WITHOUT_RANGES)
        within = TOLERANCES["float32"]
        proof = prove(network, reference, path, shown, options.vary, within)
        measured: dict[str, Any] = {"proof": proof.facts()}
        optional = tuple(each.name for each in form.optional)
        if optional:
            known, made = torch_outputs(network, form), file_outputs(path)
            found = prove_optional(network, known, made, shown, options.vary, within)
            measured[MEASURED] = {"float32": found}
    if not network.named:  # refusals name the factory, the file itself
        network = dataclasses.replace(network, name=output.stem.replace("_", "-"))
        model.graph.name = network.name
    changes = (*([turned] if turned else []), folded.note, *rewrites)
    spec = dataclasses.replace(
        float32_spec(network, options, changes, statement), outputs=optional, measured=measured
    )
    return Float32(
        network,
        reference,
        "PyTorch",
        spec,
        model,
        path,
        proof,
        folded.zero,
        frames,
        options.vary,
        changes,
    )


def _with_what_was_seen(network: TorchNetwork, form: OutputForm) -> TorchNetwork:
    """The network with a sentence on each choice that was made when it was first run."""
    seen = {}
    if form.others and not network.output:
        others = ", ".join(form.others)
        seen["output"] = (
            f"{form.key} was taken for the depth (beside it: {others}); say --depth-output KEY for "
            "another"
        )
    if form.said:
        seen["beside depth"] = "; ".join(form.said)
    if autocast_was_used():
        seen["autocast"] = "switched off: the network computes in float32"
    return dataclasses.replace(network, assumed={**network.assumed, **seen})
