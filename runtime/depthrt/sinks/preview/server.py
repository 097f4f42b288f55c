"""The web server of a preview."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Protocol, cast
from urllib.parse import parse_qs, urlsplit

from depthrt.model.catalogue.registry import DATA
from depthrt.system.small_server import SmallHandler, SmallServer

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


class PreviewServer(SmallServer):
    """Answers viewers, each in its own thread.

    - ``/``: the page; ``/figures.json``: its figures;
    - ``/stream/0.mjpg``: motion JPEG of the first stream, for players;
    - ``/frame/0.jpg``: its newest picture.
    """

    request_queue_size = 32

    def __init__(self, place: tuple[str, int], gallery: Gallery) -> None:
        self.gallery = gallery
        super().__init__(place, _Handler)


class _Handler(SmallHandler):
    def answer(self) -> None:
        """The page, its figures, a picture, or pictures until the end."""
        parts = urlsplit(self.path)
        kind, _, rest = parts.path.strip("/").partition("/")
        number, _, ending = rest.partition(".")
        try:
            if parts.path == "/":
                self.send("text/html; charset=utf-8", _page())
            elif parts.path == "/figures.json":
                seen = parse_qs(parts.query).get("seen", [""])[0]
                figures = self._gallery.figures(int(seen) if seen.isdecimal() else None)
                self.send("application/json", json.dumps(figures).encode())
            elif (kind, ending) == ("frame", "jpg") and number.isdecimal():
                found = self._gallery.picture(int(number))
                if found is None:
                    raise KeyError(number)
                self.send("image/jpeg", found[1])
            elif (kind, ending) == ("stream", "mjpg") and number.isdecimal():
                self._stream(int(number))
            else:
                self.send_error(HTTPStatus.NOT_FOUND)
        except (KeyError, ValueError):  # int() accepts 4300 digits at most
            self.send_error(HTTPStatus.NOT_FOUND)

    @property
    def _gallery(self) -> Gallery:
        return cast(PreviewServer, self.server).gallery

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
