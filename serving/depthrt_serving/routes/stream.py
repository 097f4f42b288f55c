"""`WS /v1/stream`: frames in, depth out, the newest frame first and the others never.

A binary message in is one picture: JPEG, PNG, WebP or HEIC. One out is the depth of one:

    length of the header, 4 bytes, little-endian | header, JSON | 16-bit PNG or npy

A text message out is JSON that says why a frame has no depth.
"""

from __future__ import annotations

import asyncio
import json
from typing import cast

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from depthrt_serving.http.gate import Passage
from depthrt_serving.http.problems import ProblemError, problem_of
from depthrt_serving.routes.streaming.connection import Connection
from depthrt_serving.routes.streaming.wishes import StreamWishes
from depthrt_serving.service.service import Service

PATH = "/v1/stream"
PROTOCOL = "depthrt"
_TEXT = 1003  # RFC 6455, 7.4.1: a kind of data that is not taken


async def stream(socket: WebSocket) -> None:
    """Answer one connection until either side ends it."""
    socket.state.route = PATH
    service = cast(Service, socket.state.service)
    passage = cast(Passage, socket.state.passage)
    frames = Connection(service, passage.client, StreamWishes.of(socket.query_params))
    offered = socket.scope.get("subprotocols", ())
    await socket.accept(PROTOCOL if PROTOCOL in offered else None)
    answering = asyncio.ensure_future(_answer_all(socket, passage, frames))
    receiving = asyncio.ensure_future(_receive_all(socket, passage, frames))
    try:
        await asyncio.wait({answering, receiving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        left = receiving.done()
        answering.cancel()
        receiving.cancel()
        failures = await asyncio.gather(answering, receiving, return_exceptions=True)
        await frames.close()
        passage.facts.update(frames.facts)
    error = failures[0]
    if isinstance(error, Exception) and not left and not isinstance(error, WebSocketDisconnect):
        raise error


async def _receive_all(socket: WebSocket, passage: Passage, frames: Connection) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        content = message.get("bytes")
        if content is None:
            await socket.close(_TEXT, "a frame is a binary message")
            return
        refused = frames.put(content)
        if refused is not None:
            await _refuse(socket, passage, frames, *refused)


async def _answer_all(socket: WebSocket, passage: Passage, frames: Connection) -> None:
    while True:
        frame = await frames.take()
        try:
            payload, facts = await frames.answer(frame)
        except Exception as error:
            problem = problem_of(error)
            if problem.status == 500:
                raise
            await _refuse(socket, passage, frames, frame.number, problem)
            continue
        latency_ms = round(1e3 * frames.done(frame), 2)
        header = {"frame": frame.number, "dropped": frames.dropped, "latency_ms": latency_ms}
        head = json.dumps({**header, **facts}).encode()
        await socket.send_bytes(len(head).to_bytes(4, "little") + head + payload)


async def _refuse(
    socket: WebSocket, passage: Passage, frames: Connection, number: int, problem: ProblemError
) -> None:
    """Say why a frame has no depth."""
    said = json.loads(problem.body(passage.id))
    place = {"frame": number, "dropped": frames.dropped}
    await socket.send_text(json.dumps({**place, **said}))


ROUTES = [WebSocketRoute(PATH, stream)]
