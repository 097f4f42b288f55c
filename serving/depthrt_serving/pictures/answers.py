"""Depth as the bytes of an answer: 16-bit PNG, npy, npz, JSON, or a PNG to look at."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.render.views import colourise
from depthrt.sinks.depth.codes import INVALID, DepthCodes, MapSize, sized
from depthrt.spec import ModelSpec
from depthrt.temporal.display_range import percentiles
from depthrt_serving.pictures.accept import Form
from depthrt_serving.pictures.found_depth import maps_of
from depthrt_serving.pictures.measures import Places, measure

_FAST_PNG = 1  # zlib's level
_LOW, _HIGH = 2, 98  # percentiles of a map between which colours are spread
BOUNDARY = "depthrt-depth"


@dataclass(frozen=True)
class Answer:
    """An answer: its media type, headers and content."""

    media: str
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wishes:
    """How depth is wanted: form, size of maps, colours, and what is measured.

    - ``output``: of npy, which of the model's outputs it holds.
    """

    form: Form
    size: MapSize = "network"
    colormap: str = "inferno"
    places: Places = field(default_factory=Places)
    output: str = "depth"


def answer(spec: ModelSpec, depths: Sequence[Depth], wishes: Wishes, *, several: bool) -> Answer:
    """The answer to a request.

    Args:
        spec: of the model.
        depths: of its pictures.
        wishes: how they are wanted.
        several: whether it is of the kind that holds several pictures, even if it holds one.
    """
    if wishes.form is Form.JSON:
        found = [facts(spec, depth, wishes.places) for depth in depths]
        content = {"model": spec.name, "images": found} if several else found[0]
        return Answer(Form.JSON.media, json.dumps(content, allow_nan=False).encode())
    parts = [_part(spec, depth, wishes) for depth in depths]
    return _mixed(parts) if several else parts[0]


def facts(spec: ModelSpec, depth: Depth, places: Places) -> dict[str, Any]:
    """What JSON says of a map: what its values mean, their statistics, and what was measured."""
    known = depth.known_values
    statistics: dict[str, float] = {}
    if known.size:
        low, middle, high = percentiles(known, _LOW, 50, _HIGH)
        statistics = {
            "min": float(known.min()),
            "max": float(known.max()),
            "mean": float(known.mean(dtype=np.float64)),
            "median": middle,
            "p2": low,
            "p98": high,
        }
    found: dict[str, Any] = {
        "model": spec.name,
        **describe_depth(depth),
        "valid_share": known.size / depth.values.size,
        "statistics": statistics,
    }
    if depth.fov_deg is not None:
        found["fov_deg"] = depth.fov_deg
    return {**found, **measure(depth, places)}


def describe_depth(depth: Depth) -> dict[str, Any]:
    """What the values of a map mean, the sizes of the map and of its picture, and the gaps."""
    return {
        "kind": depth.kind,
        "unit": depth.unit,
        "larger_is": depth.larger_is,
        "image_size": list(depth.image_size),
        "depth_size": list(depth.values.shape),
        "invalid_values": depth.values.size - depth.known_values.size,
    }


def npy(values: NDArray[Any]) -> bytes:
    """An array as ``numpy.load`` reads it."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays by name as ``numpy.load`` reads them."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def codes_png(spec: ModelSpec, depth: Depth) -> tuple[bytes, DepthCodes]:
    """A map as 16-bit PNG, and the scale of its codes."""
    codes = DepthCodes.choose(spec, depth.known_values)
    return _png(codes.encode(depth.values, depth.valid)[0]), codes


def colour_png(depth: Depth, colormap: str) -> bytes:
    """A map in colours, near is bright, at the size of its picture."""
    known = depth.known_values
    low, high = percentiles(known, _LOW, _HIGH) if known.size else (0.0, 1.0)
    picture = colourise(depth, (low, max(high, low + 1e-6 * max(1.0, abs(low)))), colormap)
    return _png(picture[..., ::-1])


def scale_headers(codes: DepthCodes) -> dict[str, str]:
    """depth = offset + step * code; one code means that there is none."""
    return {
        "depthrt-step": repr(codes.step),
        "depthrt-offset": repr(codes.offset),
        "depthrt-invalid": str(INVALID),
    }


def _part(spec: ModelSpec, depth: Depth, wishes: Wishes) -> Answer:
    headers = {
        "depthrt-kind": depth.kind,
        "depthrt-unit": depth.unit or "none",
        "depthrt-larger-is": depth.larger_is,
        "depthrt-image-size": "x".join(map(str, depth.image_size)),
    }
    if depth.fov_deg is not None:
        headers["depthrt-fov-deg"] = f"{depth.fov_deg:.3f}"
    if wishes.form is Form.COLOUR:
        return Answer(Form.COLOUR.media, colour_png(depth, wishes.colormap), headers)
    shown = sized(depth, wishes.size)
    if wishes.form is Form.NPY:
        return Answer(Form.NPY.media, npy(maps_of(shown)[wishes.output]), headers)
    if wishes.form is Form.NPZ:
        return Answer(Form.NPZ.media, npz(maps_of(shown)), headers)
    content, codes = codes_png(spec, shown)
    return Answer(Form.CODES.media, content, {**headers, **scale_headers(codes)})


def _mixed(parts: Sequence[Answer]) -> Answer:
    """Several answers as one multipart/mixed (RFC 2046)."""
    content = bytearray()
    for part in parts:
        headers = {"content-type": part.media, "content-length": len(part.content), **part.headers}
        lines = [f"--{BOUNDARY}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        content += "\r\n".join(lines).encode() + part.content + b"\r\n"
    content += f"--{BOUNDARY}--\r\n".encode()
    return Answer(f"multipart/mixed; boundary={BOUNDARY}", bytes(content))


def _png(pixels: NDArray[Any]) -> bytes:
    import cv2

    made, content = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, _FAST_PNG])
    if not made:
        raise RuntimeError("OpenCV could not write a PNG")
    return content.tobytes()
