"""`WS /v1/stream`: frames in, depth out, the newest frame first and the others never.

A binary message in is one picture (JPEG, PNG or WebP). A binary message out is the depth of one:

    length of the header, 4 bytes, little-endian | header, JSON | 16-bit PNG or npy

A text message out is JSON that says why a frame has no depth.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from depthrt.depth import Depth
from depthrt.temporal.display_range import SceneCuts
from depthrt.temporal.stabiliser import Stabiliser
from depthrt_serving.batching.work import Computed
from depthrt_serving.http.gate import Passage
from depthrt_serving.http.problems import ProblemError, problem_of
from depthrt_serving.pictures.answers import codes_png, describe_depth, npy
from depthrt_serving.pictures.found_depth import depth_of
from depthrt_serving.pictures.sent import SentPicture, checked_file
from depthrt_serving.service.service import Service

PATH = "/v1/stream"
PROTOCOL = "depthrt"
_FORMATS = ("png", "npy")
_TEXT = 1003  # RFC 6455, 7.4.1: a kind of data that is not taken


@dataclass(eq=False)
class Newest:
    """The frame that waits, of one connection; a newer one takes its place.

    - ``received``, ``dropped``: frames that came, and those whose place was taken.
    """

    received: int = 0
    dropped: int = 0
    _frame: tuple[int, float, bytes] | None = None
    _there: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, content: bytes) -> bool:
        """Keep a frame; whether another one lost its place."""
        replaces = self._frame is not None
        self.dropped += replaces
        self._frame = (self.received, time.monotonic(), content)
        self.received += 1
        self._there.set()
        return replaces

    async def take(self) -> tuple[int, float, bytes]:
        """Number, arrival (``time.monotonic``) and content of the frame, once there is one."""
        while self._frame is None:
            self._there.clear()
            await self._there.wait()
        frame, self._frame = self._frame, None
        return frame


@dataclass(eq=False)
class Steady:
    """What looks back in time, of one connection; it runs in a thread."""

    stabiliser: Stabiliser
    cuts: SceneCuts = field(default_factory=SceneCuts)

    def update(self, depth: Depth, computed: Computed) -> bool:
        """Steady the map in place; whether a new scene begins with it."""
        (prepared,) = computed.prepared
        cut = self.cuts.update(prepared)
        if cut:
            self.stabiliser.reset()
        self.stabiliser.update(depth.values, prepared, out=depth.values)
        return cut


async def stream(socket: WebSocket) -> None:
    """Answer one connection until either side ends it."""
    socket.state.route = PATH
    service = cast(Service, socket.state.service)
    passage = cast(Passage, socket.state.passage)
    form = socket.query_params.get("format", "png")
    if form not in _FORMATS:
        raise ProblemError(400, f"format is none of {', '.join(_FORMATS)}")
    steady = None
    if socket.query_params.get("stabilise", "0") not in ("0", "false"):
        steady = Steady(Stabiliser.of(service.spec))
    offered = socket.scope.get("subprotocols", ())
    await socket.accept(PROTOCOL if PROTOCOL in offered else None)
    newest = Newest()
    answering = asyncio.ensure_future(_answer_all(socket, service, passage, newest, form, steady))
    receiving = asyncio.ensure_future(_receive_all(socket, service, newest))
    try:
        await asyncio.wait({answering, receiving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        passage.facts.update(frames=newest.received, dropped=newest.dropped)
        left = receiving.done()
        answering.cancel()
        receiving.cancel()
        failures = await asyncio.gather(answering, receiving, return_exceptions=True)
    error = failures[0]
    if isinstance(error, Exception) and not left and not isinstance(error, WebSocketDisconnect):
        raise error


async def _receive_all(socket: WebSocket, service: Service, newest: Newest) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        content = message.get("bytes")
        if content is None:
            await socket.close(_TEXT, "a frame is a binary message")
            return
        if newest.put(content):
            service.metrics.dropped_frames.inc()


async def _answer_all(
    socket: WebSocket,
    service: Service,
    passage: Passage,
    newest: Newest,
    form: str,
    steady: Steady | None,
) -> None:
    while True:
        number, arrived_s, content = await newest.take()
        try:
            payload, facts = await _depth_of(service, passage, content, arrived_s, form, steady)
        except Exception as error:
            problem = problem_of(error)
            if problem.status == 500:
                raise
            said = {
                "frame": number,
                "dropped": newest.dropped,
                **json.loads(problem.body(passage.id)),
            }
            await socket.send_text(json.dumps(said))
            continue
        latency_ms = round(1e3 * (time.monotonic() - arrived_s), 2)
        header = {"frame": number, "dropped": newest.dropped, "latency_ms": latency_ms, **facts}
        head = json.dumps(header).encode()
        await socket.send_bytes(len(head).to_bytes(4, "little") + head + payload)


async def _depth_of(
    service: Service,
    passage: Passage,
    content: bytes,
    arrived_s: float,
    form: str,
    steady: Steady | None,
) -> tuple[bytes, dict[str, Any]]:
    """The depth of a frame in bytes, and what the header says of it."""
    picture = checked_file("the frame", content, service.limits.pixels)
    prepare = partial(picture.prepare, service.spec.input)
    deadline_s = arrived_s + service.settings.queueing.deadline_s
    computed = await service.batcher.compute([prepare], passage.client, deadline_s)
    make = partial(_payload, service, picture, computed, form, steady)
    payload, facts = await asyncio.get_running_loop().run_in_executor(service.threads, make)
    return payload, {**facts, "batch": computed.batch}


def _payload(
    service: Service, picture: SentPicture, computed: Computed, form: str, steady: Steady | None
) -> tuple[bytes, dict[str, Any]]:
    (found,) = computed.predictions
    depth = depth_of(service.model, picture, found).copy()
    facts: dict[str, Any] = {"format": form, **describe_depth(depth)}
    if steady is not None:
        facts["scene_cut"] = steady.update(depth, computed)
    if form == "npy":
        return npy(depth.values_or_nan), facts
    content, codes = codes_png(service.spec, depth)
    return content, {**facts, "step": codes.step, "offset": codes.offset, "invalid": 0}


ROUTES = [WebSocketRoute(PATH, stream)]
