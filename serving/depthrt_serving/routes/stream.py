"""`WS /v1/stream`: frames in, depth out, the newest frame first and the others never.

A binary message in is one picture (JPEG, PNG, WebP or HEIC). A binary message out is the depth of one:

    length of the header, 4 bytes, little-endian | header, JSON | 16-bit PNG or npy

A text message out is JSON that says why a frame has no depth.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import cast

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from depthrt_serving.http.gate import Passage
from depthrt_serving.http.problems import problem_of
from depthrt_serving.monitoring.stream_names import UNNAMED
from depthrt_serving.routes.streaming.frame_depth import FrameDepths
from depthrt_serving.routes.streaming.newest import Newest
from depthrt_serving.routes.streaming.wishes import StreamWishes
from depthrt_serving.service.service import Service

PATH = "/v1/stream"
PROTOCOL = "depthrt"
_TEXT = 1003  # RFC 6455, 7.4.1: a kind of data that is not taken


@dataclass(frozen=True)
class Counted:
    """Counts the frames of a connection, by the name that its client gave it."""

    service: Service
    name: str

    @property
    def stream(self) -> str:
        """The label of its metrics."""
        return self.service.streams.admit(self.name) or UNNAMED

    def dropped(self) -> None:
        """A newer frame took the place of one that waited."""
        self.service.metrics.dropped_frames.labels(self.stream).inc()

    def answered(self, latency_s: float) -> None:
        """A frame has its depth."""
        self.service.metrics.frames.labels(self.stream).inc()
        self.service.metrics.frame_latency_s.labels(self.stream).observe(latency_s)


async def stream(socket: WebSocket) -> None:
    """Answer one connection until either side ends it."""
    socket.state.route = PATH
    service = cast(Service, socket.state.service)
    passage = cast(Passage, socket.state.passage)
    wishes = StreamWishes.of(socket.query_params)
    depths = FrameDepths(service, passage.client, wishes)
    offered = socket.scope.get("subprotocols", ())
    await socket.accept(PROTOCOL if PROTOCOL in offered else None)
    newest, counted = Newest(), Counted(service, wishes.name)
    answering = asyncio.ensure_future(_answer_all(socket, passage, newest, depths, counted))
    receiving = asyncio.ensure_future(_receive_all(socket, newest, counted))
    try:
        await asyncio.wait({answering, receiving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        left = receiving.done()
        answering.cancel()
        receiving.cancel()
        failures = await asyncio.gather(answering, receiving, return_exceptions=True)
        await depths.close()
        passage.facts.update(frames=newest.received, dropped=newest.dropped)
        if depths.interpolated:
            passage.facts.update(interpolated=depths.interpolated)
    error = failures[0]
    if isinstance(error, Exception) and not left and not isinstance(error, WebSocketDisconnect):
        raise error


async def _receive_all(socket: WebSocket, newest: Newest, counted: Counted) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        content = message.get("bytes")
        if content is None:
            await socket.close(_TEXT, "a frame is a binary message")
            return
        if newest.put(content):
            counted.dropped()


async def _answer_all(
    socket: WebSocket,
    passage: Passage,
    newest: Newest,
    depths: FrameDepths,
    counted: Counted,
) -> None:
    while True:
        frame = await newest.take()
        try:
            payload, facts = await depths.answer(frame)
        except Exception as error:
            problem = problem_of(error)
            if problem.status == 500:
                raise
            said = json.loads(problem.body(passage.id))
            place = {"frame": frame.number, "dropped": newest.dropped}
            await socket.send_text(json.dumps({**place, **said}))
            continue
        latency_s = time.monotonic() - frame.arrived_s
        counted.answered(latency_s)
        latency_ms = round(1e3 * latency_s, 2)
        header = {"frame": frame.number, "dropped": newest.dropped, "latency_ms": latency_ms}
        head = json.dumps({**header, **facts}).encode()
        await socket.send_bytes(len(head).to_bytes(4, "little") + head + payload)


ROUTES = [WebSocketRoute(PATH, stream)]
