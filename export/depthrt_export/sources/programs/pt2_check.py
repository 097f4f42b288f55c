"""Checks the graph of a ``torch.export`` file: it may hold operations on tensors and nothing else.

Loading such a file runs what stands in its JSON: operators may name any function below ``torch``
(``torch.os.system``), sizes are evaluated as Python, names are pasted into a generated program,
guards are Python code. So every text in it must be of the form that its place has.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

NAME = re.compile(r"([A-Za-z_]\w*)?", re.ASCII)
_TEXT = re.compile(r"[\w.:+ -]*", re.ASCII)  # paths of modules, devices, versions
_ARGUMENT = re.compile(r"[\w .,:;<>=+*/()\[\]-]*", re.ASCII)  # "bilinear", "bchw,cd->bdhw"
_MODULES = re.compile(r"[\w.,;@()\[\]-]*", re.ASCII)
_DIGITS_OF_SIZES = re.compile(r"[\w\s()*+/,.%<>=&|~'-]*", re.ASCII)
_OPERATOR = re.compile(r"torch\.ops\.(aten|prims)\.(\w+)\.(\w+)", re.ASCII)
_SYMBOLIC = re.compile(r"torch\.(_?sym_\w+)", re.ASCII)

_HIGHER_ORDER = re.compile(
    r"torch\.ops\.higher_order\."
    r"(cond|map_impl|scan|while_loop|wrap_with_autocast|wrap_with_set_grad_enabled)"
)
_ARITHMETIC = re.compile(
    r"_operator\.(add|and_|eq|floordiv|ge|getitem|gt|le|lshift|lt|mod|mul|ne|neg|not_|or_|pos|pow"
    r"|rshift|sub|truediv)"
)
_OF_SIZES = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Min|Max|Mod|Abs|And|Or|Not|Eq|Ne|Lt|Le|Gt|Ge"
    r"|Equality|Unequality|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|Piecewise"
    r"|ExprCondPair|floor|ceiling|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt"
    r"|FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv"
    r"|IsNonOverlappingAndDenseIndicator|TruncToFloat|TruncToInt|RoundToInt|RoundDecimal|ToFloat"
    r"|Identity"
)
_SIZE_NAME = re.compile(r"[a-z]{1,4}\d+|oo|int_oo|true|false", re.ASCII)
_SIZE_NODES = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp,
    ast.Compare, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_CONTAINERS = ("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")


class UnsafeError(ValueError):
    """Unsafe content; the message ends a sentence that begins with the file's name."""


def checked_program(content: bytes) -> bytes:
    """The program's JSON with every text checked, and without notes to debuggers and guards.

    Raises:
        UnsafeError: a text that could run as code.
        ValueError, RecursionError: no JSON of the form.
    """
    program = json.loads(content)
    if not isinstance(program, dict) or not isinstance(program.get("graph_module"), dict):
        raise ValueError("no program")
    program["guards_code"] = []  # Python code that repeats what the graph checks
    program["graph_module"]["metadata"] = {}
    _check(program, "")
    return json.dumps(program).encode()


def checked_config(content: bytes) -> dict[str, Any]:
    """The list of tensors of a program: each name's member, and how that is to be read.

    Raises:
        UnsafeError: a member that is no tensor, or a text that could run as code.
        ValueError, RecursionError: no JSON of the form.
    """
    document = json.loads(content)
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise ValueError("no list of tensors")
    _check(document, "")
    config: dict[str, Any] = document["config"]
    for entry in config.values():
        if not isinstance(entry, dict) or not isinstance(entry.get("path_name"), str):
            raise ValueError("no list of tensors")
        if not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"], re.ASCII):
            raise UnsafeError(f"holds an object that is no tensor ({entry['path_name']})")
    return config


def _check(value: Any, key: str) -> None:
    if isinstance(value, str):
        _CHECKS.get(key, _plain)(value)
    elif isinstance(value, list):
        if key == "nodes":
            for node in value:
                _drop_notes(node)
        for part in value:
            _check(part, key)
    elif isinstance(value, dict):
        if value and key in ("as_custom_obj", "custom_obj", "custom_obj_values"):
            raise UnsafeError("holds an object that is no tensor")
        check_key = _KEYS.get(key, _plain)
        for name, part in value.items():
            check_key(name)
            _check(part, name if key not in _KEYS else "")


def _drop_notes(node: Any) -> None:
    """Drop a node's metadata but for its modules, which name the ONNX nodes."""
    if isinstance(node, dict):
        notes = node.get("metadata")
        modules = notes.get("nn_module_stack") if isinstance(notes, dict) else None
        plain = isinstance(modules, str) and _MODULES.fullmatch(modules)
        node["metadata"] = {"nn_module_stack": modules} if plain else {}


def _matching(form: re.Pattern[str]) -> Callable[[str], None]:
    def check(text: str) -> None:
        if not form.fullmatch(text):
            shown = text if len(text) <= 60 else text[:60] + "..."
            raise UnsafeError(f"holds text where torch writes a name ({shown!r})")

    return check


_plain = _matching(_TEXT)
_identifier = _matching(NAME)


def _operator(target: str) -> None:
    if _ARITHMETIC.fullmatch(target) or _HIGHER_ORDER.fullmatch(target):
        return
    place, _, name = target.rpartition(".")
    if place == "math" and callable(getattr(math, name, None)) and not name.startswith("_"):
        return
    symbolic = _SYMBOLIC.fullmatch(target)
    if symbolic and callable(getattr(torch, symbolic[1], None)):
        return
    found = _OPERATOR.fullmatch(target)
    operator = _overload(*found.groups()) if found else None
    if operator is None or touches_files(operator._schema):
        shown = target if len(target) <= 60 else target[:60] + "..."
        raise UnsafeError(f"calls {shown!r}, which is no operation on tensors")


def _overload(space: str, packet: str, overload: str) -> torch._ops.OpOverload | None:
    holder = getattr(getattr(torch.ops, space), packet, None)
    found = getattr(holder, overload, None)
    return found if isinstance(found, torch._ops.OpOverload) else None


def touches_files(schema: Any) -> bool:
    """Whether an operator reads or writes a file: ``aten::save``, ``aten::from_file``."""
    return any(argument.name == "filename" for argument in schema.arguments)


def _size(text: str) -> None:
    """A size as sympy writes it: ``Mul(Integer(8), Symbol('s77', positive=True))``."""
    try:
        tree = ast.parse(text, mode="eval") if _DIGITS_OF_SIZES.fullmatch(text) else None
    except (SyntaxError, ValueError, MemoryError):
        tree = None
    if tree is None or not all(map(_is_of_size, ast.walk(tree))):
        raise UnsafeError(f"holds text where torch writes a size ({text[:60]!r})")


def _is_of_size(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and bool(_OF_SIZES.fullmatch(node.func.id))
    if isinstance(node, ast.Name):
        return bool(_OF_SIZES.fullmatch(node.id) or _SIZE_NAME.fullmatch(node.id))
    if isinstance(node, ast.Constant):
        text = node.value
        return not isinstance(text, (str, bytes)) or bool(re.fullmatch(r"[\w.+-]+", str(text)))
    return isinstance(node, _SIZE_NODES)


def _structure(text: str) -> None:
    """How arguments are nested: ``[1, {"type": "builtins.tuple", "context": "null", ...}]``."""
    _, spec = json.loads(text)
    _check_structure(spec)


def _check_structure(spec: Any) -> None:
    kind = spec["type"]
    if kind is None:
        return
    if kind not in _CONTAINERS:
        raise UnsafeError(f"takes or gives a {str(kind)[:60]!r}, which is no tensor")
    names = json.loads(spec["context"])
    if names is not None and not isinstance(names, list):
        raise UnsafeError("holds an object where torch writes names of arguments")
    for name in names or ():
        _identifier(name)
    for part in spec["children_spec"]:
        _check_structure(part)


_CHECKS: Mapping[str, Callable[[str], None]] = {
    "target": _operator,
    "as_operator": _operator,
    "name": _identifier,
    "as_name": _identifier,
    "forward_arg_names": _identifier,
    "as_string": _matching(_ARGUMENT),
    "as_strings": _matching(_ARGUMENT),
    "expr_str": _size,
    "in_spec": _structure,
    "out_spec": _structure,
    "nn_module_stack": _matching(_MODULES),
}
_KEYS: Mapping[str, Callable[[str], None]] = {  # dicts whose keys are names of the file's own
    "tensor_values": _identifier,
    "sym_int_values": _identifier,
    "sym_bool_values": _identifier,
    "sym_float_values": _identifier,
    "range_constraints": _size,
    "config": _plain,
    "as_string_to_argument": _plain,
    "opset_version": _plain,
    "treespec_namedtuple_fields": _plain,
}
