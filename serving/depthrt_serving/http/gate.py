"""The gate that every request passes: id, token, errors as JSON, a line in the log."""

from __future__ import annotations

import random
import re
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from depthrt_serving.http.log import log
from depthrt_serving.http.problems import ClientGoneError, ProblemError, problem_of
from depthrt_serving.service.service import Service
from depthrt_serving.settings import LOOPBACK

OPEN_PATHS = (
    "/",
    "/health/live",
    "/health/ready",
    "/v2/health/live",
    "/v2/health/ready",
    "/docs",
    "/openapi.json",
)
"""Answered without a token: they say nothing of pictures or clients."""
OPEN_FOLDERS = ("/static/",)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REASON_BYTES = 120  # RFC 6455, 5.5: what a close frame holds
_NO_TOKEN = "a token is needed"
_BEARER = "bearer."  # of a WebSocket's subprotocol, as browsers set no headers there


@dataclass(eq=False)
class Passage:
    """A request on its way; a route finds it as ``request.state.passage``.

    - ``id``: the client's ``X-Request-Id``, or one of ours;
    - ``client``: who takes turns with others: its address, and which token it has;
    - ``start_s``: when its head was there, by ``time.monotonic``;
    - ``facts``: what its route wants to have in its line of the log.
    """

    id: str
    client: str
    start_s: float
    facts: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    sent_bytes: int = 0


class Gate:
    """The application, guarded."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; whatever goes wrong becomes an answer or a closed connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        passage = _passage(scope, headers)
        scope.setdefault("state", {}).update(passage=passage, service=self._service)
        scope["app"] = self.app
        outgoing = self._noting(passage, send)
        level = "info"
        try:
            self._admit(scope, headers, passage)
            await self.app(scope, receive, outgoing)
        except ClientGoneError:
            passage.facts["gone"] = True
            self._service.metrics.errors.labels("gone").inc()
        except Exception as error:
            problem = problem_of(error)
            passage.facts["reason"] = problem.message
            self._service.metrics.errors.labels(problem.word).inc()
            if problem.status == 500:
                level = "error"
                passage.facts["traceback"] = "".join(traceback.format_exception(error))
            await _answer(scope, outgoing, passage, problem)
        finally:
            method = scope.get("method", "WS")
            note_passage(self._service, level, passage, _route(scope), method, scope["path"])

    def _admit(self, scope: Scope, headers: Headers, passage: Passage) -> None:
        """Refuse who has no token, and sites that resolve to this machine (DNS rebinding).

        Raises:
            ProblemError: it is refused.
        """
        service, path = self._service, scope["path"]
        host = headers.get("host", "")
        if service.settings.is_local and host.rsplit(":", 1)[0] not in LOOPBACK:
            raise ProblemError(403, f"this server answers to {', '.join(LOOPBACK[:3])} alone")
        if scope["type"] == "websocket":
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != host:
                raise ProblemError(403, "a page of another site may not open a stream here")
        if not service.tokens or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS):
            return
        given = _given_tokens(headers)
        number = service.tokens.find(given)
        if number is None:
            asked = {"www-authenticate": 'Bearer realm="depthrt"'}
            reason = "the token that was sent is not one of this server" if given else _NO_TOKEN
            raise ProblemError(401, f"{reason}: Authorization: Bearer TOKEN", headers=asked)
        passage.client = f"{passage.client} token {number}"

    def _noting(self, passage: Passage, send: Send) -> Send:
        """A ``send`` that adds headers to answers and notes what was sent."""

        async def noting(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.start":
                passage.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = passage.id
                headers["x-content-type-options"] = "nosniff"
                if self._service.draining:
                    headers["connection"] = "close"
            elif kind == "http.response.body":
                passage.sent_bytes += len(message.get("body", b""))
            elif kind == "websocket.accept":
                passage.status = 101
            await send(message)

        return noting


def note_passage(
    service: Service, level: str, passage: Passage, route: str, method: str, path: str
) -> None:
    """Count a request that has ended, and write its line in the log."""
    seconds = time.monotonic() - passage.start_s
    service.metrics.requests.labels(route, str(passage.status or "gone")).inc()
    service.metrics.latency_s.labels(route).observe(seconds)
    log(
        level,
        "request",
        request_id=passage.id,
        client=passage.client,
        method=method,
        path=path,
        status=passage.status or None,
        ms=round(1e3 * seconds, 2),
        sent_bytes=passage.sent_bytes,
        **passage.facts,
    )


def _passage(scope: Scope, headers: Headers) -> Passage:
    asked = headers.get("x-request-id", "")
    request_id = asked if _ID.fullmatch(asked) else f"{random.getrandbits(64):016x}"
    client = scope.get("client")
    return Passage(request_id, client[0] if client else "local", time.monotonic())


def _given_tokens(headers: Headers) -> list[bytes]:
    """Tokens of a request: of its Authorization, or of a WebSocket's subprotocols."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = [token.strip()] if scheme.lower() == "bearer" else []
    offered = (name.strip() for name in headers.get("sec-websocket-protocol", "").split(","))
    given += [name.removeprefix(_BEARER) for name in offered if name.startswith(_BEARER)]
    return [text.encode("latin-1", "replace") for text in given]


def _route(scope: Scope) -> str:
    """The route's pattern, so that the metrics have few names; ``other`` where there is none."""
    pattern = scope.get("state", {}).get("route")
    return str(pattern) if pattern else "other"


async def _answer(scope: Scope, send: Send, passage: Passage, problem: ProblemError) -> None:
    """Answer with a problem, as far as nothing was answered yet."""
    kind = "http.response"
    if scope["type"] == "websocket":
        kind = "websocket.http.response"
        if passage.status or kind not in scope.get("extensions", {}):
            code = 1011 if passage.status else 1008  # RFC 6455, 7.4.1: an error, a refusal
            passage.status = passage.status or 403
            with suppress(RuntimeError):  # it is closed already
                reason = problem.message.encode()[:_REASON_BYTES].decode(errors="ignore")
                await send({"type": "websocket.close", "code": code, "reason": reason})
            return
        passage.status = problem.status
    elif passage.status:
        raise RuntimeError("an answer failed after it was begun")
    body = problem.body(passage.id, plain=scope["path"].startswith("/v2"))
    head = {"content-type": "application/json", "content-length": str(len(body)), **problem.headers}
    head["x-request-id"] = passage.id
    if problem.closes:
        head["connection"] = "close"
    headers = [(name.encode(), value.encode("latin-1")) for name, value in head.items()]
    await send({"type": f"{kind}.start", "status": problem.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
