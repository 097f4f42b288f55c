"""``--precision auto``: from a proven float32 graph to the one that the search picks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from depthrt.model.cpu import half_type
from depthrt.model.providers import AUTO_ORDER
from depthrt.model.tuning_cache import offered_providers
from depthrt_calibration.frames import Sample, evenly
from depthrt_export.search.labelled_frames import Labelled, labelled_frames
from depthrt_calibration.frame_folder import pixel_hash
from depthrt_export.build.convert import Made, proof_facts, source_name
from depthrt_export.graph.blocks import has_attention
from depthrt_export.model_file import works, write_model
from depthrt_export.options import ExportOptions
from depthrt_export.progress import Phases
from depthrt_export.proof.frame_split import Chosen
from depthrt_export.proof.paired_timing import Timer, timer
from depthrt_export.proof.verify import TOLERANCES, file_reference, prove
from depthrt_export.quantise.recipes import Material
from depthrt_export.quantise.targets import Target, suited, target
from depthrt_export.search.evaluator import Judge
from depthrt_export.search.explain import explain, refusal
from depthrt_export.search.pareto import CPU
from depthrt_export.search.resume import Journal, journal_place, search_key
from depthrt_export.search.search import Found, Limits, Search
from depthrt_export.sources.network import DepthNetwork

_LABELLED_FRAMES = 32
_TIMING_S = 3.0
_TRANSFORMER_FRAMES = 16
_ROUNDING = 1.01  # figures are kept to four digits


@dataclass(frozen=True, eq=False)
class Auto:
    """The graph that was picked (float32 where none was), and the search behind it."""

    made: Made
    found: Found


def to_auto(
    network: DepthNetwork,
    made: Made,
    zero: tuple[float, ...] | None,
    float_path: Path,
    place: Path,
    frames: Chosen,
    options: ExportOptions,
    phases: Phases,
    measure: Timer | None = None,
) -> Auto:
    """Search, and prove the pick on the validation frames.

    Args:
        made: the float32 graph and its proof; ``zero`` as of the folded normalisation.
        place: where the file is to be; the journal lies beside it.
        measure: how latency is taken; by running in turn with float32 if not said.

    Raises:
        DepthrtError: what is wrong with the input, or a full disk; run again, it goes on.
    """
    calibration, held_out = _few(frames.calibration, made.model), frames.validation
    machine = target(options.target)
    labelled = _labelled(network, options)
    with phases("float32 depth of the validation frames"):
        judge = Judge.of(float_path, network.kind, held_out, labelled, network.unit)
    truths = [f.sample for f in labelled]
    providers, lacking = other_providers(float_path) if machine.timed else ((), ())
    meaning = (network.kind, network.unit, network.input, *map(_truth, labelled))
    settings = (machine, options.max_drop, _TIMING_S, *meaning, zero, *providers)
    key = search_key(made.model, [calibration, held_out, truths], settings)
    journal = Journal.open(journal_place(place), key)
    if journal.path is None:
        other = journal_place(place).name
        lacking = (
            *lacking,
            f"{other} is no journal of a search: it is left alone, and none is kept",
        )
    search = Search(
        Material(made.model, zero, calibration),
        judge,
        machine,
        Limits(options.max_drop, options.budget_s),
        journal,
        measure or timer(_TIMING_S),
        float_path.parent,
        phases.say,
        providers=providers,
    )
    with phases("search"):
        found = search.run()

    def facts(of: Found) -> dict[str, Any]:
        return {**made.measured, "search": _facts(of, options, machine, len(calibration))}

    def float32_stays(of: Found) -> Auto:
        notes = (*lacking, refusal(of))
        model, proof, reference = suited(made.model, machine.provider), made.proof, made.reference
        if model is not made.model:
            path = float_path.with_name("own.onnx")
            write_model(model, path)
            reference = "float32"
            fused, within = file_reference(float_path), TOLERANCES["float32"]
            proof = prove(network, fused, path, held_out, options.vary, within)
        return Auto(Made(model, proof, reference, (), facts(of), notes), of)

    if found.picked is None:
        return float32_stays(found)
    with phases("make and prove the pick"):
        applied = search.make(found.picked)
        path = float_path.with_name("picked.onnx")
        write_model(applied.model, path)
        proof = prove(
            network,
            file_reference(float_path),
            path,
            held_out,
            options.vary,
            provider=found.picked.provider,
        )
        loss = judge.drop(path, found.picked.provider)
    loss = proof.figures["mean_error"] if loss is None else loss
    if not loss <= options.max_drop * _ROUNDING:
        # What the journal says of it was measured under something else that its key does not know.
        search.journal.remove()
        return float32_stays(replace(found, picked=None, disproved=(found.picked, loss)))
    measured = {**facts(found), "fidelity": proof_facts(proof)}
    notes = (*lacking, *applied.notes, *explain(found))
    result = Made(
        applied.model,
        proof,
        "float32",
        applied.float_nodes,
        measured,
        notes,
        runs_here=found.picked.provider == CPU or works(path, CPU),
        precision=applied.precision,
    )
    return Auto(result, found)


def other_providers(float_path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Providers that run float32 here beside the CPU's, and a note on each that does not work.

    OpenVINO once more in the processor's 16-bit type, where it has one.
    """
    offered = [name for name in AUTO_ORDER if name in offered_providers() and name != CPU]
    working = [name for name in offered if works(float_path, name)]
    broken = [name for name in offered if name not in working]
    if "openvino" in working and half_type():
        working.append(f"openvino, {half_type()}")
    return tuple(working), tuple(
        f"provider {name} is installed, but does not work here" for name in broken
    )


def _few(calibration: list[Sample], model: onnx.ModelProto) -> list[Sample]:
    """All frames for convolutions; for a transformer, slow and calibrated by extremes, a few."""
    if not has_attention(model.graph):
        return calibration
    return evenly(calibration, _TRANSFORMER_FRAMES)


def _labelled(network: DepthNetwork, options: ExportOptions) -> list[Labelled]:
    if options.dataset is None:
        return []
    return labelled_frames(options.dataset, _LABELLED_FRAMES, network.input)


def _truth(frame: Labelled) -> tuple[object, ...]:
    """What a figure against ground truth depends on beside the picture."""
    depth = pixel_hash(np.ascontiguousarray(frame.depth_m).view(np.uint8))
    return depth, frame.nearest_m, frame.farthest_m, frame.content


def _facts(found: Found, options: ExportOptions, machine: Target, count: int) -> dict[str, Any]:
    """What the file's metadata says of the search."""
    picked = found.picked
    return {
        "target": machine.name,
        "recipe": "float32" if picked is None else picked.recipe,
        "provider": CPU if picked is None else picked.provider,
        "providers": list(found.providers),
        "float_blocks": [] if picked is None else list(picked.float_blocks),
        "error": None if picked is None else picked.error,
        "worst": None if picked is None else picked.worst,
        "accuracy_drop": None if picked is None else picked.drop,
        "latency_ratio": None if picked is None else picked.ratio,
        "max_drop": options.max_drop,
        "validation_frames": found.frames,
        "validation_source": source_name(options.validate or options.frames),
        "calibration_frames": count,
        "calibration_source": source_name(options.calibration or options.frames),
        "front": [{"name": c.name, "error": c.error, "ratio": c.ratio} for c in found.front],
        "complete": not found.out_of_time,
    }
