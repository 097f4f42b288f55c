"""Nodes of a graph: how to find, group, replace and remove them.

Functions of protobuf graphs (``onnx.GraphProto``) come first, those of onnx_ir's graphs after them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

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


def remove_unread(graph: onnx.GraphProto) -> None:
    """Drop nodes and initializers that lead nowhere: onnxruntime warns of the latter."""
    while True:
        read = _read(graph)
        idle = [node for node in graph.node if not read & set(node.output)]
        if not idle:
            break
        for node in idle:
            graph.node.remove(node)
    for tensor in [i for i in graph.initializer if i.name not in read]:
        graph.initializer.remove(tensor)


def _read(graph: onnx.GraphProto) -> set[str]:
    """Names that the graph gives or its nodes read, in their branches as well."""
    read = {output.name for output in graph.output}
    for node in graph.node:
        read.update(node.input)
        for attribute in node.attribute:
            for branch in (attribute.g, *attribute.graphs):
                read |= _read(branch)
    return read


Dim = int | ir.SymbolicDim
Array = NDArray[np.generic]


def made_by(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that computes a value if it is one of these standard operators."""
    node = value.producer() if value is not None else None
    if node is None or node.domain or node.op_type not in op_types:
        return None
    return node


def constant(value: ir.Value | None) -> Array | None:
    """The value's content where it is an initializer that no caller can replace."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return np.asarray(value.const_value.numpy())


def uniform(value: ir.Value | None) -> float | None:
    """The one number that a constant of any shape holds everywhere."""
    content = constant(value)
    if content is None or content.size == 0 or content.dtype.kind not in "fiub":
        return None
    first = content.reshape(-1)[0]
    return float(first) if bool(np.all(content == first)) else None


def dims(value: ir.Value | None, rank: int) -> tuple[Dim, ...] | None:
    """The value's shape where it is known to have this rank."""
    if value is None or value.shape is None or value.shape.rank() != rank:
        return None
    return tuple(value.shape)


def same(first: Dim, second: Dim) -> bool:
    """Whether two dimensions are known to be equal: the same number, or the same symbol."""
    if isinstance(first, ir.SymbolicDim) and first.value is None:
        return False
    return first == second


def ints(node: ir.Node, name: str) -> tuple[int, ...] | None:
    """An attribute that is a list of integers."""
    attribute = node.attributes.get(name)
    return None if attribute is None else tuple(attribute.as_ints())


def integer(node: ir.Node, name: str, default: int) -> int:
    """An attribute that is an integer."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def text(node: ir.Node, name: str, default: str) -> str:
    """An attribute that is a string."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def used_once(value: ir.Value) -> bool:
    """Whether nobody but one input of one node sees the value."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def only_user(value: ir.Value, op_type: str) -> ir.Node | None:
    """The one node that reads a value, if it is this standard operator."""
    users = {use.node for use in value.uses()}
    if value.is_graph_output() or len(users) != 1:
        return None
    (user,) = users
    return user if user.op_type == op_type and not user.domain else None


def same_shape(first: ir.Value, second: ir.Value, rank: int) -> bool:
    """Whether two values are known to have the same shape, of this rank."""
    before, after = dims(first, rank), dims(second, rank)
    if before is None or after is None:
        return False
    return all(same(a, b) for a, b in zip(before, after, strict=True))


def scalar(value: ir.Value | None) -> float | None:
    """A constant of one element that broadcasting does not turn into something bigger."""
    single = value is not None and value.shape is not None and value.shape.rank() <= 1
    return uniform(value) if single and value is not None and value.shape in ((), (1,)) else None


def everywhere(value: ir.Value | None) -> float | None:
    """The one number that a value holds everywhere, whatever its shape, if there is a proof."""
    number = uniform(value)
    if number is not None:
        return number
    if (expand := made_by(value, "Expand", "Identity", "Unsqueeze", "Reshape")) is not None:
        return everywhere(expand.inputs[0])
    if (where := made_by(value, "Where")) is not None:
        condition, chosen, other = (everywhere(v) for v in where.inputs)
        if condition is None:
            return chosen if chosen == other else None
        return chosen if condition else other
    return None


def new_constant(graph: ir.Graph, name: str, content: Array) -> ir.Value:
    """Put an array among the graph's initializers under a name that is still free."""
    free = name
    while free in graph.initializers:
        free += "_"
    value = ir.val(free, const_value=ir.tensor(content, name=free))
    graph.register_initializer(value)
    return value


def replace(graph: ir.Graph, old: ir.Value, nodes: Sequence[ir.Node]) -> None:
    """Let the last of new nodes compute what ``old`` was; its former makers are left to die."""
    place = old.producer()
    if place is None:
        raise ValueError(f"{old.name} is not computed by a node")
    new = nodes[-1].outputs[0]
    new.shape, new.type = old.shape, old.type
    graph.insert_before(place, list(nodes))
    rewire(old, new)


def rewire(old: ir.Value, new: ir.Value) -> None:
    """Let all users of a computed value, callers included, see another one under its name."""
    if old.is_graph_output():
        new.name, old.name = old.name, f"{old.name}_before"
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)


def is_close(first: float, second: float) -> bool:
    """Equal to within float32 rounding."""
    return math.isclose(first, second, rel_tol=1e-6)
