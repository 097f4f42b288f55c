"""The other tables of docs/performance.md, each from the JSON files of one experiment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.readme.accuracy import PLACES

_RESULTS = Path(__file__).parents[2] / "results"
_DRAWN = "depth-anything"
_SEQUENCE = 25  # frames: fewer have no flicker to speak of
_MACHINES = {"amx": "Intel Xeon, AMX", "avx2": "AMD EPYC, no VNNI"}


def more_tables() -> dict[str, str]:
    """Every table by the name of its marks."""
    makers: dict[str, Callable[[], str]] = {
        "recordings": _recordings,
        "streams": _streams,
        "search": _search,
        "nncf": _nncf,
        "flicker": _flicker,
        "gpu": _gpu,
        "start": _start,
    }
    return {name: make() for name, make in makers.items()}


def _recordings() -> str:
    rows = []
    for name, machine in (
        ("pipeline_amx", "amx"),
        ("pipeline_4k_amx", "amx"),
        ("pipeline_avx2", "avx2"),
    ):
        for size, found in _read(name)["medians"]["depthrt-s"].items():
            rate, share = found["end_to_end_fps"], found["end_to_end_over_ceiling"]
            rows.append((_MACHINES[machine], size, f"{rate:.0f}", f"{share:.2f}"))
    return _table(("machine", "video", "frames a second", "of what both cores could do"), rows)


def _streams() -> str:
    rows = []
    for machine, shown in _MACHINES.items():
        for model in _read(f"streams_{machine}")["models"]:
            many, live = model["batched"], model["overload"]
            gain = many["pictures_over_ours_alone"]
            median, late = live["latency_ms"]["p50"], live["latency_ms"]["p99"]
            network = live["model_ms"]
            rows.append(
                (shown, model["model"]["name"], f"{gain:.2f}", f"{network:.1f} ms",
                 f"{median:.1f} ms", f"{late:.1f} ms")
            )  # fmt: skip
    heads = (
        "machine", "network", "8 streams over 1", "its inference", "latency, median", "99 of 100",
    )  # fmt: skip
    return _table(heads, rows)


def _search() -> str:
    rows = []
    found = {machine: _read(f"quantisation_{machine}")["networks"] for machine in _MACHINES}
    for name in found["amx"]:
        drawn = name.startswith(_DRAWN)
        if not drawn and "abs_rel" not in found["amx"][name]:
            continue  # weights drawn, and of no published size
        cells = [f"{name}*" if drawn else name]
        for machine in _MACHINES:
            pick = found[machine][name]
            cells += [pick["picked"], f"{pick['ratio']:.2f}", f"{pick['error']:.3f}"]
            cells.append("" if drawn else f"{_over_float32(pick['abs_rel']):.3f}")
        rows.append(tuple(cells))
    for name, pick in _read("quantisation_searched")["networks"].items():
        picked = f"{pick['recipe']}, {pick['float_blocks']} blocks float"
        time, loss = pick["one_thread"]["ratio"], pick["abs_rel_over_float32"]
        nothing = ("", "", "", "")
        rows.append((f"METER {name}†", *nothing, picked, f"{time:.2f}", "", f"{loss:.3f}"))
    heads = ["network"]
    for shown in _MACHINES.values():
        heads += [f"{shown}: picked", "time", "error", "AbsRel"]
    return _table(heads, rows)


def _over_float32(abs_rel: dict[str, dict[str, float]]) -> float:
    """Mean ratio over the sets that no network of the table was trained on."""
    return fmean(abs_rel[name]["auto_over_float32"] for name in PLACES)


def _nncf() -> str:
    rows = []
    for name, network in _read("quantisation_nncf")["networks"].items():
        ways, images = network["ways"], network["images"]
        shown = ", ".join(f"{each} ({count})" for each, count in images.items())
        cells = [
            f"{ways[way]['abs_rel']:.3f}, {ways[way]['over_float32']:.3f}"
            for way in ("depthrt int8", "nncf int8", "nncf int8, transformer")
        ]
        rows.append((name, shown, f"{ways['float32']['abs_rel']:.3f}", *cells))
    heads = (
        "network", "sets (images)", "float32", "depthrt int8", "NNCF int8", "NNCF, transformer",
    )  # fmt: skip
    return _table(heads, rows)


def _flicker() -> str:
    found = _read("stabilisation")
    rows = [
        (name, f"{clip['flicker_ratio']['median']:.2f}", "")
        for name, clip in found["clips"].items()
    ]
    rows += [
        (name, f"{data['flicker_ratio']['median']:.2f}", f"{data['abs_rel_ratio']:.3f}")
        for name, data in found["sets"].items()
        if data["frames"] >= _SEQUENCE
    ]
    return _table(("video", "flicker, over the network's own", "AbsRel, likewise"), rows)


def _gpu() -> str:
    rows = []
    for name in ("gpu", "gpu_h200"):
        found = _read(name)
        gpu = found["gpus"][0].split(",")[0].removeprefix("NVIDIA ")
        for session in found["sessions"]:
            if session["provider"] == "cuda" and session["network"] == "depthrt-s":
                speed = f"{session['inference_ms']:.1f} ms", f"{session['fps']:.0f}"
                rows.append((gpu, session["precision"], str(session["batch"]), *speed))
    return _table(("GPU", "precision", "batch", "inference", "frames a second"), rows)


def _start() -> str:
    rows = []
    for machine, shown in _MACHINES.items():
        found = _read(f"startup_{machine}")
        seconds, ratio = found["median_s"], found["first_depth_over_onnxruntime"]
        cells = (seconds["import_depthrt"], seconds["depthrt_first_depth"])
        rows.append((shown, *(f"{1e3 * s:.0f} ms" for s in cells), f"{ratio:.2f}"))
    return _table(("machine", "import depthrt", "first depth map", "over bare onnxruntime's"), rows)


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(heads)
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
