"""``--precision auto``: from the float32 graph to the fastest one that a search finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from depthrt_calibration.frame_folder import pixel_hash
from depthrt_calibration.frames import Sample, evenly
from depthrt_export.build.step_results import Float32, Made
from depthrt_export.console import Phases
from depthrt_export.graph.nodes import has_attention
from depthrt_export.model_file import journal_place, works, write_model
from depthrt_export.options import ExportOptions
from depthrt_export.proof.evaluator import Evaluator, Timer, timer
from depthrt_export.proof.labelled_frames import Labelled, labelled_frames, open_labelled, remarks
from depthrt_export.proof.verify import TOLERANCES, Proof, file_reference, prove
from depthrt_export.quantise.recipes import Applied, Material
from depthrt_export.quantise.targets import CPU, other_providers, suited, target
from depthrt_export.report.export_report import explain, refusal, search_facts
from depthrt_export.search.block_costs import kernel_times
from depthrt_export.search.candidates import Candidate, Journal, search_key
from depthrt_export.search.search import Found, Limits, Search

_LABELLED_FRAMES = 32
_TIMING_S = 3.0
_TRANSFORMER_FRAMES = 16
_ROUNDING = 1.01  # figures are kept to four digits


def to_auto(
    start: Float32,
    output: Path,
    options: ExportOptions,
    phases: Phases,
    time_files: Timer | None = None,
) -> Made:
    """Search, and prove the pick on the validation frames.

    Args:
        start: the float32 graph, which is kept where nothing better is found.
        output: where the file is to be; the search's journal lies beside it.
        time_files: measures latency; None: both files are run in turn, for a few seconds.

    Raises:
        DepthrtError: what is wrong with the input, or a full disk; run again, it goes on.
    """
    search, notes = _search(start, output, options, phases, time_files or timer(_TIMING_S))
    with phases("search"):
        found = search.run()
    picked = found.picked
    if picked is None:
        return _float32_stays(start, found, options, search, notes)
    with phases("make and prove the pick"):
        applied, proof, loss = _proven_pick(start, search, picked)
    if not loss <= options.max_drop * _ROUNDING:
        # The journal's figures were measured under something else that its key does not know.
        search.journal.remove()
        found = replace(found, picked=None, disproved=(picked, loss))
        return _float32_stays(start, found, options, search, notes)
    on_cpu = picked.provider == CPU or works(start.path.with_name("picked.onnx"), CPU)
    return Made(
        applied.model,
        proof,
        "float32",
        {**_measured(start, found, options, search), "fidelity": proof.facts()},
        applied.precision,
        applied.float_nodes,
        (*notes, *applied.notes, *explain(found)),
        runs_here=on_cpu,
        found=found,
        provider=CPU if on_cpu else picked.provider,
    )


def _search(
    start: Float32, output: Path, options: ExportOptions, phases: Phases, time_files: Timer
) -> tuple[Search, tuple[str, ...]]:
    """The search, and notes on what it will go without."""
    network, held_out = start.network, start.frames.validation
    calibration = _few(start)
    machine = target(options.target)
    sets = [] if options.dataset is None else open_labelled(options.dataset)
    labelled = labelled_frames(sets, _LABELLED_FRAMES, network.input) if sets else []
    with phases("float32 depth of the validation frames"):
        evaluator = Evaluator.of(
            start.path, network.kind, held_out, labelled, network.unit, time_files
        )
    truths = [frame.sample for frame in labelled]
    providers, notes = other_providers(start.path) if machine.timed else ((), ())
    if sets:
        float32 = file_reference(start.path)
        said = remarks(
            sets, labelled, lambda s: float32(s.pixels[None])[0], network.kind, network.unit
        )
        notes = (*said, *notes)
    meaning = (network.kind, network.unit, network.input, *map(_truth, labelled))
    settings = (machine, options.max_drop, _TIMING_S, *meaning, start.pixel_zero, *providers)
    key = search_key(start.model, [calibration, held_out, truths], settings)
    journal = Journal.open(journal_place(output), key)
    if journal.path is None:
        other = journal_place(output).name
        notes = (*notes, f"{other} is no journal of a search: it is left alone, and none is kept")
    search = Search(
        Material(start.model, start.pixel_zero, calibration),
        evaluator,
        machine,
        Limits(options.max_drop, options.budget_s),
        journal,
        start.path.parent,
        phases.say,
        providers=providers,
        time_kernels=kernel_times,
    )
    return search, notes


def _proven_pick(start: Float32, search: Search, picked: Candidate) -> tuple[Applied, Proof, float]:
    """The picked graph, its proof, and the loss that the proof found."""
    applied = search.make(picked)
    path = start.path.with_name("picked.onnx")
    write_model(applied.model, path)
    held_out, reference = start.frames.validation, file_reference(start.path)
    proof = prove(start.network, reference, path, held_out, start.vary, provider=picked.provider)
    loss = search.evaluator.drop(path, picked.provider)
    return applied, proof, proof.figures["mean_error"] if loss is None else loss


def _float32_stays(
    start: Float32, found: Found, options: ExportOptions, search: Search, notes: tuple[str, ...]
) -> Made:
    """float32 in the operators that the target runs fastest."""
    model = suited(start.model, search.target.provider)
    proof, reference = start.proof, start.reference_name
    if model is not start.model:
        path = start.path.with_name("own.onnx")
        write_model(model, path)
        reference = "float32"
        proof = prove(
            start.network,
            file_reference(start.path),
            path,
            start.frames.validation,
            start.vary,
            TOLERANCES["float32"],
        )
    measured = _measured(start, found, options, search)
    return Made(model, proof, reference, measured, notes=(*notes, refusal(found)), found=found)


def _measured(
    start: Float32, found: Found, options: ExportOptions, search: Search
) -> dict[str, Any]:
    calibration_frames = len(search.material.calibration)
    facts = search_facts(found, options, calibration_frames)
    return {**start.spec.measured, "search": facts}


def _few(start: Float32) -> list[Sample]:
    """All frames for convolutions; for a transformer, slow and calibrated by extremes, a few."""
    if not has_attention(start.model.graph):
        return start.frames.calibration
    return evenly(start.frames.calibration, _TRANSFORMER_FRAMES)


def _truth(frame: Labelled) -> tuple[object, ...]:
    """What a figure against ground truth depends on beside the picture."""
    depth = pixel_hash(np.ascontiguousarray(frame.seen.truth_m).view(np.uint8))
    return depth, frame.protocol, frame.content
