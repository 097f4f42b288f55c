"""A small web server in threads, for pages that show a run to its user and to monitors."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar, cast

from depthrt.errors import TargetError
from depthrt.system.address import LOOPBACK_NAMES, parse_address

POLL_S = 0.1  # how often a server looks whether it is to end
_STALLED_S = 10.0  # a client that reads nothing for so long is disconnected

Opened = TypeVar("Opened", bound="SmallServer")


class SmallServer(ThreadingHTTPServer):
    """Answers each client in a thread of its own; one that goes away is ignored.

    Args:
        place: host and port; port 0 is any that is free.
        handler: answers requests.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, place: tuple[str, int], handler: type[SmallHandler]) -> None:
        host, _ = place
        self.is_local = host in LOOPBACK_NAMES
        if ":" in host:
            self.address_family = socket.AF_INET6
        self._shown_host = f"[{host}]" if ":" in host else host
        super().__init__(place, handler)

    @property
    def url(self) -> str:
        """``http://HOST:PORT``."""
        return f"http://{self._shown_host}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that went away."""


class SmallHandler(BaseHTTPRequestHandler):
    """Answers the requests of one client."""

    protocol_version = "HTTP/1.1"
    timeout = _STALLED_S
    disable_nagle_algorithm = True  # header and content are two writes

    def answer(self) -> None:
        """Answer a GET that is addressed to this server."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer one request, but not one of a page whose site resolves to this machine."""
        if self._is_addressed_to_us():
            self.answer()
        else:
            self.send_error(HTTPStatus.FORBIDDEN)

    def send(self, kind: str, content: bytes) -> None:
        """Send content of this MIME type, which no cache is to keep."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Log no requests."""

    def _is_addressed_to_us(self) -> bool:
        """Whether it names this machine, not a site that resolves to it (DNS rebinding)."""
        if not cast(SmallServer, self.server).is_local:
            return True
        return self.headers.get("Host", "").rsplit(":", 1)[0] in LOOPBACK_NAMES


def open_server(address: str, option: str, make: Callable[[tuple[str, int]], Opened]) -> Opened:
    """Open a server at an address that the user gave.

    Args:
        address: ``PORT`` or ``HOST:PORT``; without a host only this machine can look; port 0 is any
            that is free.
        option: that it was given as, for the message.
        make: the server at a host and port.

    Raises:
        UsageError: ``address`` is neither form.
        TargetError: the port is in use or may not be used.
    """
    place = parse_address(address, option)
    try:
        return make(place)
    except OSError as error:
        taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
        advice = "port, or 0 for any that is free" if taken else "host, or leave it out"
        raise TargetError(
            f"{option} {address} cannot be opened ({error.strerror or error}): choose another "
            f"{advice}"
        ) from error
