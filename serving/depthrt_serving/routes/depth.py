"""`POST /v1/depth`: depth of the pictures of a request."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from depthrt.files.json_file import short
from depthrt.render.colormap import COLORMAPS
from depthrt_serving.http.body import held, read_body
from depthrt_serving.http.gone import unless_gone
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.pictures.accept import Form, wanted_form
from depthrt_serving.pictures.answers import Answer, Wishes, answer
from depthrt_serving.pictures.found_depth import depth_of
from depthrt_serving.pictures.measures import read_places
from depthrt_serving.pictures.sent import SentPicture, sent_pictures
from depthrt_serving.routes.route import http_route, passage_of, require_known
from depthrt_serving.service.deployment import Deployment
from depthrt_serving.service.service import Service

if TYPE_CHECKING:
    from depthrt.depth import Depth
    from depthrt_serving.batching.work import Computed

DEADLINE, MODEL = "depthrt-deadline-ms", "depthrt-model"
_LONGEST_MS = 600_000
_PARAMETERS = ("at", "box", "view", "colormap", "size", "output", "width", "height")


async def depth(request: Request, service: Service) -> Response:
    """Depth of one picture, or of several."""
    passage = passage_of(request)
    wishes = _wishes(request, service)
    deadline_s = passage.start_s + allowed_s(request, service)
    with service.lease() as deployment, held(request, service):
        deployment.batcher.check(1, passage.client, deadline_s)  # before the body is read
        body = await read_body(request, service)
        kind = request.headers.get("content-type", "")
        pictures, several = sent_pictures(kind, body, request.query_params, service.limits.pixels)
        del body
        work = _answered(
            service, deployment, pictures, passage.client, deadline_s, wishes, several=several
        )
        found, computed = await unless_gone(request.receive, work)
    passage.facts.update(
        model=deployment.label,
        images=len(pictures),
        batch=computed.batch,
        queue_ms=round(1e3 * computed.queue_s, 2),
        compute_ms=round(1e3 * computed.compute_s, 2),
    )
    headers = {
        **found.headers,
        **timing_headers(computed),
        MODEL: deployment.label,
        "cache-control": "no-store",
    }
    return Response(found.content, media_type=found.media, headers=headers)


def allowed_s(request: Request, service: Service) -> float:
    """Seconds within which the answer is worth something, by the request's header or the server's.

    Raises:
        ProblemError: the header is no number of milliseconds above 0.
    """
    text = request.headers.get(DEADLINE)
    if text is None:
        return service.settings.queueing.deadline_s
    try:
        value_ms = float(text)
    except ValueError:
        value_ms = math.nan
    if not 0 < value_ms <= _LONGEST_MS:
        raise ProblemError(
            400, f"{DEADLINE} is no number of milliseconds above 0, to {_LONGEST_MS}"
        )
    return value_ms / 1e3


def timing_headers(computed: Computed) -> dict[str, str]:
    """How long a request waited and was computed, and in how large a batch."""
    queue_ms, compute_ms = 1e3 * computed.queue_s, 1e3 * computed.compute_s
    return {
        "server-timing": f"queue;dur={queue_ms:.1f}, compute;dur={compute_ms:.1f}",
        "depthrt-batch": str(computed.batch),
    }


async def _answered(
    service: Service,
    deployment: Deployment,
    pictures: list[SentPicture],
    client: str,
    deadline_s: float,
    wishes: Wishes,
    *,
    several: bool,
) -> tuple[Answer, Computed]:
    spec = deployment.spec
    prepares = [partial(picture.prepare, spec.input) for picture in pictures]
    computed = await deployment.compute(prepares, client, deadline_s)
    depths: list[Depth] = [
        depth_of(deployment.model, picture, found)
        for found, picture in zip(computed.predictions, pictures, strict=True)
    ]
    deployment.answered(computed, depths, pictures)
    make = deployment.timed("answer", partial(answer, spec, depths, wishes, several=several))
    if wishes.form is Form.NPY and wishes.size == "network":  # a copy: faster than a thread
        return make(), computed
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(service.threads, make), computed


def _wishes(request: Request, service: Service) -> Wishes:
    query = request.query_params
    require_known(query, _PARAMETERS)
    places = read_places(query.getlist("at"), query.getlist("box"))
    form = wanted_form(request.headers.get("accept", ""), query.get("view"), measures=bool(places))
    size, colormap = query.get("size", "network"), query.get("colormap", "inferno")
    if size not in ("network", "source"):
        raise ProblemError(400, "size is neither network nor source")
    if colormap not in COLORMAPS:
        raise ProblemError(400, f"colormap is none of {', '.join(COLORMAPS)}")
    output, outputs = query.get("output", "depth"), ("depth", *service.spec.outputs)
    if output not in outputs:
        raise ProblemError(
            400, f"the model gives no {short(output)}: output is one of {', '.join(outputs)}"
        )
    if output != "depth" and form is not Form.NPY:
        raise ProblemError(406, f"output={output} is answered in {Form.NPY.media}")
    return Wishes(form, "source" if size == "source" else "network", colormap, places, output)


ROUTES = [http_route("/v1/depth", depth, ("POST",))]
