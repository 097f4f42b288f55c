"""Tensors of the protocol as arrays, and arrays as its tensors."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.files.json_file import short
from depthrt_serving.oip.messages import MessageError, SentTensor, WantedOutput

BYTES = "BYTES"
PIXELS: Mapping[str, np.dtype[Any]] = {  # little-endian, as the extension has it
    "UINT8": np.dtype("u1"),
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
}
"""Datatypes in which pixels are taken."""
_LENGTH_BYTES = 4  # before each element of BYTES
_HALF_MOST = float(np.finfo(np.float16).max)


def pixels_of(tensor: SentTensor) -> NDArray[Any]:
    """The elements of a tensor in its shape: uint8, or as they came, for :func:`as_pixels`.

    Raises:
        MessageError: another datatype, or not as many elements as the shape has.
    """
    kind = PIXELS.get(tensor.datatype)
    if kind is None:
        raise MessageError(
            f"the input {tensor.name} is {', '.join(PIXELS)}, not {short(tensor.datatype)}"
        )
    if tensor.content is not None:
        expected = tensor.count * kind.itemsize
        if len(tensor.content) != expected:
            raise MessageError(
                f"the input {tensor.name} of shape {list(tensor.shape)} and datatype "
                f"{tensor.datatype} is {expected} bytes, and binary_data_size says "
                f"{len(tensor.content)}"
            )
        return np.frombuffer(tensor.content, kind).reshape(tensor.shape)
    if tensor.datatype == "FP16":
        raise MessageError("FP16 has no form in JSON: send it as binary data")
    flat = _flat(tensor)
    if not {*map(type, flat)} <= {int, float}:
        raise MessageError(f"the data of the input {tensor.name} are not all numbers")
    try:
        values = np.array(flat, np.float64)
    except OverflowError:
        raise MessageError(f"the data of the input {tensor.name} are no pixels: 0 to 255") from None
    return as_pixels(values).reshape(tensor.shape)


def as_pixels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels as uint8, which they have to be exactly.

    Raises:
        MessageError: one is not a whole number from 0 to 255.
    """
    if values.dtype == np.uint8:
        return values
    within = (values >= 0) & (values <= 255)  # NaN is not
    if within.all():
        pixels = values.astype(np.uint8)
        within = pixels == values
        if within.all():
            return pixels
    wrong = float(values[~within].flat[0])
    raise MessageError(
        f"a pixel is {wrong:g}, which is no whole number from 0 to 255: send RGB as it is, the "
        "model normalises it"
    )


def files_of(tensor: SentTensor) -> list[bytes]:
    """The elements of a BYTES tensor; in JSON they are base64.

    Raises:
        MessageError: another datatype, or not as many elements as the shape has.
    """
    if tensor.datatype != BYTES:
        raise MessageError(f"the input {tensor.name} is {BYTES}, not {short(tensor.datatype)}")
    if tensor.content is not None:
        return _lengthy(tensor, tensor.content)
    try:
        return [base64.b64decode(text, validate=True) for text in _flat(tensor)]
    except (TypeError, ValueError, binascii.Error):
        raise MessageError(
            f"the data of the input {tensor.name} are no base64: send files so, or as binary data"
        ) from None


def as_output(values: NDArray[Any], wanted: WantedOutput) -> tuple[dict[str, Any], bytes]:
    """An output as its JSON object, and its binary data, empty where JSON is wanted.

    Args:
        values: float32 or bool.
        wanted: how it is wanted.

    Raises:
        MessageError: values that are asked for in FP16 do not fit.
    """
    datatype = wanted.datatype or own_datatype(values.dtype)
    entry: dict[str, Any] = {"name": wanted.name, "datatype": datatype, "shape": list(values.shape)}
    if datatype == "FP16":
        largest = float(np.abs(values).max(initial=0.0, where=np.isfinite(values)))
        if largest > _HALF_MOST:
            raise MessageError(
                f"{wanted.name} is up to {largest:g}, too much for FP16: ask for FP32"
            )
        values = values.astype("<f2")
    elif datatype == "FP32":
        values = values.astype("<f4", copy=False)
    if wanted.binary:
        content = values.tobytes()
        return {**entry, "parameters": {"binary_data_size": len(content)}}, content
    return {**entry, "data": _listed(values)}, b""


def own_datatype(kind: np.dtype[Any]) -> str:
    """The datatype of an output of this type."""
    return "BOOL" if kind == np.bool_ else "FP32"


def _listed(values: NDArray[Any]) -> list[Any]:
    """All elements in a row; JSON has neither NaN nor infinity, so they are null."""
    flat = values.ravel()
    if flat.dtype == np.bool_ or np.isfinite(flat).all():
        return list(flat.tolist())
    known = np.isfinite(flat).tolist()
    return [
        value if is_known else None for value, is_known in zip(flat.tolist(), known, strict=True)
    ]


def _flat(tensor: SentTensor) -> list[Any]:
    """The elements in a row; they may come in lists of lists, as the shape has it."""
    rows: list[Any] = tensor.elements or []
    if rows and isinstance(rows[0], list):
        rows = [rows]
        for side in tensor.shape:
            if any(type(row) is not list or len(row) != side for row in rows):
                raise MessageError(
                    f"the lists in the data of the input {tensor.name} are not those of its shape "
                    f"{list(tensor.shape)}"
                )
            rows = list(chain.from_iterable(rows))
    if len(rows) != tensor.count:
        raise MessageError(
            f"the input {tensor.name} of shape {list(tensor.shape)} has {tensor.count} elements, "
            f"and its data {len(rows)}"
        )
    return rows


def _lengthy(tensor: SentTensor, content: memoryview) -> list[bytes]:
    """Elements of BYTES: each a 4-byte little-endian length and as many bytes."""
    found: list[bytes] = []
    at = 0
    while at < len(content) and len(found) < tensor.count:
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(content[at:begin], "little")
        if begin > len(content) or at > len(content):
            raise MessageError(f"the binary data of the input {tensor.name} are cut off")
        found.append(bytes(content[begin:at]))
    if len(found) < tensor.count or at < len(content):
        raise MessageError(
            f"the binary data of the input {tensor.name} are not {tensor.count} elements, each "
            "with 4 bytes of its length before it"
        )
    return found
