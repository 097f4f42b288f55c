"""Routes whose pattern the metrics know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from depthrt.files.json_file import short
from depthrt_serving.http.gate import Passage
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.service.service import Service

Handler = Callable[[Request, Service], Awaitable[Response]]


def http_route(path: str, handler: Handler, methods: Sequence[str] = ("GET",)) -> Route:
    """A route that hands its handler the request and the service."""

    async def endpoint(request: Request) -> Response:
        request.state.route = path
        return await handler(request, cast(Service, request.state.service))

    return Route(path, endpoint, methods=list(methods))


def require_known(query: Mapping[str, str], names: Sequence[str]) -> None:
    """Refuse a query with a parameter of another name: nobody would see that it did nothing.

    Raises:
        ProblemError: there is one.
    """
    for name in query:
        if name not in names:
            raise ProblemError(400, f"there is no parameter {short(name)} here: {', '.join(names)}")


def passage_of(request: Request) -> Passage:
    """What the gate knows of a request."""
    return cast(Passage, request.state.passage)
