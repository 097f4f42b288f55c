"""The depth of the frames of one connection by one model: of the network, or by optical flow."""

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
    """Gives frames their depth, one after the other.

    Args:
        service: whose threads and limits they are.
        deployment: the model; the caller has leased it.
        client: takes turns with others in the queue.
        wishes: how they are answered.
    """

    def __init__(
        self, service: Service, deployment: Deployment, client: str, wishes: StreamWishes
    ) -> None:
        self._service, self.deployment = service, deployment
        self._client, self._wishes = client, wishes
        self._steady = Steady(Stabiliser.of(deployment.spec)) if wishes.stabilise else None
        self._behind = None
        if wishes.keyframes is not None:
            self._behind = Behind(wishes.keyframes, service.threads)

    async def answer(self, frame: SentFrame, stream: str) -> tuple[bytes, dict[str, Any]]:
        """The map of a frame as bytes, and what the header says of it.

        Args:
            frame: a picture.
            stream: the name under which what the network gives is watched; empty: there is none.

        Raises:
            ProblemError, DepthrtError, RefusedError: there is none.
        """
        picture = checked_file("the frame", frame.content, self._service.limits.pixels)
        prepare: Prepare = partial(picture.prepare, self.deployment.spec.input)
        model, behind = self.deployment.model, self._behind
        if behind is not None and behind.is_there(frame.arrived_s):
            carried = partial(_carried, behind, prepare, frame)
            pixels, given = await self._in_thread(carried)
            if given is not None:
                infer = partial(self._infer_prepared, pixels, picture, stream)
                behind.go_on(pixels, frame.arrived_s, given, infer)
                depth = depth_of(model, picture, given.made)
                return await self._encoded(frame, pixels, given, depth, batch=0)
            prepare = partial(_itself, pixels)
        computed = await self._compute(prepare, frame.arrived_s)
        (made,), (pixels,) = computed.predictions, computed.prepared
        depth = depth_of(model, picture, made)
        self.deployment.answered(computed, [depth], [picture], stream)
        given = Estimate(made, inferred=True)
        return await self._encoded(frame, pixels, given, depth, batch=computed.batch)

    async def close(self) -> None:
        """Let go of what waits for the network."""
        if self._behind is not None:
            await self._behind.close()

    async def _infer_prepared(
        self, pixels: NDArray[np.uint8], picture: SentPicture, stream: str
    ) -> Prediction:
        """What the network gives for a frame that was answered already."""
        with self.deployment.lease() as deployment:
            computed = await self._compute(partial(_itself, pixels), time.monotonic())
            (made,) = computed.predictions
            depth = depth_of(deployment.model, picture, made)
            deployment.answered(computed, [depth], [picture], stream)
        return made

    async def _compute(self, prepare: Prepare, since_s: float) -> Computed:
        deadline_s = since_s + self._service.settings.queueing.deadline_s
        return await self.deployment.compute([prepare], self._client, deadline_s)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._service.threads, work)

    async def _encoded(
        self,
        frame: SentFrame,
        pixels: NDArray[np.uint8],
        given: Estimate,
        depth: Depth,
        *,
        batch: int,
    ) -> tuple[bytes, dict[str, Any]]:
        make = partial(self._payload, frame, pixels, given, depth)
        content, facts = await self._in_thread(self.deployment.timed("answer", make))
        return content, {**facts, "batch": batch}

    def _payload(
        self, frame: SentFrame, pixels: NDArray[np.uint8], given: Estimate, depth: Depth
    ) -> tuple[bytes, dict[str, Any]]:
        facts: dict[str, Any] = {"format": self._wishes.form, **describe_depth(depth)}
        if self._behind is not None:
            if given.inferred:
                self._behind.learn(pixels, frame.arrived_s, given.made)
            facts |= _of_keyframe(self._behind, given)
        if self._steady is not None:
            depth = depth.copy()  # others have a part of the same batch
            facts["scene_cut"] = self._steady.update(depth, pixels)
        if self._wishes.form == "npy":
            return npy(depth.values_or_nan), facts
        content, codes = codes_png(self.deployment.spec, depth)
        return content, {**facts, "step": codes.step, "offset": codes.offset, "invalid": 0}


def _carried(
    behind: Behind, prepare: Prepare, frame: SentFrame
) -> tuple[NDArray[np.uint8], Estimate | None]:
    pixels = prepare()
    return pixels, behind.carry(pixels, frame.arrived_s)


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
