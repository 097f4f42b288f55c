"""Clients of a server: pictures at a steady rate, which may be changed while they go on."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Sequence
from types import TracebackType


class Traffic:
    """Pictures that are sent again and again, so many a second, over two connections.

    Args:
        address: HOST:PORT of the server.
        bodies: the pictures, as files.
        per_s: requests a second.
    """

    def __init__(self, address: str, bodies: Sequence[bytes], per_s: float) -> None:
        self.bodies, self.per_s = bodies, per_s
        self.statuses: dict[int, int] = {}
        self.latencies_s: list[float] = []
        self._address = address
        self._place, self._next_s = 0, time.monotonic()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(4)]

    def __enter__(self) -> Traffic:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _turn(self) -> tuple[bytes, float]:
        """The next picture, and when it is due."""
        with self._lock:
            now_s = time.monotonic()
            self._next_s = max(self._next_s + 1 / self.per_s, now_s - 1.0)
            self._place += 1
            return self.bodies[self._place % len(self.bodies)], self._next_s

    def _send(self) -> None:
        client = http.client.HTTPConnection(self._address, timeout=60)
        while not self._ending.is_set():
            body, due_s = self._turn()
            self._ending.wait(max(0.0, due_s - time.monotonic()))
            start_s = time.monotonic()
            try:
                client.request("POST", "/v1/depth", body, {"Accept": "application/x-npy"})
                answer = client.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                client.close()
                status = 0
            with self._lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
                self.latencies_s.append(time.monotonic() - start_s)
        client.close()
