"""Whether a source is an ONNX file, and which of a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from depthrt.errors import UsageError
from depthrt.model.other_formats import begins_as_onnx, other_format

# Files that are given where an ONNX file is meant: what is wrong with them is said by the reading.
_SUFFIXES = (".onnx", ".ort", ".engine", ".plan", ".trt", ".tflite", ".hdf5", ".keras")
_TORCH = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.pt2")


@dataclass(frozen=True)
class Found:
    """The file, and a sentence where it was chosen among others."""

    path: Path
    note: str = ""


def onnx_source(source: str) -> Found | None:
    """The ONNX file that a source is or holds; None where it is something else.

    Of a folder as the Hugging Face hub holds it, without weights of PyTorch, ``onnx/model.onnx``.

    Raises:
        UsageError: a folder of several ONNX files, none of which is ``model.onnx``.
    """
    path = Path(source)
    if path.suffix.lower() in _SUFFIXES:
        return Found(path)
    if path.is_dir():
        return _of_folder(path)
    if path.is_file() and (begins_as_onnx(path) or "git LFS" in other_format(path)):
        return Found(path)
    return None


def _of_folder(folder: Path) -> Found | None:
    if any(any(folder.glob(pattern)) for pattern in _TORCH):
        return None
    files = sorted({*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")})
    if not files:
        return None
    named = [file for file in files if file.name == "model.onnx"]
    if len(files) > 1 and not named:
        listed = ", ".join(str(file.relative_to(folder)) for file in files[:6])
        raise UsageError(f"{folder} holds {len(files)} ONNX files: give one of them ({listed})")
    taken = (named or files)[0]
    others = ", ".join(file.name for file in files if file != taken)
    beside = f"; beside it: {others}" if others else ""
    return Found(taken, f"{taken.relative_to(folder)} of {folder.name} is taken{beside}")
