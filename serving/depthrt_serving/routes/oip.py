"""`/v2`: the Open Inference Protocol, for clients of Triton and KServe."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from depthrt_serving.http.body import held, read_body
from depthrt_serving.http.gone import unless_gone
from depthrt_serving.http.problems import ProblemError, retry_headers
from depthrt_serving.oip.computing import check_model, compute_outputs
from depthrt_serving.oip.inference import answer, takes_any_size
from depthrt_serving.oip.messages import (
    HEAD_LENGTH,
    NO_SHARED_MEMORY,
    MessageError,
    head_length,
    read_request,
)
from depthrt_serving.oip.metadata import VERSION, model_config, model_metadata, server_metadata
from depthrt_serving.routes.depth import MODEL, allowed_s, timing_headers
from depthrt_serving.routes.route import Handler, http_route, passage_of
from depthrt_serving.service.deployment import Deployment
from depthrt_serving.service.service import Service

if TYPE_CHECKING:
    from depthrt_serving.batching.work import Computed

_AT_ONCE_BYTES = 1 << 16  # of JSON that is read or written without a thread
_JSON, _BINARY = "application/json", "application/octet-stream"


async def server(request: Request, service: Service) -> Response:
    """Name, version and extensions of the server."""
    return _json(server_metadata())


async def live(request: Request, service: Service) -> Response:
    """The process answers."""
    return _json({"live": True})


async def ready(request: Request, service: Service) -> Response:
    """New requests are welcome; 503 while the server ends."""
    _refuse_while_draining(service)
    return _json({"live": True, "ready": True})  # the protocol's text has one, clients the other


async def model(request: Request, service: Service) -> Response:
    """Inputs and outputs of the model."""
    _check_model(request, service)
    return _json(model_metadata(service.spec, dynamic_size=takes_any_size(service.model)))


async def config(request: Request, service: Service) -> Response:
    """The model in the form of Triton's configuration: its parameter ``depthrt`` is the spec."""
    _check_model(request, service)
    dynamic, batch = takes_any_size(service.model), service.served.batch
    return _json(model_config(service.spec, dynamic_size=dynamic, batch=batch))


async def model_ready(request: Request, service: Service) -> Response:
    """The model takes requests; 503 while the server ends."""
    _check_model(request, service)
    _refuse_while_draining(service)
    return _json({"name": service.spec.name, "ready": True})


async def infer(request: Request, service: Service) -> Response:
    """Depth of the images of a request."""
    _check_model(request, service)
    if request.method != "POST":
        raise ProblemError(405, "inference is asked for by POST", headers={"allow": "POST"})
    passage = passage_of(request)
    deadline_s = passage.start_s + allowed_s(request, service)
    try:
        with service.lease() as deployment, held(request, service):
            deployment.batcher.check(1, passage.client, deadline_s)  # before the body is read
            body = await read_body(request, service)
            work = _answered(request, service, deployment, body, deadline_s)
            del body
            (content, json_bytes), computed = await unless_gone(request.receive, work)
    except MessageError as error:
        raise ProblemError(400, str(error)) from error
    passage.facts.update(
        model=deployment.label,
        images=len(computed.predictions),
        batch=computed.batch,
        queue_ms=round(1e3 * computed.queue_s, 2),
        compute_ms=round(1e3 * computed.compute_s, 2),
    )
    headers = {
        **timing_headers(computed),
        MODEL: deployment.label,
        "cache-control": "no-store",
    }
    if json_bytes is not None:
        headers[HEAD_LENGTH] = str(json_bytes)
    media = _JSON if json_bytes is None else _BINARY
    return Response(content, media_type=media, headers=headers)


async def shared_memory(request: Request, service: Service) -> Response:
    """There is none."""
    raise ProblemError(400, NO_SHARED_MEMORY, "no_shared_memory")


async def _answered(
    request: Request,
    service: Service,
    deployment: Deployment,
    body: bytes,
    deadline_s: float,
) -> tuple[tuple[bytes, int | None], Computed]:
    """The body of the answer, and what it was made of."""
    passage, loop = passage_of(request), asyncio.get_running_loop()
    taken = deployment.spec.input
    length = head_length(request.headers.get(HEAD_LENGTH), body, 3 * taken.height * taken.width)
    if length <= _AT_ONCE_BYTES:
        message = read_request(body, length)
    else:
        message = await loop.run_in_executor(service.threads, read_request, body, length)
    del body
    outputs = await compute_outputs(
        service, deployment, message, passage.client, passage.start_s, deadline_s
    )

    def make() -> tuple[bytes, int | None]:
        return answer(message, deployment.spec, outputs.make(), outputs.wanted)

    if all(output.binary for output in outputs.wanted):  # copies: faster than a thread
        return make(), outputs.computed
    return await loop.run_in_executor(service.threads, make), outputs.computed


def _check_model(request: Request, service: Service) -> None:
    """Refuse names and versions that are not served.

    Raises:
        ProblemError: 404.
    """
    given = request.path_params
    check_model(given["name"], given.get("version", VERSION), service.spec)


def _refuse_while_draining(service: Service) -> None:
    if service.draining:
        raise ProblemError(503, "the server is ending", "ending", retry_headers(1.0))


def _json(content: Mapping[str, Any]) -> Response:
    return Response(json.dumps(content), media_type=_JSON)


def _of_model(end: str, handler: Handler, *methods: str) -> list[Route]:
    """Routes of the model, with a version and without; a name may hold slashes."""
    return [
        http_route(f"/v2/models/{{name:path}}/versions/{{version}}{end}", handler, methods),
        http_route(f"/v2/models/{{name:path}}{end}", handler, methods),
    ]


ROUTES = [
    http_route("/v2", server),
    http_route("/v2/health/live", live),
    http_route("/v2/health/ready", ready),
    http_route("/v2/systemsharedmemory/{rest:path}", shared_memory, ("GET", "POST")),
    http_route("/v2/cudasharedmemory/{rest:path}", shared_memory, ("GET", "POST")),
    *_of_model("/infer", infer, "GET", "POST"),
    *_of_model("/ready", model_ready, "GET"),
    *_of_model("/config", config, "GET"),
    *_of_model("", model, "GET"),
]
