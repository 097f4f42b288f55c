"""From settings to a server that answers."""

from __future__ import annotations

from collections.abc import Callable

from depthrt_serving.http.log import log
from depthrt_serving.server.server import address_of, check_tls, open_socket, run
from depthrt_serving.service.deployments import REFUSED
from depthrt_serving.service.served_model import ServedModel
from depthrt_serving.service.served_model import load as load_here
from depthrt_serving.service.service import Service, make_service
from depthrt_serving.service.tokens import Tokens
from depthrt_serving.settings import Settings

Tell = Callable[[str], None]
"""Called with a sentence for the user."""
Load = Callable[[Settings], ServedModel]
"""Loads the model that is served."""


def serve(settings: Settings, tell: Tell, load: Load = load_here) -> None:
    """Serve a model until a signal comes and all is answered.

    Raises:
        DepthrtError: a setting, the model or the address cannot be used.
    """
    check_tls(settings.tls_cert, settings.tls_key)
    with open_socket(settings) as listener:
        service = prepare_service(settings, tell, load)
        served = service.served
        address = address_of(listener, tls=settings.tls_cert is not None)

        def started() -> None:
            tell(
                f"{served.model.spec.name} on {served.model.provider}, {_images(served.batch)} per "
                f"inference, {served.model.parallel} at a time, is served at {address}"
                + (f", by gRPC at port {settings.grpc_port}" if settings.grpc_port else "")
            )

        run(service, listener, started)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def prepare_service(settings: Settings, tell: Tell, load: Load = load_here) -> Service:
    """All that a server needs but its socket.

    Raises:
        DepthrtError: a setting or the model cannot be used.
    """
    tokens = Tokens.read(settings.token_file)
    served = load(settings)
    if served.note:
        tell(served.note)
    if not (settings.is_local or tokens):
        tell(
            f"--host {settings.host} without --token-file: everybody who can reach this "
            "machine may use the server"
        )

    def note(sentence: str) -> None:
        tell(sentence)
        level = "warning" if sentence.startswith(REFUSED) else "info"
        log(level, "told", message=sentence)  # reloads and drift belong into the log, too

    return make_service(served, settings, tokens, note)
