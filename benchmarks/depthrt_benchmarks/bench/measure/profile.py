"""onnxruntime's own profile of a model: where the time goes, operator by operator."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.model.providers import PROVIDERS, SessionOptions, provider_options, short_name
from depthrt.model.session import (
    import_onnxruntime,
    needs_exact_sums,
    open_session,
    session_options,
    sum_exactly,
)

_WARM_UP, _RUNS = 3, 20
_TOP = 12
_SUFFIX = "_kernel_time"
_Q, _DQ = "QuantizeLinear", "DequantizeLinear"
_FLOATS = ("float", "float16", "bfloat16")
# Moving values about is no arithmetic: such nodes do not make an island by themselves.
_LAYOUT = ("Squeeze", "Unsqueeze", "Reshape", "Transpose", "ReorderInput", "ReorderOutput", "Cast")


@dataclass(frozen=True)
class Node:
    """A node of the optimised graph: microseconds a run, and what type its first output has."""

    name: str
    operator: str
    provider: str
    output: str
    us: float


def profile(
    model: Path, provider: str, threads: int, feed: NDArray[np.uint8], precision: str
) -> dict[str, Any]:
    """Run with onnxruntime's profiler and say what took how long, in milliseconds a run.

    Raises:
        InferenceError: onnxruntime cannot profile it here.
    """
    nodes = trace(model, provider, threads, feed)
    return summarise(nodes, quantised=precision.startswith("int"))


def trace(model: Path, provider: str, threads: int, feed: NDArray[np.uint8]) -> list[Node]:
    """Every node in the order it ran, with its mean time."""
    ort = import_onnxruntime()
    with tempfile.TemporaryDirectory(prefix="depthrt-bench-") as folder:
        asked = SessionOptions(provider, threads, spinning=True)
        settings = session_options(asked)
        if provider == "cpu" and needs_exact_sums(open_session(model, asked)):
            sum_exactly(settings)
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(folder) / "profile")
        options = provider_options(provider, asked)
        try:
            session = ort.InferenceSession(
                str(model), settings, providers=[(PROVIDERS[provider], options)]
            )
            for _ in range(_WARM_UP + _RUNS):
                session.run(["depth"], {"image": feed})
            events = json.loads(Path(session.end_profiling()).read_text())
        except Exception as error:  # onnxruntime's own classes derive from nothing narrower
            reason = str(error).strip().splitlines()[0]
            raise InferenceError(f"{model} cannot be profiled on {provider} ({reason})") from error
    return parse(events)


def parse(events: list[dict[str, Any]]) -> list[Node]:
    """The nodes of a profile; the first runs do not count."""
    kernels = [e for e in events if e.get("cat") == "Node" and str(e["name"]).endswith(_SUFFIX)]
    # Unnamed nodes share the name of their operator: their place in the graph tells them apart.
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for event in kernels:
        key = (event["name"], str(event["args"].get("node_index", "")))
        first.setdefault(key, event)
        taken[key].append(float(event["dur"]))
    nodes = []
    for key, event in first.items():
        counted = taken[key][min(_WARM_UP, len(taken[key]) - 1) :]
        types = event["args"].get("output_type_shape") or [{}]
        nodes.append(
            Node(
                str(event["name"]).removesuffix(_SUFFIX),
                str(event["args"]["op_name"]),
                short_name(str(event["args"].get("provider", ""))),
                next(iter(types[0]), ""),
                sum(counted) / len(counted),
            )
        )
    return nodes


def summarise(nodes: list[Node], *, quantised: bool) -> dict[str, Any]:
    """Operators by time, the slowest nodes, and of int8 graphs what was left in float."""
    total_us = sum(node.us for node in nodes) or 1.0
    operators: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        operators[node.operator].append(node)
    by_time = sorted(operators.items(), key=lambda item: -sum(n.us for n in item[1]))
    slowest = sorted(nodes, key=lambda node: -node.us)[:_TOP]
    found: dict[str, Any] = {
        "total_ms": round(total_us / 1e3, 4),
        "nodes": len(nodes),
        "operators": [
            {"operator": name, **_figures(members, total_us)} for name, members in by_time
        ],
        "slowest": [
            {"node": n.name, "operator": n.operator, **_figures([n], total_us)} for n in slowest
        ],
        "by_provider": _by_provider(nodes, total_us),
    }
    if quantised:
        left = [node for node in nodes if node.operator in (_Q, _DQ)]
        found["quantize_dequantize"] = _figures(left, total_us)
        found["float_islands"] = [
            {"nodes": [n.name for n in i], "operators": [n.operator for n in i],
             **_figures(i, total_us)} for i in islands(nodes)
        ]  # fmt: skip
    return found


def islands(nodes: list[Node]) -> list[list[Node]]:
    """Runs of float arithmetic inside an int8 graph, in the order the graph ran.

    By order, not by edges: two islands on branches that ran one after the other count as one.
    """
    found: list[list[Node]] = [[]]
    for node in nodes:
        if node.operator == _DQ or node.output not in _FLOATS:
            found.append([])
        elif node.operator not in _LAYOUT:
            found[-1].append(node)
    return [island for island in found if island]


def _figures(nodes: list[Node], total_us: float) -> dict[str, Any]:
    spent = sum(node.us for node in nodes)
    return {"count": len(nodes), "ms": round(spent / 1e3, 4), "share": round(spent / total_us, 4)}


def _by_provider(nodes: list[Node], total_us: float) -> dict[str, Any]:
    """Time by provider, where more than one took part."""
    names = dict.fromkeys(node.provider for node in nodes)
    if len(names) < 2:
        return {}
    return {name: _figures([n for n in nodes if n.provider == name], total_us) for name in names}
