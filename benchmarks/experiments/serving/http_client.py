"""An HTTP client that costs little, as it shares the cores with the server that it measures.

One thread, sockets that do not block, connections that are used again. It is the standard library
alone, so that it starts in a moment and can run with any Python.
"""

from __future__ import annotations

import heapq
import re
import select
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RETRY = re.compile(rb"\r\ndepthrt-retry-after-ms: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_CHUNK = 1 << 18
_LONGEST_WAIT_S = 60.0

REFUSED, CUT, HUNG_UP, UNANSWERED = 0, -1, -2, -3
"""In place of a status: no connection; closed without an answer; we left; we stopped waiting."""


@dataclass(frozen=True)
class Ask:
    """A request.

    - ``due_s``: when it is to be sent, by ``time.monotonic``;
    - ``content``: its bytes;
    - ``tag``: which one it is, for the caller;
    - ``hang_up_s``: seconds after ``due_s`` at which the client leaves; None: it waits;
    - ``tries``: how often it was sent before.
    """

    due_s: float
    content: bytes
    tag: int = 0
    hang_up_s: float | None = None
    tries: int = 0


@dataclass(frozen=True)
class Got:
    """What became of a request.

    - ``status``: of the answer, or one of the constants above;
    - ``end_s``: when all of it was there, by ``time.monotonic``;
    - ``body``: of the answer;
    - ``retry_after_s``: what the server said, to the millisecond; None if nothing;
    - ``sent``: whether all bytes of the request were handed to the kernel.
    """

    ask: Ask
    status: int
    end_s: float
    body: bytes = b""
    retry_after_s: float | None = None
    sent: bool = True

    @property
    def latency_s(self) -> float:
        """Seconds from the moment it was due: a client that lags counts against the server."""
        return self.end_s - self.ask.due_s


Then = Callable[[Got], Ask | None]
"""Is told what became of a request; gives the next one, if there is one."""


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    ask: Ask | None = None
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    answer: bytearray = field(default_factory=bytearray)
    size: int = 0  # of the whole answer, once its head is there
    status: int = 0
    head_size: int = 0
    watched: bool = False  # for room to write


class Client:
    """Sends requests when they are due and reports what became of them.

    Args:
        address: host and port.
        then: called with every outcome.
    """

    def __init__(self, address: tuple[str, int], then: Then) -> None:
        self._address, self._then = address, then
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._due: list[tuple[float, int, Ask]] = []
        self._leaving: list[tuple[float, int, _Connection, Ask]] = []
        self._number = 0
        self.most_open = 0

    def run(self, asks: Iterable[Ask], stop_s: float) -> None:
        """Send requests until none is left, or until ``stop_s`` by ``time.monotonic``."""
        for ask in asks:
            self._push(ask)
        while True:
            now_s = time.monotonic()
            if now_s >= stop_s:
                break
            while self._due and self._due[0][0] <= now_s:
                self._send(heapq.heappop(self._due)[2])
            while self._leaving and self._leaving[0][0] <= now_s:
                _, _, left, ask = heapq.heappop(self._leaving)
                if left.ask is ask:
                    self._end(left, HUNG_UP)
            busy = len(self._open) - len(self._idle)
            if not self._due and not busy:
                break
            next_s = min([stop_s, *(heap[0][0] for heap in (self._due, self._leaving) if heap)])
            wait_s = min(_LONGEST_WAIT_S, max(0.0, next_s - time.monotonic()))
            for number, _ in self._poll.poll(wait_s):
                connection = self._open.get(number)
                if connection is not None:
                    self._go_on(connection)
        self._close()

    def _close(self) -> None:
        """Tell of what was not answered, and close all connections."""
        for connection in list(self._open.values()):
            if connection.ask is not None:
                self._then(Got(connection.ask, UNANSWERED, time.monotonic()))
            connection.socket.close()
        self._open.clear()
        self._poll.close()

    def _push(self, ask: Ask) -> None:
        self._number += 1
        heapq.heappush(self._due, (ask.due_s, self._number, ask))

    def _report(self, got: Got) -> None:
        following = self._then(got)
        if following is not None:
            self._push(following)

    def _send(self, ask: Ask) -> None:
        connection: _Connection | None = self._idle.pop() if self._idle else self._connect()
        if connection is None:
            self._report(Got(ask, REFUSED, time.monotonic(), sent=False))
            return
        connection.ask, connection.unsent = ask, memoryview(ask.content)
        connection.answer.clear()
        connection.size = connection.status = 0
        if ask.hang_up_s is not None:
            self._number += 1
            leaves_s = ask.due_s + ask.hang_up_s
            heapq.heappush(self._leaving, (leaves_s, self._number, connection, ask))
        self._write(connection)

    def _connect(self) -> _Connection | None:
        made = socket.socket()
        try:
            made.connect(self._address)  # to loopback it takes no time
        except OSError:
            made.close()
            return None
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(made)
        self._open[made.fileno()] = connection
        self.most_open = max(self.most_open, len(self._open))
        self._poll.register(made.fileno(), select.EPOLLIN)
        return connection

    def _write(self, connection: _Connection) -> None:
        try:
            while connection.unsent:
                sent = connection.socket.send(connection.unsent)
                connection.unsent = connection.unsent[sent:]
        except BlockingIOError:
            self._watch_writing(connection, True)
            return
        except OSError:
            # The server may have answered and closed before it read all: look at that first.
            connection.unsent = memoryview(b"")
            self._read(connection)
            return
        self._watch_writing(connection, False)

    def _watch_writing(self, connection: _Connection, on: bool) -> None:
        if connection.watched != on:
            connection.watched = on
            events = select.EPOLLIN | (select.EPOLLOUT if on else 0)
            self._poll.modify(connection.socket.fileno(), events)

    def _go_on(self, connection: _Connection) -> None:
        if connection.unsent:
            self._write(connection)
        if connection.socket.fileno() >= 0:
            self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            piece = connection.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._end(connection, CUT)
            return
        if connection.ask is None:  # an answer to nothing, as a time-out of an idle connection
            self._end(connection, CUT)
            return
        answer = connection.answer
        answer += piece
        if not connection.size:
            end = answer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(answer[: end + 2])
            length = _LENGTH.search(head)
            connection.status, connection.head_size = int(head[9:12]), end + 4
            connection.size = end + 4 + (int(length[1]) if length else 0)
        if len(answer) >= connection.size:
            self._answered(connection)

    def _answered(self, connection: _Connection) -> None:
        ask, answer = connection.ask, connection.answer
        assert ask is not None
        head = bytes(answer[: connection.head_size])
        retry = _RETRY.search(head)
        got = Got(
            ask,
            connection.status,
            time.monotonic(),
            bytes(answer[connection.head_size : connection.size]),
            int(retry[1]) / 1e3 if retry else None,
        )
        connection.ask = None
        if _CLOSES.search(head) or connection.unsent:
            self._drop(connection)
        else:
            self._idle.append(connection)
        self._report(got)

    def _end(self, connection: _Connection, status: int) -> None:
        ask, connection.ask = connection.ask, None
        sent = not connection.unsent
        self._drop(connection)
        if ask is not None:
            self._report(Got(ask, status, time.monotonic(), sent=sent))

    def _drop(self, connection: _Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        self._open.pop(connection.socket.fileno(), None)
        connection.socket.close()


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
