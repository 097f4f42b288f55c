"""A small hub on loopback: the endpoints that the Hugging Face client asks for a model's files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the hub holds, and how it behaves.

    - ``files``: content by ``org/repo`` and path;
    - ``gated``: repositories that are refused;
    - ``fails``: the code of every answer, if not 0;
    - ``cuts``: after how many bytes the next downloads break off; those after them do not;
    - ``lies``: paths whose listing names another hash;
    - ``asked``: methods, paths and ranges of all requests; ``tokens``: those that were shown.
    """

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    licence: str = "mit"
    gated: set[str] = field(default_factory=set)
    fails: int = 0
    cuts: list[int] = field(default_factory=list)
    lies: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    url: str = ""


@contextmanager
def running() -> Iterator[Hub]:
    """Serve a hub for a block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *of: Any) -> None:  # tests look at standard error
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = unquote(self.path.partition("?")[0])
            hub.asked.append((self.command, path, self.headers.get("Range", "")))
            hub.tokens.add(self.headers.get("Authorization", ""))
            if hub.fails:
                return self._refuse(hub.fails, "", "no")
            parts = path.strip("/").split("/")
            api = parts[:2] == ["api", "models"]
            repo = "/".join(parts[2:4] if api else parts[:2])
            if repo in hub.gated:
                return self._refuse(401, "GatedRepo", "Access to it is restricted.")
            if repo not in hub.files:
                return self._refuse(404, "RepoNotFound", "Repository not found")
            revision = (parts[5] if len(parts) > 5 else "main") if api else parts[3]
            if revision not in ("main", COMMIT):
                return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            if api:
                return self._send(200, json.dumps(self._info(repo)).encode(), {}, body=body)
            name = "/".join(parts[4:])
            content = hub.files[repo].get(name)
            if content is None:
                return self._refuse(404, "EntryNotFound", "Entry not found")
            return self._file(content, body=body)

        def _info(self, repo: str) -> dict[str, Any]:
            siblings = []
            for name, content in hub.files[repo].items():
                entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": "b"}
                if name.endswith((".onnx", ".safetensors")):
                    found = hashlib.sha256(content).hexdigest()
                    shown = "0" * 64 if name in hub.lies else found
                    entry["lfs"] = {"sha256": shown, "size": len(content), "pointerSize": 130}
                siblings.append(entry)
            card = {"license": hub.licence} if hub.licence else {}
            return {"id": repo, "sha": COMMIT, "private": False, "siblings": siblings,
                    "cardData": card, "tags": [], "downloads": 0, "likes": 0}  # fmt: skip

        def _file(self, content: bytes, *, body: bool) -> None:
            begin = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
            end = len(content)
            etag = hashlib.sha256(content).hexdigest()
            about = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if begin:
                about["Content-Range"] = f"bytes {begin}-{end - 1}/{end}"
            part = content[begin:]
            if body and hub.cuts:
                self._head(206 if begin else 200, len(part), about)
                self.wfile.write(part[: hub.cuts.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                return
            self._send(206 if begin else 200, part, about, body=body)

        def _refuse(self, code: int, name: str, text: str) -> None:
            about = {"X-Error-Message": text, **({"X-Error-Code": name} if name else {})}
            self._send(code, json.dumps({"error": text}).encode(), about, body=True)

        def _send(self, code: int, content: bytes, about: dict[str, str], *, body: bool) -> None:
            self._head(code, len(content), about)
            if body and self.command != "HEAD":
                self.wfile.write(content)

        def _head(self, code: int, length: int, about: dict[str, str]) -> None:
            self.send_response(code)
            for key, value in {**about, "Content-Length": str(length)}.items():
                self.send_header(key, value)
            self.end_headers()

    return Handler
