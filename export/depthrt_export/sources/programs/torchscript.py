"""A TorchScript file as a module that torch.export can trace.

TorchScript is a language of its own: a file of it cannot reach Python, but its code runs when it is
loaded (``__setstate__``) and when it is converted, and may read and write files (``torch.save``).
Without ``--trust-code`` only operations on tensors are let through.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depthrt.errors import ModelError, UsageError
from depthrt_export.console import quiet_torch
from depthrt_export.sources.programs.archive import Members, packed, read_members, untrusted

_READ = re.compile(
    r"version|byteorder|\.data/.*|\.format_version|(data|constants)\.pkl|(data|constants)/\d+"
    r"|code/.*\.py",
    re.ASCII,
)
_PICKLED = ("torch", "torch._utils", "torch._tensor", "torch.jit._pickle", "torch.storage",
            "collections", "builtins")  # fmt: skip
_NATIVE = "__torch__.torch.classes"  # classes of C++, which may do anything when they are made
_FILES = re.compile(rb"\b(save|from_file)[\s\\]*\(")
_OUTSIDE = re.compile(r"prim::(rpc|Python|IgnoredPython|Call|AddStat)\w*")
_ATTRIBUTE = re.compile(r"[\w.:+ -]*", re.ASCII)  # what stays a text where a program is generated


def load_torchscript(
    path: Path, size: tuple[int, int] | None, *, trust_code: bool = False
) -> nn.Module:
    """Load a file of ``torch.jit.save`` and turn it into an exported program's module.

    torch.export does not trace TorchScript; its converter rebuilds the graph at one size.

    Args:
        size: height and width that the program is rebuilt at.
        trust_code: let it do more than compute with tensors.

    Raises:
        ModelError: not readable, code in it that was not trusted, or the converter does not know
            something in it.
        UsageError: the size is not said.
    """
    if size is None:
        raise UsageError("say the input size: --size HEIGHTxWIDTH, such as 192x320")
    archive = str(path) if trust_code else _checked_archive(path)
    with quiet_torch():  # torch calls all of torch.jit deprecated
        try:
            script = torch.jit.load(archive, map_location="cpu")  # type: ignore[no-untyped-call]
        except Exception as error:  # torch.jit documents no base class
            raise ModelError(f"{path} is no readable TorchScript file") from error
        if not trust_code:
            _require_tensors_only(script, path)
    return rebuilt(script, size, str(path))


def rebuilt(script: Any, size: tuple[int, int], name: str) -> nn.Module:
    """A TorchScript module as an exported program's, at one size (height, width).

    Raises:
        ModelError: the converter does not know something in it.
    """
    from torch._export.converter import TS2EPConverter

    with quiet_torch():
        try:
            program = TS2EPConverter(script.eval().float(), (torch.zeros(1, 3, *size),)).convert()
        except Exception as error:  # torch documents no base class
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
            raise ModelError(
                f"{name} cannot be rebuilt from TorchScript ({reason}): give its code as "
                "file.py:factory and its weights as --checkpoint"
            ) from error
    return program.module()


def _checked_archive(path: Path) -> io.BytesIO:
    """The file's code and tensors, none of which runs anything when it is loaded."""
    kept: Members = {}
    for name, data in read_members(path).items():
        if _READ.fullmatch(name):
            kept[name] = data
        if name.startswith("code/"):
            _require_quiet_code(path, data)
        if name in ("data.pkl", "constants.pkl"):
            _require_plain_pickle(path, name, data)
    return packed(kept)


def _require_quiet_code(path: Path, source: bytes) -> None:
    """Nothing that runs while the file is loaded, and nothing anywhere that touches files."""
    if b"__setstate__" in source:
        raise untrusted(path, "runs code of its own when it is loaded (__setstate__)")
    called = _FILES.search(source)
    if called:
        raise untrusted(path, f"calls aten::{called[1].decode()}, which is no operation on tensors")


def _require_plain_pickle(path: Path, name: str, data: bytes) -> None:
    for place in _names(path, name, data):
        full = place.replace(" ", ".")
        if full.startswith(_NATIVE):
            raise untrusted(path, f"holds an object that is no tensor ({full} in {name})")
        if place.partition(" ")[0] not in _PICKLED and not full.startswith("__torch__."):
            raise ModelError(
                f"{path} is no readable TorchScript file: its attributes are pickled Python "
                f"({full} in {name})"
            )


def _names(path: Path, name: str, data: bytes) -> Iterator[str]:
    """``module name`` of every class and function that a pickle names."""
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name == "GLOBAL":
                yield str(argument)
            elif code.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
                yield f"{code.name} "
    except ModelError:
        raise
    except Exception as error:  # pickletools documents no base class
        raise ModelError(f"{path} is no readable TorchScript file ({name} is broken)") from error


def _require_tensors_only(script: Any, path: Path) -> None:
    try:
        graph = script.inlined_graph
    except Exception as error:  # torch.jit documents no base class
        raise ModelError(f"{path} is no readable TorchScript file (it has no forward)") from error
    names = [name for name, _ in (*script.named_modules(), *script.state_dict().items())]
    for node in _nodes(graph):
        kind, schema = node.kind(), node.schema()
        space = kind.partition("::")[0]
        if space not in ("aten", "prim") or _OUTSIDE.fullmatch(kind) or " filename" in schema:
            raise untrusted(path, f"calls {kind}, which is no operation on tensors")
        if kind in ("prim::GetAttr", "prim::SetAttr"):
            names.append(node.s("name"))
    odd = next((name for name in names if not _ATTRIBUTE.fullmatch(name)), None)
    if odd is not None:
        raise untrusted(path, f"holds text where torch writes a name ({odd[:60]!r})")


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes of a graph, those of branches, loops and graphs inside nodes included."""
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from _nodes(block)
        for name in node.attributeNames():
            if node.kindOf(name) == "g":
                yield from _nodes(node.g(name))
            elif node.kindOf(name) == "gs":
                for inner in node.gs(name):
                    yield from _nodes(inner)
