"""The web server of a preview."""

from __future__ import annotations

import json
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, cast
from urllib.parse import parse_qs, urlsplit

from depthrt.model.catalogue.registry import DATA
from depthrt.system.address import LOOPBACK_NAMES

_STALLED_S = 10.0  # a viewer that reads nothing for so long is disconnected
_BOUNDARY = "depthrt-picture"
_BOUNDARY_LINE = f"--{_BOUNDARY}\r\n".encode()


class Gallery(Protocol):
    """The pictures and figures that a server shows."""

    def figures(self, seen: int | None = None) -> dict[str, Any]:
        """What the page says, as a JSON object.

        Args:
            seen: how many pictures the viewer knows of; it waits a moment for another one.
        """

    def picture(self, number: int, seen: int = 0) -> tuple[int, bytes] | None:
        """The newest JPEG of a stream and its number; None after the last.

        Args:
            number: of the stream, from 0 on.
            seen: the number of the picture that the viewer has; it waits for another one.

        Raises:
            KeyError: there is no such stream.
        """


class PreviewServer(ThreadingHTTPServer):
    """Answers viewers, each in its own thread.

    - ``/``: the page; ``/figures.json``: its figures;
    - ``/stream/0.mjpg``: motion JPEG of the first stream, for players;
    - ``/frame/0.jpg``: its newest picture.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, place: tuple[str, int], gallery: Gallery) -> None:
        self.gallery = gallery
        self.local = place[0] in LOOPBACK_NAMES
        if ":" in place[0]:
            self.address_family = socket.AF_INET6
        super().__init__(place, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore viewers that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _STALLED_S
    disable_nagle_algorithm = True  # header and content are two writes

    def do_GET(self) -> None:
        """Answer one request."""
        if not self._is_addressed_to_us():
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        parts = urlsplit(self.path)
        kind, _, rest = parts.path.strip("/").partition("/")
        number, _, ending = rest.partition(".")
        try:
            if parts.path == "/":
                self._send("text/html; charset=utf-8", _page())
            elif parts.path == "/figures.json":
                seen = parse_qs(parts.query).get("seen", [""])[0]
                figures = self._gallery.figures(int(seen) if seen.isdecimal() else None)
                self._send("application/json", json.dumps(figures).encode())
            elif (kind, ending) == ("frame", "jpg") and number.isdecimal():
                found = self._gallery.picture(int(number))
                if found is None:
                    raise KeyError(number)
                self._send("image/jpeg", found[1])
            elif (kind, ending) == ("stream", "mjpg") and number.isdecimal():
                self._stream(int(number))
            else:
                self.send_error(HTTPStatus.NOT_FOUND)
        except (KeyError, ValueError):  # int() accepts 4300 digits at most
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *arguments: Any) -> None:
        """Log no requests."""

    @property
    def _gallery(self) -> Gallery:
        return cast(PreviewServer, self.server).gallery

    def _is_addressed_to_us(self) -> bool:
        """Whether it names this machine, not a site that resolves to it (DNS rebinding)."""
        if not cast(PreviewServer, self.server).local:
            return True
        return self.headers.get("Host", "").rsplit(":", 1)[0] in LOOPBACK_NAMES

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, number: int) -> None:
        found = self._gallery.picture(number)
        self.send_response(HTTPStatus.OK)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(_BOUNDARY_LINE)
        while found is not None:
            seen, jpeg = found
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            # A browser shows a picture only after the boundary that follows it.
            self.wfile.write(head.encode() + jpeg + b"\r\n" + _BOUNDARY_LINE)
            found = self._gallery.picture(number, seen)


def _page() -> bytes:
    return (DATA / "preview.html").read_bytes()
