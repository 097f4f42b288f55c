"""A small server for one page: ``/metrics``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import cast

from depthrt.monitor.exposition.text_format import CONTENT_TYPE
from depthrt.system.small_server import POLL_S, SmallHandler, SmallServer, open_server


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
    server = open_server(address, "--metrics", lambda place: _Server(place, page))
    serve = threading.Thread(
        target=server.serve_forever, args=(POLL_S,), name="depthrt-metrics", daemon=True
    )
    serve.start()
    try:
        yield f"{server.url}/metrics"
    finally:
        server.shutdown()
        server.server_close()


class _Server(SmallServer):
    def __init__(self, place: tuple[str, int], page: Callable[[], str]) -> None:
        self.page = page
        super().__init__(place, _Handler)


class _Handler(SmallHandler):
    def answer(self) -> None:
        """The page, which is also what ``/`` shows."""
        if self.path.partition("?")[0] in ("/", "/metrics"):
            self.send(CONTENT_TYPE, cast(_Server, self.server).page().encode())
        else:
            self.send_error(HTTPStatus.NOT_FOUND)
