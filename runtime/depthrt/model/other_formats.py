"""What a file is that was given as an ONNX model and is none, by its first bytes."""

from __future__ import annotations

from pathlib import Path

_LOOKED_AT = 64  # bytes
_PROTOBUF_LIMIT = 2**31 - 1  # bytes of one protobuf message
_UNPACK = "unpack it and give the .onnx file in it"
_OF_WEIGHTS = "which hold no graph: export the network that they belong to"

_OF_PYTORCH = (".ckpt", ".pt", ".pt2", ".pth")

_BEGINNINGS: tuple[tuple[int, bytes, str], ...] = (
    (
        0,
        b"version https://git-lfs",
        "is a pointer of git LFS, not the file that it stands for: fetch that with `git lfs pull`",
    ),
    (0, b"PK\x03\x04", f"is a zip archive, as PyTorch's .pt files are, too: {_UNPACK}"),
    (0, b"\x1f\x8b", f"is compressed by gzip: {_UNPACK}"),
    (0, b"\xfd7zXZ", f"is compressed by xz: {_UNPACK}"),
    (0, b"7z\xbc\xaf", f"is a 7z archive: {_UNPACK}"),
    (
        4,
        b"ORTM",
        "is in onnxruntime's own format (.ort), of which no ONNX file can be made again: give the "
        ".onnx file that it was made from",
    ),
    (0, b"ftrt", "is an engine of TensorRT: give the .onnx file that it was built from"),
    (0, b"ptrt", "is an engine of TensorRT: give the .onnx file that it was built from"),
    (4, b"TFL3", "is a TensorFlow Lite model: convert it to ONNX first"),
    (0, b"\x89HDF", "is an HDF5 file, as Keras writes them: convert the network to ONNX first"),
    (0, b"GGUF", f"is a GGUF file of weights, {_OF_WEIGHTS}"),
    (0, b"\x80\x02", f"is a pickle, as of PyTorch's weights, {_OF_WEIGHTS}"),
    (0, b"\x80\x03", f"is a pickle, as of PyTorch's weights, {_OF_WEIGHTS}"),
    (0, b"\x80\x04", f"is a pickle, as of PyTorch's weights, {_OF_WEIGHTS}"),
    (8, b'{"', f"is a safetensors file of weights, {_OF_WEIGHTS}"),
    (0, b'{"', "is a JSON document, not a model"),
)
_WEB_PAGE = (
    "is a web page, not a model: fetch the file itself (on the Hugging Face hub, the address with "
    "/resolve/ in the place of /blob/)"
)


def other_format(path: Path) -> str:
    """What the file is, and what to do, as the end of a sentence; empty if it may be ONNX.

    A file that cannot be read may be ONNX, too: whoever reads it will say why.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_LOOKED_AT)
    except OSError:
        return ""
    if size > _PROTOBUF_LIMIT:
        return (
            f"has {size / 1e9:.1f} GB, and an ONNX file can have at most 2 GB: save its weights "
            "in a file beside it (external data)"
        )
    if path.suffix.lower() in _OF_PYTORCH:
        return "is a file of PyTorch, not an ONNX model: make one with `depthrt export`"
    for start, beginning, what in _BEGINNINGS:
        if head[start : start + len(beginning)] == beginning:
            return what
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return _WEB_PAGE if text.startswith((b"<!doctype html", b"<html", b"<head")) else ""


def why_unreadable(path: Path) -> str:
    """Why protobuf cannot parse a file that is of no other known format; empty if unknown."""
    try:
        size = path.stat().st_size
    except OSError:
        return ""
    if not size:
        return "it is empty: fetch it again"
    if begins_as_onnx(path):
        return f"it begins as one, but its {size} bytes are cut off or damaged: fetch it again"
    return ""


def begins_as_onnx(path: Path) -> bool:
    """Whether the first bytes are those of an ONNX file.

    That is field 1 of a ModelProto, the version of the format, which all writers write first.
    """
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except OSError:
        return False
    return len(head) == 2 and head[0] == 8 and 1 <= head[1] < 64
