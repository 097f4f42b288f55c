"""Connections: how many, and how long and large the head of a request may be."""

from __future__ import annotations

import json
from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from depthrt_serving.settings import Limits

_HEAD_BYTES = 64 * 1024
_RETRY_S = 1


def limited_protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """The protocol of connections that are kept to the limits."""

    class Limited(HttpToolsProtocol):
        _head_timer: TimerHandle | None = None
        _answer_timer: TimerHandle | None = None
        _head_bytes = 0
        _awaits_head = True

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._refuse(503, "too_many_connections", "too many connections are open")
                return
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            self._stop_answer_timer()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            """The client does not take its answer as fast as it is sent."""
            super().pause_writing()
            self._stop_answer_timer()
            self._answer_timer = self.loop.call_later(limits.answer_s, self.transport.abort)

        def resume_writing(self) -> None:
            self._stop_answer_timer()
            super().resume_writing()

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            if self._awaits_head:
                self._head_bytes += len(data)
                if self._head_timer is None:
                    self._expect_head()
            super().data_received(data)
            if self._awaits_head and self._head_bytes > _HEAD_BYTES:
                self._refuse(431, "head_too_large", "the head of the request is too large")

        def on_headers_complete(self) -> None:
            self._awaits_head, self._head_bytes = False, 0
            self._stop_timer()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._awaits_head = True
            super().on_message_complete()

        def _expect_head(self) -> None:
            self._head_timer = self.loop.call_later(limits.header_s, self._too_slow)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _stop_answer_timer(self) -> None:
            if self._answer_timer is not None:
                self._answer_timer.cancel()
                self._answer_timer = None

        def _too_slow(self) -> None:
            self._refuse(408, "too_slow", "the head of the request did not arrive in time")

        def _refuse(self, status: int, code: str, message: str) -> None:
            """Answer without the application, and close."""
            self._stop_timer()
            if self.transport.is_closing():
                return
            if self.cycle is None or self.cycle.response_complete:
                body = json.dumps({"error": {"code": code, "message": message}})
                self.transport.write(
                    f"HTTP/1.1 {status} {code}\r\ncontent-type: application/json\r\n"
                    f"content-length: {len(body)}\r\nretry-after: {_RETRY_S}\r\n"
                    f"connection: close\r\n\r\n{body}".encode()
                )
            self.transport.close()

    return Limited
