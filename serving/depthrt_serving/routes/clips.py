"""`/v1/clips`: a video is sent, its depth computed without the client, and fetched later."""

from __future__ import annotations

import asyncio
from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from depthrt.render.colormap import COLORMAPS
from depthrt.render.views import View
from depthrt_serving.clips.clip_job import ClipJob, ClipWishes, Format
from depthrt_serving.clips.clip_store import NoSpaceError
from depthrt_serving.clips.containers import CONTAINERS, HEAD_BYTES, suffix_of
from depthrt_serving.http.body import arriving, declared_bytes
from depthrt_serving.http.problems import ProblemError, retry_headers
from depthrt_serving.routes.route import http_route, require_known
from depthrt_serving.service.service import Service

PATH = "/v1/clips"
_WRITE_BYTES = 1 << 20
_MEDIA = {"mp4": "video/mp4", "mkv": "video/x-matroska", "npz": "application/octet-stream"}


async def send(request: Request, service: Service) -> Response:
    """Take a video and start its job."""
    store, wishes = service.clips, _wishes(request)
    try:
        store.check_space(declared_bytes(request) or 0)
        job = store.reserve(wishes)
    except NoSpaceError as error:
        raise _no_space(error) from error
    try:
        await _receive(request, service, job)
    except BaseException:
        store.remove(job)
        raise
    headers = {"location": f"{PATH}/{job.id}"}
    return JSONResponse(_facts(job, service), 202, headers)


async def listed(request: Request, service: Service) -> Response:
    """All jobs that are kept."""
    return JSONResponse({"clips": [_facts(job, service) for job in service.clips.jobs()]})


async def progress(request: Request, service: Service) -> Response:
    """How far a job is."""
    return JSONResponse(_facts(_job(request, service), service))


async def result(request: Request, service: Service) -> Response:
    """The depth of a clip that is done."""
    job = _job(request, service)
    if job.state != "done":
        reason = job.error or f"the job is {job.state}: {job.frames} frames are done"
        raise ProblemError(409, reason)
    return FileResponse(job.result, media_type=_MEDIA[job.wishes.form], filename=job.result.name)


async def remove(request: Request, service: Service) -> Response:
    """End a job and remove all of it."""
    job = _job(request, service)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(service.threads, service.clips.remove, job)
    return Response(status_code=204)


async def _receive(request: Request, service: Service, job: ClipJob) -> None:
    """Write a video to the disk as it comes, and hand the job over."""
    store, limits = service.clips, service.limits
    loop, waiting, source = asyncio.get_running_loop(), bytearray(), None
    path = job.folder / "clip"
    with path.open("wb") as file:
        async for chunk in arriving(request, limits, limits.clip_bytes):
            waiting += chunk
            if source is None and len(waiting) >= HEAD_BYTES:
                source = path.with_suffix(_suffix(bytes(waiting[:HEAD_BYTES])))
            if len(waiting) >= _WRITE_BYTES:
                await loop.run_in_executor(service.threads, file.write, bytes(waiting))
                waiting.clear()
                try:
                    store.check_space(0)
                except NoSpaceError as error:
                    raise _no_space(error) from error
        file.write(waiting)
    if source is None:
        raise ProblemError(415, f"the clip is none of {CONTAINERS}")
    store.run(job, path.rename(source))


def _suffix(head: bytes) -> str:
    found = suffix_of(head)
    if found is None:
        raise ProblemError(415, f"the clip is none of {CONTAINERS}", closes=True)
    return found


def _job(request: Request, service: Service) -> ClipJob:
    job = service.clips.get(request.path_params["id"])
    if job is None:
        raise ProblemError(404, "there is no such clip, or no more")
    return job


def _facts(job: ClipJob, service: Service) -> dict[str, object]:
    return job.as_dict(service.limits.clip_kept_s)


def _no_space(error: NoSpaceError) -> ProblemError:
    return ProblemError(
        503, str(error), "no_space", headers=retry_headers(error.retry_after_s), closes=True
    )


def _wishes(request: Request) -> ClipWishes:
    query = request.query_params
    require_known(query, ("format", "view", "colormap", "stabilise"))
    stabilise = _one_of(query.get("stabilise"), "stabilise", ("0", "1"))
    return ClipWishes(
        cast(Format, _one_of(query.get("format"), "format", get_args(Format)) or "mp4"),
        cast(View, _one_of(query.get("view"), "view", get_args(View)) or "depth"),
        _one_of(query.get("colormap"), "colormap", tuple(COLORMAPS)) or "inferno",
        None if stabilise is None else stabilise == "1",
    )


def _one_of(value: str | None, name: str, allowed: tuple[str, ...]) -> str | None:
    if value is not None and value not in allowed:
        raise ProblemError(400, f"{name} is none of {', '.join(allowed)}")
    return value


ROUTES = [
    http_route(PATH, send, ("POST",)),
    http_route(PATH, listed),
    http_route(f"{PATH}/{{id}}", progress),
    http_route(f"{PATH}/{{id}}", remove, ("DELETE",)),
    http_route(f"{PATH}/{{id}}/result", result),
]
