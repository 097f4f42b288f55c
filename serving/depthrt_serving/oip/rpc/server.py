"""The gRPC server: who may call, what is refused, and a line in the log for each call."""

from __future__ import annotations

import asyncio
import secrets
import time
import traceback
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from depthrt.errors import TargetError
from depthrt_serving.http.gate import Passage, note_passage
from depthrt_serving.http.problems import ProblemError, problem_of
from depthrt_serving.oip.rpc.calls import Calls, deadline_of
from depthrt_serving.oip.rpc.protocol import METHODS, SERVICE, messages
from depthrt_serving.service.service import Service

_ENDING_S = 3600.0  # for calls that have come; each has a deadline of its own
_OPEN = ("ServerLive", "ServerReady")  # without a token
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_RETRY = "depthrt-retry-after-ms"
_PUSHBACK = "grpc-retry-pushback-ms"  # when clients that retry by themselves are to do it


class RpcServer:
    """The protocol over gRPC, in the event loop of the web server.

    Args:
        service: what it serves.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._calls = service, Calls(service)
        self._server: Any = None
        self.port = 0

    async def start(self) -> None:
        """Listen at the port of the settings; ``port`` says which it is.

        Raises:
            TargetError: it is taken.
        """
        settings, limits = self._service.settings, self._service.limits
        options = {
            "grpc.max_receive_message_length": limits.body_bytes,
            "grpc.max_send_message_length": -1,
            "grpc.so_reuseport": 0,
        }
        self._server = grpc.aio.server(
            options=list(options.items()), maximum_concurrent_rpcs=limits.connections
        )
        self._server.add_generic_rpc_handlers((self._handlers(),))
        host = settings.host.strip("[]")
        place = f"{f'[{host}]' if ':' in host else host}:{settings.grpc_port}"
        try:
            if settings.tls_cert is not None and settings.tls_key is not None:
                pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
                secured = grpc.ssl_server_credentials([pair])
                self.port = self._server.add_secure_port(place, secured)
            else:
                self.port = self._server.add_insecure_port(place)
        except RuntimeError as error:
            raise TargetError(f"cannot listen at {place} for gRPC (it is taken)") from error
        await self._server.start()

    async def stop(self, *, at_once: bool = False) -> None:
        """Take no new calls, and end when those that have come are answered."""
        if self._server is not None:
            await self._server.stop(0.0 if at_once else _ENDING_S)

    def _handlers(self) -> grpc.GenericRpcHandler:
        known = messages()
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    partial(self._answer, name, known[f"{name}Request"]),
                    # The bytes themselves: gRPC would answer what is no message with a traceback.
                    request_deserializer=None,
                    response_serializer=known[f"{name}Response"].SerializeToString,
                )
                for name in METHODS
            },
        )

    async def _answer(self, name: str, kind: Any, content: bytes, context: Any) -> Any:
        """Answer a call; whatever goes wrong becomes a status of gRPC."""
        sent = dict(context.invocation_metadata() or ())
        passage = Passage(secrets.token_hex(8), _host_of(context.peer()), time.monotonic())
        level = "info"
        try:
            self._admit(name, sent, passage)
            message, call = _parsed(kind, content), self._calls.methods[name]
            answer = await call(
                message, passage, deadline_of(self._service, context.time_remaining())
            )
            passage.status = 200
            return answer
        except asyncio.CancelledError:
            passage.facts["gone"] = True
            raise
        except Exception as error:
            problem = problem_of(error)
            passage.status = problem.status
            passage.facts["reason"] = problem.message
            if problem.status == 500:
                level = "error"
                passage.facts["traceback"] = "".join(traceback.format_exception(error))
        finally:
            path = f"/{SERVICE}/{name}"
            note_passage(self._service, level, passage, path, "RPC", path)
        return await _abort(context, problem)

    def _admit(self, name: str, sent: dict[str, Any], passage: Passage) -> None:
        tokens = self._service.tokens
        if not tokens or name in _OPEN:
            return
        scheme, _, token = str(sent.get("authorization", "")).partition(" ")
        given = [token.strip().encode("latin-1", "replace")] if scheme.lower() == "bearer" else []
        number = tokens.find(given)
        if number is None:
            raise ProblemError(401, "a token is needed: metadata authorization: Bearer TOKEN")
        passage.client = f"{passage.client} token {number}"


def _parsed(kind: Any, content: bytes) -> Any:
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise ProblemError(400, f"this is no {kind.DESCRIPTOR.name}: it cannot be read") from error


async def _abort(context: Any, problem: ProblemError) -> None:
    after_ms = problem.headers.get(_RETRY)
    sent = ((_RETRY, after_ms), (_PUSHBACK, after_ms)) if after_ms else ()
    code = _CODES.get(problem.status, grpc.StatusCode.INTERNAL)
    await context.abort(code, problem.message, sent)


def _host_of(peer: str) -> str:
    """The address in ``ipv4:127.0.0.1:4711``, without the port."""
    return peer.partition(":")[2].rpartition(":")[0].strip("[]") or "local"
