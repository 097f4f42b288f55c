"""Questions that every rewrite asks of a graph, and the ways in which it changes one.

``remove_unread`` works on onnx's protobuf graphs, all others on those of onnx_ir.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

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
