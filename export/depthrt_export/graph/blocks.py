"""Which nodes belong together, and which come before which."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx

ATTENTION = ("MultiHeadAttention", "Attention", "Softmax")
WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")

_FEWEST, _MOST = 6, 32


def blocks(graph: onnx.GraphProto) -> dict[str, tuple[str, ...]]:
    """Names of blocks and of their nodes, in the order of the graph.

    A block is a module: its path up to the first number (``encoder.blocks.3``), and further down
    where that leaves fewer than six. A node outside any module joins the block before it. Blocks
    without a convolution or product join the one before them too.
    """
    found: dict[str, tuple[str, ...]] = {}
    for depth in range(1, 5):
        deeper = _grouped(graph, depth)
        if found and len(deeper) > _MOST:
            break
        found = deeper
        if len(found) >= _FEWEST:
            break
    return found


def _grouped(graph: onnx.GraphProto, depth: int) -> dict[str, tuple[str, ...]]:
    shared = _shared_scope([n.name for n in graph.node if n.op_type in WEIGHTED])
    heavy = {_block_name(n.name, depth, shared) for n in graph.node if n.op_type in WEIGHTED}
    of_tensor: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for node in graph.node:
        name = _block_name(node.name, depth, shared)
        if name not in heavy or not name:
            before = [of_tensor[t] for t in node.input if t in of_tensor]
            name = before[0] if before else ""
        if name:
            groups.setdefault(name, []).append(node.name)
            of_tensor.update(dict.fromkeys(node.output, name))
    return {name: tuple(nodes) for name, nodes in groups.items()}


def _shared_scope(nodes: Sequence[str]) -> int:
    """How many names all module paths begin with."""
    paths = [scope.split(".") for node in nodes if (scope := node.rpartition("/")[0])]
    names = [len(set(column)) == 1 for column in zip(*paths, strict=False)]
    return [*names, False].index(False) if len(paths) > 1 else 0


def _block_name(node: str, depth: int, shared: int) -> str:
    """The module path up to its ``depth``-th number; of ``depth`` names where it has none."""
    scope = node.rpartition("/")[0]
    parts = scope.split(".")[shared:] if scope else []
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    if len(numbers) >= depth:
        return ".".join(parts[: numbers[depth - 1] + 1])
    if numbers:
        return ".".join(parts[: numbers[-1] + 1 + (depth - len(numbers) - 1)])
    return ".".join(parts[:depth])


def leading_to(graph: onnx.GraphProto, op_types: Collection[str]) -> set[str]:
    """Names of the nodes of these types and of all that they depend on."""
    makers = _makers(graph)
    pending = [node for node in graph.node if node.op_type in op_types]
    found: set[str] = set()
    while pending:
        node = pending.pop()
        if node.name not in found:
            found.add(node.name)
            pending.extend(makers[name] for name in node.input if name in makers)
    return found


def constant_products(graph: onnx.GraphProto) -> list[str]:
    """Names of the MatMul nodes whose second factor is a constant matrix."""
    matrices = {i.name for i in graph.initializer if len(i.dims) == 2}
    return [n.name for n in graph.node if n.op_type == "MatMul" and n.input[1] in matrices]


def head_nodes(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Names of the nodes from the last convolution (or product), itself included, to the output."""
    makers = _makers(graph)
    pending, found = [graph.output[0].name], []
    while pending:
        node = makers.get(pending.pop())
        if node is None or node.name in found:
            continue
        found.append(node.name)
        if node.op_type not in WEIGHTED:
            pending.extend(node.input)
    return tuple(reversed(found))


def has_attention(graph: onnx.GraphProto) -> bool:
    """Whether this is a transformer."""
    return any(node.op_type in ATTENTION for node in graph.node)


def is_quantised(graph: onnx.GraphProto) -> bool:
    """Whether anything of the graph runs on integers already."""
    kinds = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv")
    return any(node.op_type in kinds for node in graph.node)


def _makers(graph: onnx.GraphProto) -> Mapping[str, onnx.NodeProto]:
    return {name: node for node in graph.node for name in node.output if name}
