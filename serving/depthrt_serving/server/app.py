"""The application: the routes of every group behind the gate."""

from __future__ import annotations

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from depthrt_serving.http.gate import Gate
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.routes import depth, oip, page, state, stream
from depthrt_serving.service.service import Service


def make_app(service: Service) -> ASGIApp:
    """The ASGI application of a service."""
    routes = [*depth.ROUTES, *stream.ROUTES, *oip.ROUTES, *state.ROUTES, *page.ROUTES]
    return Gate(Router(routes, redirect_slashes=False, default=_nowhere), service)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    raise ProblemError(404, "there is nothing at this address: see /docs")
