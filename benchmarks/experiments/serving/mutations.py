"""Requests that are torn, mutated or nonsense, as bytes for a socket."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    1.5,
    1e308,
    2**63,
    "",
    "x",
    "\x00",
    "é" * 30,
    [],
    {},
    [[]],
    [None],
]
_NAMES = ["at", "box", "view", "size", "colormap", "width", "height", "format", "output", "x"]
_LETTERS = string.ascii_letters + string.digits + "!$',;:@%*()[]~-._/?"
_PATHS = [
    "/", "/v1/depth", "/v1/models", "/v1/clips", "/v1/clips/x", "/v1/stream", "/v2", "/metrics",
    "/v2/health/ready", "/openapi.json", "/docs", "/health/ready", "/static/app.js",
]  # fmt: skip
_METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW", "get", ""]
_UPGRADE = (
    "GET /v1/stream{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass(frozen=True)
class Attack:
    """A request that is not as it should be.

    - ``pieces``: bytes that are sent one after the other, ``pause_s`` apart;
    - ``half_closes``: whether the client says then that it sends no more;
    - ``waits``: whether it waits for the answer, or leaves.
    """

    kind: str
    pieces: Sequence[bytes]
    pause_s: float = 0.0
    half_closes: bool = False
    waits: bool = True


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with some bytes changed, cut, doubled or moved."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 2, 8, 40))):
        at = rng.randrange(len(found))
        kind = rng.randrange(5)
        if kind == 0:
            found[at] = rng.randrange(256)
        elif kind == 1:
            del found[at : at + rng.choice((1, 4, 100))]
        elif kind == 2:
            found[at:at] = found[at : at + rng.choice((1, 4, 100))]
        elif kind == 3:
            found[at : at + 4] = rng.randbytes(4)
        else:
            del found[rng.randrange(len(found) // 2, len(found) + 1) :]
        if not found:
            return b""
    return bytes(found)


def request(
    path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST"
) -> bytes:
    """A request over a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


class Attacks:
    """All kinds of them.

    Args:
        files: whole pictures.
        clip: a whole video.
        model: its name; ``size``: height and width of its input.
        rng: makes the choices.
    """

    def __init__(
        self,
        files: Sequence[bytes],
        clip: bytes,
        model: str,
        size: tuple[int, int],
        rng: random.Random,
    ) -> None:
        self._files, self._clip, self._rng = files, clip, rng
        self._path = f"/v2/models/{model}/infer"
        self._size = size
        self.kinds: dict[str, tuple[Callable[[], Attack], int]] = {
            "picture": (self.picture, 30),
            "multipart": (self.multipart, 10),
            "query": (self.query, 10),
            "oip_json": (self.oip_json, 12),
            "oip_binary": (self.oip_binary, 12),
            "websocket": (self.websocket, 10),
            "headers": (self.headers, 6),
            "garbage": (self.garbage, 6),
            "slow": (self.slow, 2),
            "clip": (self.clip, 2),
        }

    def next(self) -> Attack:
        """One of a random kind."""
        makers, weights = zip(*self.kinds.values(), strict=True)
        made: Attack = self._rng.choices(makers, weights)[0]()
        return made

    def picture(self) -> Attack:
        """A mutated picture."""
        accept = self._rng.choice(["*/*", "application/x-npy", "image/png", "application/json"])
        body = mutated(self._rng.choice(self._files), self._rng)
        return Attack("picture", [request("/v1/depth", body, {"Accept": accept})])

    def multipart(self) -> Attack:
        """Several pictures, the whole mutated."""
        parts = b"".join(
            b"--frontier\r\nContent-Disposition: form-data; name=a\r\n\r\n"
            + self._rng.choice(self._files) + b"\r\n"
            for _ in range(self._rng.randrange(5))
        )  # fmt: skip
        body = mutated(parts + b"--frontier--\r\n", self._rng)
        boundary = self._rng.choice(["frontier", "frontier", '"frontier"', "", "x", "é"])
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return Attack("multipart", [request("/v1/depth", body, kind)])

    def query(self) -> Attack:
        """A whole picture, and nonsense asked of it."""
        rng = self._rng
        pairs = [f"{rng.choice(_NAMES)}={self._word()}" for _ in range(rng.randrange(4))]
        headers = {
            "Accept": rng.choice(["*/*", ";;q=,", "a/b;q=x", "application/json;q=2", self._word()]),
            "Content-Type": rng.choice(["", "application/octet-stream", "image/png", self._word()]),
            "Depthrt-Deadline-Ms": rng.choice(["1000", "1e3", "", "ten", "nan", "-1", "1e999"]),
        }
        content = request(f"/v1/depth?{'&'.join(pairs)}", rng.choice(self._files), headers)
        return Attack("query", [content])

    def oip_json(self) -> Attack:
        """A request of the Open Inference Protocol, changed as JSON or as text."""
        text = json.dumps(self._changed(self._message(binary=False))).encode()
        if self._rng.random() < 0.5:
            text = mutated(text, self._rng)
        return Attack("oip_json", [request(self._path, text, {"Content-Type": "application/json"})])

    def oip_binary(self) -> Attack:
        """The same with a binary tensor; both parts and the length between them are changed."""
        rng = self._rng
        text = json.dumps(self._changed(self._message(binary=True))).encode()
        length = rng.choice([len(text)] * 6 + [0, -1, len(text) + 1, 10**12, "x"])
        body = text + bytes(3 * self._size[0] * self._size[1])
        if rng.random() < 0.5:
            body = mutated(body, rng)
        header = {"Inference-Header-Content-Length": str(length)}
        return Attack("oip_binary", [request(self._path, body, header)])

    def websocket(self) -> Attack:
        """A stream whose frames are mutated, of odd kinds, or torn."""
        rng = self._rng
        queries = ["", "?format=npy", "?stabilise=1", f"?format={self._word()}"]
        head = _UPGRADE.format(query=rng.choice(queries)).encode("latin-1", "replace")
        pieces = [head if rng.random() < 0.9 else mutated(head, rng)]
        for _ in range(rng.randrange(1, 4)):
            body = rng.choice([rng.choice(self._files), b"", b"text", rng.randbytes(40)])
            frame = self._frame(mutated(body, rng) if body else b"")
            pieces.append(frame if rng.random() < 0.7 else mutated(frame, rng))
        return Attack("websocket", pieces, 0.005, half_closes=rng.random() < 0.5)

    def headers(self) -> Attack:
        """A plain request with odd headers."""
        rng = self._rng
        names = ["Host", "Content-Length", "Transfer-Encoding", "Content-Encoding", "Expect",
                 "Authorization", "X-Request-Id", "Cookie", "Upgrade", "Range", "Origin", "TE",
                 self._word().replace("/", "")]  # fmt: skip
        values = ["", "chunked", "gzip", "100-continue", "Bearer", "Bearer x", "-1", "5, 6", "\t",
                  "x" * 9000, self._word(), "0", "h2c", "bytes=0-1"]  # fmt: skip
        lines = [f"{rng.choice(_METHODS)} {rng.choice(_PATHS)} HTTP/1.1", "Host: localhost"]
        lines += [f"{rng.choice(names)}: {rng.choice(values)}" for _ in range(rng.randrange(1, 6))]
        content = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        return Attack("headers", [content + rng.randbytes(rng.choice((0, 0, 20)))], 0, True)

    def garbage(self) -> Attack:
        """What is hardly HTTP."""
        rng = self._rng
        whole = request(rng.choice(_PATHS), rng.choice(self._files)[:200], {"Accept": "*/*"})
        content = rng.choice([
            rng.randbytes(rng.randrange(1, 300)),
            mutated(whole, rng),
            whole[: rng.randrange(1, 60)],
            b"\r\n" * 50, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02",
        ])  # fmt: skip
        return Attack("garbage", [content], half_closes=True)

    def slow(self) -> Attack:
        """Who sends in little pieces, and leaves in the middle."""
        content = request("/v1/depth", self._rng.choice(self._files))
        cuts = sorted(self._rng.sample(range(1, len(content)), 4))
        pieces = [content[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]
        return Attack("slow", pieces, 0.05, waits=False)

    def clip(self) -> Attack:
        """A mutated video."""
        body = mutated(self._clip, self._rng)
        return Attack("clip", [request("/v1/clips?format=npz", body)])

    def _word(self) -> str:
        return "".join(self._rng.choices(_LETTERS, k=self._rng.randrange(9)))

    def _message(self, *, binary: bool) -> dict[str, Any]:
        rng, (height, width) = self._rng, self._size
        if rng.random() < 0.5:
            tensor: dict[str, Any] = {"name": "picture", "datatype": "BYTES", "shape": [1]}
            data: list[Any] = [base64.b64encode(rng.choice(self._files)).decode()]
            size = len(data[0])
        else:
            tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 3, height, width]}
            data = [0] * (3 * height * width) if rng.random() < 0.2 else [1, 2]
            size = 3 * height * width
        tensor |= {"parameters": {"binary_data_size": size}} if binary else {"data": data}
        outputs = [{"name": "depth", "parameters": {"binary_data": binary}}]
        return {"id": "1", "inputs": [tensor], "outputs": outputs}

    def _changed(self, message: dict[str, Any]) -> dict[str, Any]:
        """One or two values in a message are others, missing or doubled."""
        rng = self._rng
        for _ in range(rng.randrange(3)):
            at: Any = message
            while True:
                keys = list(at) if isinstance(at, dict) else list(range(min(4, len(at))))
                if not keys:
                    break
                key = rng.choice(keys)
                if isinstance(at[key], (dict, list)) and at[key] and rng.random() < 0.8:
                    at = at[key]
                    continue
                change = rng.randrange(3)
                if change == 0:
                    at[key] = rng.choice(_ODD)
                elif change == 1:
                    del at[key]
                elif isinstance(at, list):
                    at.append(at[key])
                else:
                    at[self._word()] = at[key]
                break
        return message

    def _frame(self, body: bytes) -> bytes:
        """A WebSocket frame (RFC 6455, 5.2), masked with zeros or not at all."""
        rng = self._rng
        first = rng.choice([0x82] * 8 + [0x81, 0x02, 0x80, 0x88, 0x89, 0x8A, 0x83, 0xF2])
        mask = 0x80 if rng.random() < 0.95 else 0
        size = len(body)
        if size < 126:
            head = bytes([first, mask | size])
        elif size < 1 << 16:
            head = bytes([first, mask | 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([first, mask | 127]) + size.to_bytes(8, "big")
        return head + (bytes(4) if mask else b"") + body
