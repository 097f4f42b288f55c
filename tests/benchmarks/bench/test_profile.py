"""What a profile is made of, on events written by hand."""

from __future__ import annotations

from typing import Any

from depthrt_benchmarks.bench.measure.profile import Node, islands, parse, summarise


def event(name: str, operator: str, kind: str, us: float, index: int) -> dict[str, Any]:
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "dur": us,
        "args": {
            "op_name": operator,
            "provider": "CPUExecutionProvider",
            "node_index": str(index),
            "output_type_shape": [{kind: [1]}],
        },
    }


def node(operator: str, kind: str, us: float = 10.0) -> Node:
    return Node(operator.lower(), operator, "cpu", kind, us)


CHAIN = [
    node("QLinearConv", "uint8", 60),
    node("DequantizeLinear", "float", 5),
    node("Resize", "float", 10),
    node("Conv", "float", 10),
    node("QuantizeLinear", "uint8", 5),
    node("QLinearConv", "uint8"),
    node("DequantizeLinear", "float"),
    node("Squeeze", "float"),
]


def test_the_first_runs_do_not_count_and_unnamed_nodes_stay_apart() -> None:
    events = [event("Relu", "Relu", "float", us, 1) for us in (90, 90, 90, 10, 20)]
    events += [event("Relu", "Relu", "float", 4, 2)] * 5
    events.append({"cat": "Session", "name": "model_run", "dur": 100})
    found = parse(events)
    assert [(n.name, n.us) for n in found] == [("Relu", 15.0), ("Relu", 4.0)]
    assert found[0].provider == "cpu"


def test_a_float_island_is_arithmetic_between_dequantise_and_quantise() -> None:
    (island,) = islands(CHAIN)
    assert [n.operator for n in island] == ["Resize", "Conv"]


def test_shares_add_up_and_what_is_left_over_is_named() -> None:
    found = summarise(CHAIN, quantised=True)
    assert found["total_ms"] == 0.12
    assert found["operators"][0] == {
        "operator": "QLinearConv", "count": 2, "ms": 0.07, "share": 0.5833,
    }  # fmt: skip
    assert found["quantize_dequantize"]["count"] == 3
    assert found["float_islands"][0]["ms"] == 0.02
    assert found["by_provider"] == {}
    assert "float_islands" not in summarise(CHAIN, quantised=False)
