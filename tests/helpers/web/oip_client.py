"""A client of the Open Inference Protocol v2 that says what came over the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from helpers.web.client import Response, ask

TYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
"""Datatypes of the protocol as numpy's, little-endian."""
HEAD_LENGTH = "inference-header-content-length"


@dataclass(frozen=True)
class Answer(Response):
    """An answer in the protocol's form."""

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object of the body."""
        length = int(self.headers.get(HEAD_LENGTH, len(self.content)))
        found = json.loads(self.content[:length])
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> str:
        """What a refused request is told, in the protocol's form."""
        assert 400 <= self.status < 500 or self.status == 503, (self.status, self.content[:500])
        assert list(self.document) == ["error"]
        message = self.document["error"]
        assert isinstance(message, str)
        assert message
        assert "Traceback" not in message
        return message

    @property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The outputs by name, in their shapes, from JSON or binary data."""
        assert self.status == 200, self.content[:500]
        at = int(self.headers.get(HEAD_LENGTH, len(self.content)))
        found = {}
        for output in self.document["outputs"]:
            kind, shape = TYPES[output["datatype"]], output["shape"]
            size = (output.get("parameters") or {}).get("binary_data_size")
            if size is None:
                values = np.array(output["data"], kind)
            else:
                values = np.frombuffer(self.content[at : at + size], kind)
                at += size
            found[output["name"]] = values.reshape(shape)
        assert at == len(self.content), "bytes that belong to no output"
        return found


def json_input(name: str, values: NDArray[Any], *, nested: bool = False) -> dict[str, Any]:
    """An input whose elements are in the JSON object."""
    data = (values if nested else values.ravel()).tolist()
    return {"name": name, "datatype": datatype_of(values), "shape": [*values.shape], "data": data}


def binary_input(name: str, values: NDArray[Any]) -> tuple[dict[str, Any], bytes]:
    """An input whose elements follow the JSON object."""
    content = values.tobytes()
    entry = {"name": name, "datatype": datatype_of(values), "shape": [*values.shape]}
    return {**entry, "parameters": {"binary_data_size": len(content)}}, content


def datatype_of(values: NDArray[Any]) -> str:
    """The protocol's name of an array's type."""
    return next(name for name, kind in TYPES.items() if kind == values.dtype)


@dataclass(frozen=True)
class Oip:
    """A model of a server."""

    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The address of the model."""
        return f"/v2/models/{quote(self.model)}"

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What the server says of the model."""
        found = self.ask(self.path)
        assert found.status == 200, found.content[:500]
        return found.document

    def sample(self, seed: int = 0, images: int = 1) -> list[tuple[str, NDArray[Any]]]:
        """A value of each input, by the metadata; sides that are free are ``images`` and 64."""
        random, made = np.random.default_rng(seed), []
        for tensor in self.metadata["inputs"]:
            free = (images if axis == 0 else 64 for axis in range(len(tensor["shape"])))
            shape = [own if side < 0 else side for side, own in zip(tensor["shape"], free)]  # noqa: B905
            made.append((tensor["name"], random.integers(0, 100, shape).astype(
                TYPES[tensor["datatype"]])))  # fmt: skip
        return made

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Answer:
        """One request."""
        return ask(Answer, self.url, path, body, {**self.headers, **(headers or {})}, method)

    def infer(self, inputs: Sequence[Any], binary: bytes | None = None, **more: Any) -> Answer:
        """An inference: ``binary`` follows the JSON object, whose further entries are ``more``."""
        text = json.dumps({"inputs": list(inputs), **more}).encode()
        if binary is None:
            return self.ask(f"{self.path}/infer", text, {"content-type": "application/json"})
        headers = {"content-type": "application/octet-stream", HEAD_LENGTH: str(len(text))}
        return self.ask(f"{self.path}/infer", text + binary, headers)

    def infer_binary(self, values: Sequence[tuple[str, NDArray[Any]]], **more: Any) -> Answer:
        """An inference with binary tensors in and out."""
        entries, contents = zip(*(binary_input(*each) for each in values), strict=True)
        more.setdefault("parameters", {"binary_data_output": True})
        return self.infer(entries, b"".join(contents), **more)
