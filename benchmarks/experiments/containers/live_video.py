"""A camera that never ends: the demo clip as motion JPEG over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.sources.base import Selection
from depthrt.sources.open import open_source

RATE = 12.0


@contextmanager
def camera() -> Iterator[str]:
    """Serve the clip, again and again; gives the address."""
    pictures = list(encoded(48))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            with suppress(OSError):  # the reader went away
                for number in range(1 << 30):
                    jpeg = pictures[number % len(pictures)]
                    head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n"
                    self.wfile.write(f"{head}\r\n".encode() + jpeg + b"\r\n")
                    time.sleep(1 / RATE)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live.mjpg"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def encoded(count: int) -> Iterator[bytes]:
    """Frames of the demo clip as JPEG."""
    for frame in open_source(DEMO_CLIP, Selection(max_frames=count)).frames():
        yield cv2.imencode(".jpg", frame.image[..., ::-1])[1].tobytes()
