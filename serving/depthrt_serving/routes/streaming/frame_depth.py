"""The depth of the frames of one connection: of the network, or by flow from a keyframe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.model.inference import Prediction
from depthrt.temporal.display_range import SceneCuts
from depthrt.temporal.keyframes import Estimate
from depthrt.temporal.stabiliser import Stabiliser
from depthrt_serving.batching.work import Computed, Prepare
from depthrt_serving.pictures.answers import codes_png, describe_depth, npy
from depthrt_serving.pictures.found_depth import depth_of
from depthrt_serving.pictures.sent import SentPicture, checked_file
from depthrt_serving.routes.streaming.behind import Behind
from depthrt_serving.routes.streaming.newest import SentFrame
from depthrt_serving.routes.streaming.wishes import StreamWishes
from depthrt_serving.service.deployment import Deployment
from depthrt_serving.service.service import Service

T = TypeVar("T")


@dataclass(eq=False)
class Steady:
    """What takes the flicker out of one connection's depth; it runs in a thread."""

    stabiliser: Stabiliser
    cuts: SceneCuts = field(default_factory=SceneCuts)

    def update(self, depth: Depth, prepared: NDArray[np.uint8]) -> bool:
        """Steady the map in place; whether a new scene begins with it."""
        cut = self.cuts.update(prepared)
        if cut:
            self.stabiliser.reset()
        self.stabiliser.update(depth.values, prepared, out=depth.values)
        return cut


class FrameDepths:
    """Gives the frames of one connection their depth, one after the other.

    Args:
        service: whose model it is.
        client: takes turns with others in the queue.
        wishes: how frames are answered.
    """

    def __init__(self, service: Service, client: str, wishes: StreamWishes) -> None:
        self._service, self._client, self._wishes = service, client, wishes
        self._role = service.deployments.draw()  # one model answers a whole connection
        self._answered_by = ""
        self._steady: Steady | None = None
        self._behind = None
        if wishes.keyframes is not None:
            self._behind = Behind(wishes.keyframes, self._infer_prepared, service.threads)
        self.interpolated = 0

    async def answer(self, frame: SentFrame) -> tuple[bytes, dict[str, Any]]:
        """The map of a frame as bytes, and what the header says of it.

        Raises:
            ProblemError, DepthrtError, RefusedError: there is none.
        """
        with self._service.lease(self._role) as deployment:
            if self._wishes.stabilise and deployment.label != self._answered_by:
                self._steady = Steady(Stabiliser.of(deployment.spec))
            self._answered_by = deployment.label
            return await self._answer(deployment, frame)

    async def _answer(
        self, deployment: Deployment, frame: SentFrame
    ) -> tuple[bytes, dict[str, Any]]:
        limits = self._service.limits
        picture = checked_file("the frame", frame.content, limits.pixels)
        prepare: Prepare = partial(picture.prepare, deployment.spec.input)
        if self._behind is not None and self._behind.is_there(frame.arrived_s):
            pixels, given = await self._in_thread(
                partial(self._carried, self._behind, prepare, frame)
            )
            if given is not None:
                self._behind.go_on(pixels, frame.arrived_s, given)
                self.interpolated += 1
                payload = partial(self._payload, deployment, picture, frame, pixels, given)
                content, facts = await self._in_thread(deployment.timed("answer", payload))
                return content, {**facts, "batch": 0}
            prepare = partial(_itself, pixels)
        computed = await self._compute(deployment, prepare, frame.arrived_s)
        (made,), (pixels,) = computed.predictions, computed.prepared
        depth = depth_of(deployment.model, picture, made)
        deployment.answered(
            computed, [depth], [picture], self._service.streams.admit(self._wishes.name)
        )
        given = Estimate(made, inferred=True)
        payload = partial(self._payload, deployment, picture, frame, pixels, given)
        content, facts = await self._in_thread(deployment.timed("answer", payload))
        return content, {**facts, "batch": computed.batch}

    async def close(self) -> None:
        """Let go of what waits for the network."""
        if self._behind is not None:
            await self._behind.close()

    async def _infer_prepared(self, pixels: NDArray[np.uint8]) -> Prediction:
        with self._service.lease(self._role) as deployment:
            computed = await self._compute(deployment, partial(_itself, pixels), time.monotonic())
            return computed.predictions[0]

    async def _compute(self, deployment: Deployment, prepare: Prepare, since_s: float) -> Computed:
        deadline_s = since_s + self._service.settings.queueing.deadline_s
        return await deployment.compute([prepare], self._client, deadline_s)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._service.threads, work)

    @staticmethod
    def _carried(
        behind: Behind, prepare: Prepare, frame: SentFrame
    ) -> tuple[NDArray[np.uint8], Estimate | None]:
        pixels = prepare()
        return pixels, behind.carry(pixels, frame.arrived_s)

    def _payload(
        self,
        deployment: Deployment,
        picture: SentPicture,
        frame: SentFrame,
        pixels: NDArray[np.uint8],
        given: Estimate,
    ) -> tuple[bytes, dict[str, Any]]:
        depth = depth_of(deployment.model, picture, given.made)
        facts: dict[str, Any] = {"format": self._wishes.form}
        if self._behind is not None:
            if given.inferred:
                self._behind.learn(pixels, frame.arrived_s, given.made)
            facts |= _of_keyframe(self._behind, given)
        depth = depth.copy()  # of one image of a batch that others have a part of
        if self._steady is not None:
            facts["scene_cut"] = self._steady.update(depth, pixels)
        facts |= describe_depth(depth)
        if self._wishes.form == "npy":
            return npy(depth.values_or_nan), facts
        content, codes = codes_png(deployment.spec, depth)
        return content, {**facts, "step": codes.step, "offset": codes.offset, "invalid": 0}


def _of_keyframe(behind: Behind, given: Estimate) -> dict[str, Any]:
    """Whether a frame was interpolated, how old its keyframe is, and how far off such depth was."""
    facts: dict[str, Any] = {
        "interpolated": not given.inferred,
        "keyframe_age_ms": round(1e3 * (given.age_s or 0.0), 2),
        "audit_error": behind.audit_error,
    }
    if behind.refused is not None:
        facts["keyframe_refused"] = str(behind.refused)
    return facts


def _itself(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return pixels
