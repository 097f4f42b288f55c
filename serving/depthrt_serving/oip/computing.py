"""A request of the protocol from its message to its outputs, however it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.files.json_file import short
from depthrt.spec import ModelSpec
from depthrt_serving.batching.work import Computed
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.oip.inference import (
    SentImages,
    computed_arrays,
    images_of,
    wanted_outputs,
)
from depthrt_serving.oip.messages import InferRequest, WantedOutput
from depthrt_serving.oip.metadata import VERSION
from depthrt_serving.service.deployment import Deployment
from depthrt_serving.service.service import Service


@dataclass(frozen=True, eq=False)
class Outputs:
    """What became of a request.

    - ``wanted``: the outputs that it asks for;
    - ``make``: gives all outputs by name, with the axis N; it may take a while.
    """

    computed: Computed
    wanted: list[WantedOutput]
    make: Callable[[], dict[str, NDArray[Any]]]


async def compute_outputs(
    service: Service,
    deployment: Deployment,
    message: InferRequest,
    client: str,
    start_s: float,
    deadline_s: float,
) -> Outputs:
    """Have the images of a request computed.

    Args:
        service: whose threads and limits they are.
        deployment: the model; the caller has leased it.
        message: the request.
        client: takes turns with others in the queue.
        start_s, deadline_s: when it came, and by when it is worth something, by ``time.monotonic``.

    Raises:
        MessageError: it asks for what there is not.
        ProblemError, DepthrtError, RefusedError: there is no answer.
    """
    wanted, loop = wanted_outputs(message, deployment.spec), asyncio.get_running_loop()
    images = await loop.run_in_executor(
        service.threads, images_of, message, deployment.model, service.limits.pixels
    )
    if message.timeout_s is not None:
        deadline_s = min(deadline_s, start_s + message.timeout_s)
    try:
        computed = await deployment.compute(images.prepares, client, deadline_s)
    except InferenceError as error:
        if images.odd_size is None:
            raise
        height, width = images.odd_size
        raise ProblemError(422, f"the model fails on images of {height}x{width}") from error
    _watch(deployment, computed, images)

    def make() -> dict[str, NDArray[Any]]:
        return computed_arrays(deployment.model, computed, images.pictures)

    return Outputs(computed, wanted, deployment.timed("answer", make))


def check_model(name: str, version: str, spec: ModelSpec) -> None:
    """Refuse names and versions that are not served.

    Raises:
        ProblemError: 404.
    """
    served = spec.name
    if name.startswith(f"{served}/"):
        raise ProblemError(404, f"the model has no {short(name.removeprefix(served))}")
    if name != served:
        raise ProblemError(404, f"there is no model {short(name)}: this server has {short(served)}")
    if version not in ("", VERSION):
        raise ProblemError(404, f"there is no version {short(version)} of it: {VERSION} is the one")


def _watch(deployment: Deployment, computed: Computed, images: SentImages) -> None:
    sizes = [each.size for each in images.pictures or ()] or [
        (each.shape[1], each.shape[2]) for each in computed.prepared
    ]
    depths = [
        deployment.model.depth(found.depth, size, found.optional)
        for found, size in zip(computed.predictions, sizes, strict=True)
    ]
    deployment.answered(computed, depths, images.pictures or ())
