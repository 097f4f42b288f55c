"""What the server is and how it is: models, health, metrics."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from depthrt_serving.http.problems import retry_headers
from depthrt_serving.routes.route import http_route
from depthrt_serving.service.deployment import Deployment
from depthrt_serving.service.service import Service


async def models(request: Request, service: Service) -> Response:
    """The models that serve, the stable one first, and what their depth means."""
    found = [
        {**model_facts(deployment), "role": role, "share": share}
        for deployment, role, share in service.deployments.shares
    ]
    return JSONResponse({"models": found})


def model_facts(deployment: Deployment) -> dict[str, Any]:
    """What is said of a model, as a JSON object."""
    spec, served = deployment.spec, deployment.served
    return {
        "name": spec.name,
        "sha256": deployment.watched.sha256,
        "kind": spec.kind,
        "unit": spec.unit,
        "larger_is": spec.larger_is,
        "size": [spec.input.height, spec.input.width],
        "resize": spec.input.resize,
        "dynamic_size": deployment.model.dynamic_size,
        "precision": spec.precision,
        "outputs": list(spec.outputs),
        "licence": spec.licence,
        "provider": deployment.model.provider,
        "batch": served.batch,
        "parallel": deployment.model.parallel,
        "exact_in_batches": served.exact,
    }


async def live(request: Request, service: Service) -> Response:
    """The process answers."""
    return JSONResponse({"live": True})


async def ready(request: Request, service: Service) -> Response:
    """New requests are welcome; 503 while the server ends."""
    if service.draining:
        return JSONResponse({"ready": False, "reason": "ending"}, 503, retry_headers(1.0))
    return JSONResponse({"ready": True, "waiting_images": service.batcher.waiting})


async def metrics(request: Request, service: Service) -> Response:
    """The counters, for Prometheus."""
    return Response(service.metrics.text(), media_type=service.metrics.content_type)


ROUTES = [
    http_route("/v1/models", models),
    http_route("/health/live", live),
    http_route("/health/ready", ready),
    http_route("/metrics", metrics),
]
