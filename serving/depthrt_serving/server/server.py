"""The web server: its socket, its signals, and how it ends without losing a request.

The first SIGTERM or Ctrl-C: connections that wait in the socket are taken, the socket is closed,
every answer says ``Connection: close``, and the server ends when all is answered. The second one
ends it at once. SIGHUP looks at the model files again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from depthrt.errors import EXIT_INTERRUPTED, TargetError, UsageError
from depthrt_serving.http.log import JsonHandler, log
from depthrt_serving.server.app import make_app
from depthrt_serving.server.connections import limited_protocol
from depthrt_serving.service.service import Service
from depthrt_serving.settings import Settings

if TYPE_CHECKING:
    from depthrt_serving.oip.rpc.server import RpcServer

_BACKLOG = 1024
_LAST_REQUESTS_S = 0.5  # for which open connections may send another request while it ends
_KEEP_ALIVE_S = 30
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def open_socket(settings: Settings) -> socket.socket:
    """The socket that is listened at.

    Raises:
        TargetError: the address is taken, or is none of this machine.
    """
    host, port = settings.host.strip("[]"), settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise TargetError(f"cannot listen at {host} port {port} ({reason})") from error
    except UnicodeError as error:
        raise UsageError(f"--host {host} is no host") from error
    return listener


def address_of(listener: socket.socket, *, tls: bool) -> str:
    """The URL of a socket."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def check_tls(cert: Path | None, key: Path | None) -> None:
    """Make sure that certificate and key can be used.

    Raises:
        UsageError: one without the other, or they cannot be read or do not fit.
    """
    import ssl

    if cert is None and key is None:
        return
    if cert is None or key is None:
        raise UsageError("--tls-cert and --tls-key belong together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    def no_password() -> str:
        raise UsageError(f"the key {key} has a password: give one without")

    try:
        context.load_cert_chain(cert, key, no_password)
    except OSError as error:  # ssl.SSLError, too
        reason = error.strerror or str(error)
        raise UsageError(f"{cert} and {key} are no TLS certificate and key ({reason})") from error


class Server(uvicorn.Server):
    """uvicorn's server, which ends as said above.

    Args:
        service: what it serves.
        on_start: called when it answers.
    """

    def __init__(self, service: Service, on_start: Callable[[], None] = lambda: None) -> None:
        settings, limits = service.settings, service.limits
        self._service, self._on_start = service, on_start
        self.rpc = None if settings.grpc_port is None else _rpc_server(service)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reload: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            make_app(service),
            http=limited_protocol(limits),
            ws="websockets-sansio",
            ws_max_size=limits.body_bytes,
            ws_max_queue=2,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        if self.rpc is not None:
            await self.rpc.start()
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what has come, then end."""
        self._service.draining = True
        await self._stop_listening(sockets or [])
        if not self.force_exit:
            await asyncio.sleep(_LAST_REQUESTS_S)
        if self.rpc is not None:
            await self.rpc.stop(at_once=self.force_exit)
        await super().shutdown(sockets)
        self._service.close()

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Take the connections that wait, and close the sockets.

        The kernel resets what waits in a socket that is closed. So the last look is at a copy, and
        nothing happens between that and its end.
        """
        copies = [each.dup() for each in sockets]
        for server in self.servers:
            server.close()
        for each in sockets:
            each.close()
        await asyncio.sleep(0)  # the event loop's own ends are closed
        taken = [connection for copy in copies for connection in _taken_of(copy)]
        loop = asyncio.get_running_loop()
        made = [
            loop.connect_accepted_socket(self._protocol, connection, ssl=self.config.ssl)
            for connection in taken
        ]
        await asyncio.gather(*made, return_exceptions=True)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by :func:`run` alone."""
        yield

    def end(self) -> None:
        """End when all is answered."""
        self._service.draining = True
        self.should_exit = True

    def reload(self) -> None:
        """Look at the model files again, soon; from any thread, or a signal's handler."""
        if self._loop is not None and not self._service.draining:
            self._loop.call_soon_threadsafe(self._begin_reload)

    def _begin_reload(self) -> None:
        self._reload = asyncio.get_running_loop().create_task(self._service.deployments.reload())


def _taken_of(listener: socket.socket) -> list[socket.socket]:
    """The connections that wait; the socket is closed."""
    taken = []
    with listener, suppress(OSError):  # none waits
        listener.setblocking(False)
        while True:
            taken.append(listener.accept()[0])
    return taken


def _rpc_server(service: Service) -> RpcServer:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is said in a sentence
    from depthrt_serving.oip.rpc.server import RpcServer  # needs the extra grpc

    return RpcServer(service)


def run(service: Service, listener: socket.socket, on_start: Callable[[], None]) -> None:
    """Serve until a signal comes and all is answered; a second signal ends the process."""
    logger = logging.getLogger("uvicorn")
    logger.handlers, logger.propagate = [JsonHandler(logging.WARNING)], False
    logger.setLevel(logging.WARNING)
    server = Server(service, on_start)

    def handle(number: int, frame: object) -> None:
        at_once = server.should_exit
        server.end()  # before the log: another signal may come meanwhile
        log("info", "ending", signal=signal.Signals(number).name, at_once=at_once)
        if at_once:
            service.close()
            os._exit(EXIT_INTERRUPTED)  # Python would wait for the inferences under way

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: server.reload())
    try:
        server.run([listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
