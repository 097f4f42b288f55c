"""A small server for one page: ``/metrics``."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from depthrt.errors import TargetError
from depthrt.monitor.exposition.text_format import CONTENT_TYPE
from depthrt.system.address import LOOPBACK_NAMES, parse_address

_STALLED_S = 10.0  # a client that reads nothing for so long is disconnected
_POLL_S = 0.1  # how often the server looks whether it is to end


@contextmanager
def serve_metrics(address: str, page: Callable[[], str]) -> Iterator[str]:
    """Answer Prometheus until the end of the block; gives the page's URL.

    Args:
        address: ``PORT`` or ``HOST:PORT``; without a host only this machine can look; port 0 is any
            that is free.
        page: makes the text of ``/metrics``.

    Raises:
        UsageError: ``address`` is neither form.
        TargetError: the port is in use or may not be used.
    """
    host, port = parse_address(address, "--metrics")
    try:
        server = _Server((host, port), page)
    except OSError as error:
        taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
        advice = "port, or 0 for any that is free" if taken else "host, or leave it out"
        raise TargetError(
            f"--metrics {address} cannot be opened ({error.strerror or error}): choose another "
            f"{advice}"
        ) from error
    serve = threading.Thread(
        target=server.serve_forever, args=(_POLL_S,), name="depthrt-metrics", daemon=True
    )
    serve.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, place: tuple[str, int], page: Callable[[], str]) -> None:
        self.page = page
        self.local = place[0] in LOOPBACK_NAMES
        if ":" in place[0]:
            self.address_family = socket.AF_INET6
        super().__init__(place, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _STALLED_S
    disable_nagle_algorithm = True  # header and content are two writes

    def do_GET(self) -> None:
        """Answer one request."""
        server = cast(_Server, self.server)
        # A page of a browser may name a site of its own that resolves to this machine.
        named = self.headers.get("Host", "").rsplit(":", 1)[0]
        if server.local and named not in LOOPBACK_NAMES:
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path.partition("?")[0] not in ("/", "/metrics"):
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            content = server.page().encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Log no requests."""
