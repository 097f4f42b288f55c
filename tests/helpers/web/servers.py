"""Real servers of live video on loopback, which the tests start, break and start again."""

from __future__ import annotations

import functools
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from helpers.files.clips import picture

RATE = 25
SIZE = (48, 64)


def free_port() -> int:
    """A port that nobody listens at, and that tests in other processes hardly choose.

    It lies below those that systems give to outgoing connections, as one of them could take it
    before, or between two starts of, the test's server.
    """
    choose = random.SystemRandom()
    while True:
        port = choose.randrange(10_000, 32_768)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def encoder(size: tuple[int, int], rate: int) -> Any:
    """An H.264 encoder that holds no frame back."""
    context = av.CodecContext.create("libx264", "w")
    context.height, context.width = size
    context.pix_fmt = "yuv420p"
    context.framerate, context.time_base = Fraction(rate), Fraction(1, rate)
    context.options = {"preset": "ultrafast", "tune": "zerolatency"}
    context.gop_size = 5
    return context


class HttpVideo:
    """Endless video over HTTP: ``/live.ts`` is H.264 in MPEG-TS, ``/live.mjpg`` motion JPEG.

    - ``damage``: every so many packets of MPEG-TS are overwritten with noise;
    - ``sizes``: the sizes of the picture in turn, each for ``turn`` frames.
    """

    def __init__(
        self,
        *,
        rate: int = RATE,
        sizes: tuple[tuple[int, int], ...] = (SIZE,),
        turn: int = 10,
        damage: int | None = None,
    ) -> None:
        self.rate, self.sizes, self.turn, self.damage = rate, sizes, turn, damage
        self.port = free_port()
        self.sent = 0
        self._connections: list[socket.socket] = []
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; again after :meth:`kill`, at the same port."""
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.video = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self) -> None:
        """Break off every connection and listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        while self._connections:
            connection = self._connections.pop()
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client has left before

    def serve(self, connection: socket.socket, path: str) -> None:
        """Send one client video until either side leaves."""
        self._connections.append(connection)
        parts = self._jpegs() if path == "/live.mjpg" else self._transport_stream()
        start_s = time.monotonic()
        try:
            for number, part in enumerate(parts):
                connection.sendall(part)
                self.sent = number + 1
                time.sleep(max(0.0, start_s + number / self.rate - time.monotonic()))
        except OSError:
            return

    def _jpegs(self) -> Iterator[bytes]:
        number = 0
        while True:
            _, content = cv2.imencode(".jpg", picture(number, self.sizes[0]))
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {content.size}\r\n\r\n"
            yield head.encode() + content.tobytes() + b"\r\n"
            number += 1

    def _transport_stream(self) -> Iterator[bytes]:
        rng = np.random.default_rng(5)
        number = packets = 0
        while True:
            size = self.sizes[number // self.turn % len(self.sizes)]
            pipe = _Pipe()
            with av.open(pipe, "w", format="mpegts") as container:
                stream: Any = container.add_stream("libx264", self.rate)
                stream.height, stream.width = size
                stream.pix_fmt = "yuv420p"
                stream.codec_context.options = {"preset": "ultrafast", "tune": "zerolatency"}
                stream.codec_context.gop_size = 5
                for _ in range(self.turn if len(self.sizes) > 1 else 10**9):
                    frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
                    frame.pts, frame.time_base = number, Fraction(1, self.rate)
                    container.mux(stream.encode(frame))
                    number += 1
                    content = pipe.take()
                    for begin in range(0, len(content), 188):
                        packets += 1
                        if self.damage and packets % self.damage == 0 and number > 10:
                            noise = rng.integers(0, 255, 180, dtype=np.uint8).tobytes()
                            content[begin + 8 : begin + 188] = noise
                    yield bytes(content)


class _Pipe:
    """What a muxer writes, taken out part by part."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, content: bytes) -> int:
        self._content += content
        return len(content)

    def take(self) -> bytearray:
        content, self._content = self._content, bytearray()
        return content


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no news."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind = "multipart/x-mixed-replace; boundary=next"
        self.send_response(200)
        self.send_header("Content-Type", kind if self.path == "/live.mjpg" else "video/mp2t")
        self.end_headers()
        self.server.video.serve(self.connection, self.path)  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Tests are quiet."""


@contextmanager
def served(folder: Path, user: str = "") -> Iterator[str]:
    """The address of a web server of a folder, with a user and a password (``me:pw@``) in it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Tests are quiet."""

        def copyfile(self, source: Any, outputfile: Any) -> None:
            """Send a file; a client that hangs up is no error of the server's."""
            with suppress(OSError):
                super().copyfile(source, outputfile)

    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://{user}127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class RtspVideo:
    """An RTSP server in a process of its own, so that it can be killed as servers are."""

    def __init__(self, *, rate: int = RATE) -> None:
        self.port, self._rate = free_port(), rate
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/stream"

    def start(self) -> None:
        """Serve; again after :meth:`kill`, at the same port."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.port), str(self._rate)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],  # below which Python finds this module
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """End it without a word to its clients."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _serve_rtsp(port: int, rate: int) -> None:
    import rtsp

    server = rtsp.Server(f"127.0.0.1:{port}")
    server.start()
    print("ready", flush=True)  # noqa: T201
    context, number, start_s = encoder(SIZE, rate), 0, time.monotonic()
    while True:
        frame = av.VideoFrame.from_ndarray(picture(number, SIZE), format="rgb24")
        frame.pts = number
        for packet in context.encode(frame):
            server.send_frame(bytes(packet), 90000 // rate)
        number += 1
        time.sleep(max(0.0, start_s + number / rate - time.monotonic()))


if __name__ == "__main__":
    _serve_rtsp(int(sys.argv[1]), int(sys.argv[2]))
