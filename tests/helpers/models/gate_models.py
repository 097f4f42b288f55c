"""A labelled set, and models that see it exactly, equally and worse: for gates on accuracy.

PYTHONPATH=tests python -m helpers.models.gate_models FOLDER

writes ``sets/desk``, ``exact.onnx``, ``equal.onnx`` (another file of the same function) and
``bent.onnx`` (worse).
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
from onnx import helper

from helpers.files.labelled import write_set
from helpers.models.small_model import build_model, build_spec


def bent(path: Path) -> Path:
    """The tiny model with its inverse depth squared, so that no straight line fits it."""
    return _behind(path, "Mul", 2)


def equal(path: Path) -> Path:
    """The tiny model with a node that does nothing."""
    return _behind(path, "Identity", 1)


def _behind(path: Path, operator: str, inputs: int) -> Path:
    model = onnx.load(build_model(path, spec=build_spec(name=path.stem)))
    model.graph.node[-1].output[0] = "straight"
    model.graph.node.append(helper.make_node(operator, ["straight"] * inputs, ["depth"]))
    onnx.save(model, path)
    return path


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write_set(folder / "sets" / "desk", 12)
    build_model(folder / "exact.onnx")
    equal(folder / "equal.onnx")
    bent(folder / "bent.onnx")
