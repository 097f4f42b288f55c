"""`depthrt serve` in a thread of the tests, and clients of it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from starlette.routing import BaseRoute, Router

from depthrt.model.inference import Abort, Prediction
from depthrt.system.cpu_cores import usable_cores
from depthrt_serving.http.gate import Gate
from depthrt_serving.server.serve import prepare_service
from depthrt_serving.server.server import Server, address_of, open_socket
from depthrt_serving.service.service import Service
from depthrt_serving.settings import Limits, Queueing, Settings
from helpers.web.client import Response, ask


@dataclass(frozen=True)
class Reply(Response):
    """An answer of the server."""

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.content)
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> dict[str, Any]:
        """What a refused request is told; it is one sentence, and has the request's id."""
        error = self.document["error"]
        assert isinstance(error, dict)
        assert error["request_id"] == self.headers["x-request-id"]
        assert "Traceback" not in error["message"]
        return error


@dataclass(eq=False)
class Running:
    """A server that answers."""

    address: str
    service: Service
    server: Server
    thread: threading.Thread = field(repr=False)

    @property
    def place(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition("/")[2].rpartition(":")
        return host, int(port)

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Reply:
        """One request over a connection of its own; POST where there is a body."""
        return ask(Reply, self.address, path, body, headers, method)

    def service_routes(self) -> list[BaseRoute]:
        """The routes that it answers."""
        gate = self.server.config.app
        assert isinstance(gate, Gate)
        assert isinstance(gate.app, Router)
        return gate.app.routes

    def send(self, request: bytes) -> socket.socket:
        """A connection over which these bytes were sent."""
        client = socket.create_connection(self.place, timeout=30)
        client.sendall(request)
        return client

    @contextmanager
    def held(self) -> Iterator[threading.Event]:
        """Inferences wait until the event is set, or the block ends."""
        batcher, gate = self.service.batcher, threading.Event()
        predict = batcher._predict

        def waiting(batch: NDArray[np.uint8], abort: Abort) -> Prediction:
            assert gate.wait(30)
            return predict(batch, abort)

        batcher._predict = waiting
        try:
            yield gate
        finally:
            gate.set()
            batcher._predict = predict

    def until_waiting(self, images: int) -> None:
        """Wait until so many images wait."""
        until(lambda: self.service.batcher.waiting == images)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; the sum over all that have these labels."""
        return sum(
            sample.value
            for family in self.service.metrics.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@contextmanager
def serving(
    model: Path | str,
    *,
    queueing: Queueing | None = None,
    limits: Limits | None = None,
    token_file: Path | None = None,
    alone: bool = False,
    **others: Any,
) -> Iterator[Running]:
    """A server of a model at a free port of loopback, until the end of the block.

    ``alone``: one inference at a time.
    """
    settings = Settings(
        model=str(model),
        port=0,
        threads=usable_cores() if alone else 1,
        queueing=queueing or Queueing(deadline_s=30.0),
        limits=limits or Limits(),
        token_file=token_file,
    )
    settings = replace(settings, **others)
    service = prepare_service(settings, lambda sentence: None)
    listener = open_socket(settings)
    address = address_of(listener, tls=settings.tls_cert is not None)
    started = threading.Event()
    server = Server(service, started.set)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert started.wait(30)
        yield Running(address, service, server, thread)
    finally:
        server.end()
        thread.join(30)
        assert not thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes soon."""
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to that"
        time.sleep(0.002)


def picture(seed: int = 0, size: tuple[int, int] = (90, 120)) -> NDArray[np.uint8]:
    """A smooth coloured picture, uint8 RGB H,W,3."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def encoded(image: NDArray[np.uint8], suffix: str = ".png") -> bytes:
    """A picture as an image file."""
    made, content = cv2.imencode(suffix, image[..., ::-1])
    assert made
    return content.tobytes()


def head(path: str, length: int, *more: str) -> bytes:
    """The head of a POST with a body of so many bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()
