"""The application: the routes of every group behind the gate."""

from __future__ import annotations

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from depthrt_serving.http.gate import Gate
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.routes import clips, depth, oip, openapi, page, state, stream
from depthrt_serving.service.service import Service


def make_app(service: Service) -> ASGIApp:
    """The ASGI application of a service."""
    groups = (depth, stream, clips, oip, state, openapi, page)
    routes = [route for group in groups for route in group.ROUTES]
    return Gate(Router(routes, redirect_slashes=False, default=_nowhere), service)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    raise ProblemError(404, "there is nothing at this address: see /docs")
