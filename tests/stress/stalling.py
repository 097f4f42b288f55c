"""A server on loopback that falls silent, as cameras, proxies and networks do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from helpers.web.servers import free_port

How = Literal["mute", "head", "pictures", "file"]
SIZE = (48, 64)
GREYS = 200


def grey(number: int) -> int:
    """The level of a live picture."""
    return 20 + number % GREYS


def part(number: int) -> bytes:
    """A picture of a multipart stream, all of one grey that tells its number."""
    _, content = cv2.imencode(".jpg", np.full((*SIZE, 3), grey(number), np.uint8))
    head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {content.size}\r\n\r\n"
    return head.encode() + content.tobytes() + b"\r\n"


class Stalling:
    """Takes connections and stops speaking to each.

    - ``mute``: at once; ``head``: after the head of the answer;
    - ``pictures``: after so many pictures, ``rate`` a second;
    - ``file``: in the middle of a file, whose whole length was told.
    """

    def __init__(
        self, how: How, *, pictures: int = 3, rate: float = 50.0, file: Path | None = None
    ) -> None:
        self.port = free_port()
        self._how, self._pictures, self._rate = how, pictures, rate
        self._content = file.read_bytes() if file is not None else b""
        self._end = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._taken: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="stress-server", daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Where it is."""
        name = "clip.mp4" if self._how == "file" else "live.mjpg"
        return f"http://127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """Hang up and listen no more."""
        self._end.set()
        for one in (self._listening, *self._taken):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._end.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._taken.append(connection)
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="stress-server", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(65536)
            if self._how == "mute":
                return
            if self._how == "file":
                length = f"Content-Length: {len(self._content)}\r\nAccept-Ranges: bytes\r\n"
                head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n{length}\r\n"
                connection.sendall(head.encode() + self._content[: len(self._content) // 2])
                return
            kind = "multipart/x-mixed-replace; boundary=next"
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
            if self._how == "head":
                return
            for number in range(self._pictures):
                connection.sendall(part(number))
                if self._end.wait(1 / self._rate):
                    return


@contextmanager
def stalling(how: How, **more: object) -> Iterator[Stalling]:
    """Such a server for a block."""
    server = Stalling(how, **more)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()
