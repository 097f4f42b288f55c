"""The body of a request, limited in bytes while it arrives, and in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.types import Receive

from depthrt_serving.http.problems import ClientGoneError, ProblemError, retry_headers
from depthrt_serving.http.within import within
from depthrt_serving.service.service import Service
from depthrt_serving.settings import Limits

_DISCARD_S = 2.0  # for which the rest of a body that is too large is read, so that it is answered
_MEMORY_RETRY_S = 1.0


async def read_body(request: Request, service: Service) -> bytes:
    """All of a body; what it takes of the memory for bodies is given back with the request.

    Raises:
        ProblemError: too large (413), too slow (408), or no memory for it at present (429).
        ClientGoneError: the connection was closed.
    """
    limits = service.limits
    chunks = [chunk async for chunk in arriving(request, limits, limits.body_bytes)]
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


@contextmanager
def held(request: Request, service: Service) -> Iterator[None]:
    """Count a body's bytes among those that are in memory, for a block.

    Raises:
        ProblemError: there would be too many (429).
    """
    size = min(declared_bytes(request) or service.limits.body_bytes, service.limits.body_bytes)
    with held_bytes(service, size):
        yield


@contextmanager
def held_bytes(service: Service, size: int) -> Iterator[None]:
    """As :func:`held`, of so many bytes."""
    hold(service, size)
    try:
        yield
    finally:
        service.held_bytes -= size


def hold(service: Service, size: int) -> None:
    """Count bytes among those that are in memory; who lets go of them takes them off again.

    Raises:
        ProblemError: there would be too many (429).
    """
    if service.held_bytes + size > service.limits.held_bytes:
        service.metrics.rejected.labels("memory").inc()
        message = "too many large requests are being read: try again soon"
        raise ProblemError(429, message, "memory", retry_headers(_MEMORY_RETRY_S))
    service.held_bytes += size


def declared_bytes(request: Request) -> int | None:
    """The length that the head of a request says; None if it says none.

    Raises:
        ProblemError: it is no number.
    """
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise ProblemError(400, "Content-Length is no number", closes=True)
    return int(text)


async def arriving(request: Request, limits: Limits, most: int) -> AsyncIterator[bytes]:
    """The pieces of a body, as they come.

    Raises:
        ProblemError: more than ``most`` bytes (413), or too slow (408).
        ClientGoneError: the connection was closed.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(415, "a compressed body is not taken: send it without Content-Encoding")
    too_large = ProblemError(
        413, f"the body is larger than {most / 1e6:.1f} MB, the most that is taken", closes=True
    )
    if (declared_bytes(request) or 0) > most:
        await _discard(request.receive)
        raise too_large
    start_s, size = time.monotonic(), 0
    while True:
        allowed_s = limits.body_s + size / limits.body_bytes_per_s
        left_s = start_s + allowed_s - time.monotonic()
        try:
            message = await within(request.receive(), left_s)
        except asyncio.TimeoutError:
            reason = f"the body did not arrive at {limits.body_bytes_per_s} bytes per second"
            raise ProblemError(408, reason, closes=True) from None
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            if message.get("more_body"):
                await _discard(request.receive)
            raise too_large
        if chunk:
            yield chunk
        if not message.get("more_body"):
            return


async def _discard(receive: Receive) -> None:
    """Read on for a while: an answer is lost where the connection is closed on unread bytes."""

    async def read() -> None:
        while (await receive()).get("more_body"):
            pass

    try:
        await within(read(), _DISCARD_S)
    except asyncio.TimeoutError:
        return
