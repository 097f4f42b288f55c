"""Requests that are changed at random: never an error of the server, and it goes on answering."""

from __future__ import annotations

import http.client
import json
import random
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from helpers.models.small_model import SIZE
from helpers.web.oip_client import HEAD_LENGTH, Oip, binary_input, json_input
from helpers.web.served import Running, encoded, picture

_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 3, 1.5, 1e308, 10**30, "", "image", "depth", "picture", "UINT8",
    "FP32", "FP16", "BYTES", "\ud800", "\0", [], [1], [[]], {}, {"binary_data_size": 4},
    {"binary_data": 1}, {"shared_memory_region": "a"}, [1, 3, *SIZE], [2, 3, *SIZE],
    [0, 3, *SIZE], [2**63], [1] * 70,
]  # fmt: skip


def good_requests() -> list[tuple[dict[str, Any], bytes]]:
    """One of each form: JSON, binary pixels, floats, and files."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, *SIZE), np.uint8)
    outputs = [{"name": "depth", "parameters": {"binary_data": True, "datatype": "FP16"}}]
    file = encoded(picture(), ".jpg")
    files = len(file).to_bytes(4, "little") + file
    as_json = json_input("image", pixels[:1, :, :1])
    found: list[tuple[dict[str, Any], bytes]] = [({"id": "a", "inputs": [as_json]}, b"")]
    for kind in ("u1", "<f4", "<f2"):
        entry, content = binary_input("image", pixels.astype(kind))
        parameters = {"binary_data_output": True, "timeout": 10**7}
        found.append(({"inputs": [entry], "outputs": outputs, "parameters": parameters}, content))
    size = {"binary_data_size": len(files)}
    entry = {"name": "picture", "datatype": "BYTES", "shape": [1], "parameters": size}
    found.append(({"inputs": [entry]}, files))
    return found


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every entry of objects and lists, however deep, as the container and its key."""
    if isinstance(value, dict):
        inner = [(value, key) for key in value]
    elif isinstance(value, list):
        inner = [(value, index) for index in range(min(len(value), 8))]
    else:
        return []
    return inner + [place for container, key in inner for place in places(container[key])]


def mutated(message: dict[str, Any], binary: bytes, draw: random.Random) -> tuple[bytes, str]:
    """A request's body and length of its JSON object, changed in one way or several."""
    message = json.loads(json.dumps(message))
    for _ in range(draw.randint(0, 2)):
        container, key = draw.choice(places(message))
        if draw.random() < 0.3:
            del container[key]
        else:
            container[key] = deepcopy(draw.choice(_VALUES))
        if not places(message):
            break
    text = json.dumps(message).encode()
    length = str(len(text) + (draw.choice([-3, 1, 9]) if draw.random() < 0.2 else 0))
    body = bytearray(text + binary)
    for _ in range(draw.choice([0, 0, 1, 5, 50])):
        body[draw.randrange(len(body))] = draw.randrange(256)
    if draw.random() < 0.2:
        del body[draw.randrange(len(body)) :]
    if draw.random() < 0.1:
        body += draw.randbytes(draw.randrange(40))
    return bytes(body), length


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_mutated_request_is_an_error_of_the_server(running: Running, count: int) -> None:
    oip, draw, good = Oip(running.address, "tiny"), random.Random(count), good_requests()
    client = http.client.HTTPConnection(*running.place, timeout=30)
    statuses: set[int] = set()
    for _ in range(count):
        body, length = mutated(*draw.choice(good), draw)
        client.request("POST", f"{oip.path}/infer", body, {HEAD_LENGTH: length})
        answer = client.getresponse()
        content = answer.read()
        assert answer.status < 500 or answer.status == 503, (body[:400], length, content)
        if answer.status != 200:
            assert set(json.loads(content)) == {"error"}
        statuses.add(answer.status)
    client.close()
    assert {200, 400} <= statuses
    assert oip.infer_binary(oip.sample()).status == 200
    assert running.service.held_bytes == 0
    assert running.service.batcher.waiting == 0
