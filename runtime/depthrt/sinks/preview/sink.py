"""A web page that shows a run in progress: pictures and figures over HTTP."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.render.views import Canvas, Planes, compose
from depthrt.result import Result
from depthrt.sinks.base import Sink
from depthrt.sinks.image import to_bgr
from depthrt.sinks.jsonl import record
from depthrt.sinks.preview.server import PreviewServer
from depthrt.system.small_server import POLL_S, open_server

_WIDTH = 640  # of each of the two pictures, at most
_RATE = 25.0  # pictures a second and stream, at most
_JPEG_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]
_WANTED_S = 3.0  # how long pictures are drawn after a viewer's request
_WAIT_S = 0.5  # how long a request waits for a new picture
_RATE_OVER_FRAMES = 30


@dataclass(eq=False)
class _Channel:
    """What viewers see of one stream."""

    number: int
    frames: int = 0
    line: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)
    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=_RATE_OVER_FRAMES))
    drawn_s: float = -1.0
    drawn: tuple[Planes, Canvas] | None = None  # to be encoded as JPEG
    jpeg: bytes = b""
    picture: int = 0  # the number of the newest JPEG

    def figures(self) -> dict[str, Any]:
        """What the page says of the stream."""
        span_s = self.times_s[-1] - self.times_s[0] if self.times_s else 0.0
        return {
            **self.line,
            "frames": self.frames,
            "rate_fps": round((len(self.times_s) - 1) / span_s, 2) if span_s > 0 else None,
            "height": self.size[0],
            "width": self.size[1],
            "picture": self.picture,
        }


class PreviewSink(Sink):
    """A web page with picture and depth of every stream side by side, and figures.

    Pictures are made only while somebody looks, at most 25 a second, and encoded in a thread. A
    viewer that has received a picture gets the newest one next, so that a slow viewer delays
    nobody.

    Args:
        address: ``PORT`` or ``HOST:PORT``; without a host only this machine can look; port 0 is any
            that is free (see ``url``).
        model: what the page says of the model.
        colormap: the colours of depth.
        dropped: gives how many frames of a stream were dropped so far.
        paced: show a recording no faster than it was recorded.

    Raises:
        UsageError: ``address`` is neither form.
        TargetError: the port is in use or may not be used.
    """

    def __init__(
        self,
        address: str,
        model: str,
        colormap: str,
        dropped: Callable[[str], int],
        *,
        paced: bool = False,
    ) -> None:
        self._server = open_server(address, "--preview", lambda place: PreviewServer(place, self))
        self._model, self._colormap, self._dropped, self._paced = model, colormap, dropped, paced
        self._changed = threading.Condition()
        self._channels: dict[str, _Channel] = {}
        self._wanted_until_s = 0.0
        self._closed = False
        self._start_s: float | None = None
        self.url = f"{self._server.url}/"
        for work, name in ((self._serve, "serve"), (self._encode, "encode")):
            threading.Thread(target=work, name=f"depthrt-preview-{name}", daemon=True).start()

    def write(self, result: Result) -> bool:
        """Count a frame, and draw it if somebody looks."""
        self._keep_pace(result.frame.time_s)
        now_s = time.monotonic()
        stream = result.frame.stream
        line = record(result, self._dropped(stream))
        with self._changed:
            channel = self._channels.get(stream)
            if channel is None:
                channel = self._channels[stream] = _Channel(len(self._channels))
            channel.frames += 1
            channel.line = line
            channel.size = result.depth.image_size
            channel.times_s.append(now_s)
            looked_at = now_s < self._wanted_until_s or not channel.picture
            due = looked_at and now_s - channel.drawn_s >= 1 / _RATE and channel.drawn is None
        if due:
            # Drawn now: the frame's memory may be used again once this returns.
            drawn = _draw(result, self._colormap)
            with self._changed:
                channel.drawn, channel.drawn_s = drawn, now_s
                self._changed.notify_all()
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Stop the server."""
        with self._changed:
            if self._closed:
                return None
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        return None

    def figures(self, seen: int | None = None) -> dict[str, Any]:
        """What the page says; with ``seen`` it waits a moment for more pictures than that."""
        with self._changed:
            self._look()
            if seen is not None:
                self._changed.wait_for(lambda: self._closed or self._pictures() != seen, _WAIT_S)
            streams = sorted(self._channels.values(), key=lambda channel: channel.number)
            return {
                "model": self._model,
                "pictures": self._pictures(),
                "streams": [channel.figures() for channel in streams],
            }

    def picture(self, number: int, seen: int = 0) -> tuple[int, bytes] | None:
        """The newest JPEG of a stream and its number, once it is not ``seen``; None after the last.

        Raises:
            KeyError: there is no such stream, or not yet.
        """
        with self._changed:
            channel = next((c for c in self._channels.values() if c.number == number), None)
            if channel is None:
                raise KeyError(number)
            while True:
                self._look()
                if channel.jpeg and channel.picture != seen:
                    return channel.picture, channel.jpeg
                if self._closed:
                    return None
                self._changed.wait(_WAIT_S)

    def _pictures(self) -> int:
        return sum(channel.picture for channel in self._channels.values())

    def _look(self) -> None:
        self._wanted_until_s = time.monotonic() + _WANTED_S

    def _keep_pace(self, time_s: float) -> None:
        if self._paced:
            now_s = time.monotonic()
            if self._start_s is None:
                self._start_s = now_s - time_s
            time.sleep(max(0.0, self._start_s + time_s - now_s))
            self.paused_s += time.monotonic() - now_s

    def _serve(self) -> None:
        self._server.serve_forever(POLL_S)

    def _encode(self) -> None:
        while True:
            with self._changed:
                waiting = [c for c in self._channels.values() if c.drawn is not None]
                if self._closed:
                    return
                if not waiting:
                    self._changed.wait()
                    continue
            for channel in waiting:
                if channel.drawn is None:
                    continue
                picture = to_bgr(*channel.drawn)
                _, jpeg = cv2.imencode(".jpg", picture, _JPEG_QUALITY)
                with self._changed:
                    channel.drawn, channel.jpeg = None, jpeg.tobytes()
                    channel.picture += 1
                    self._changed.notify_all()


def _draw(result: Result, colormap: str) -> tuple[Planes, Canvas]:
    """Draw the side view, small, into new memory."""
    whole = Canvas.of(result.frame.pixels, "side", colormap)
    share = min(1.0, _WIDTH / whole.width)
    height, width = (max(2, 2 * round(side * share / 2)) for side in (whole.height, whole.width))
    canvas = Canvas("side", height, width, whole.matrix, whole.full_range, colormap)
    planes = _empty(*canvas.size)
    compose(result.frame.pixels, result.depth, result.display_range, canvas, planes)
    return planes, canvas


def _empty(height: int, width: int) -> Planes:
    def plane(shrink: int) -> NDArray[np.uint8]:
        return np.empty((height // shrink, width // shrink), np.uint8)

    return plane(1), plane(2), plane(2)
