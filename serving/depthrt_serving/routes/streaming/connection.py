"""The frames of one connection, whichever model answers them."""

from __future__ import annotations

import time
from typing import Any

from depthrt_serving.http.body import hold
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.monitoring.stream_names import UNNAMED
from depthrt_serving.routes.streaming.frame_depth import FrameDepths
from depthrt_serving.routes.streaming.newest import Newest, SentFrame
from depthrt_serving.routes.streaming.wishes import StreamWishes
from depthrt_serving.service.deployment import Deployment
from depthrt_serving.service.service import Service


class Connection:
    """Frames in, depth out.

    A model that is replaced meanwhile answers the frame it has begun, and the new one the next:
    that knows no past, and no keyframe.

    Args:
        service: of the server.
        client: takes turns with others in the queue.
        wishes: how frames are answered.
    """

    def __init__(self, service: Service, client: str, wishes: StreamWishes) -> None:
        self._service, self._wishes = service, wishes
        self._role = service.deployments.draw()  # one model for all frames: no flicker
        self._client = client
        self._depths: FrameDepths | None = None
        self._newest = Newest()
        self._interpolated = 0

    @property
    def facts(self) -> dict[str, Any]:
        """What the log says of it."""
        found: dict[str, Any] = {"frames": self._newest.received, "dropped": self._newest.dropped}
        if self._depths is not None:
            found["model"] = self._depths.deployment.label
        if self._interpolated:
            found["interpolated"] = self._interpolated
        return found

    @property
    def _name(self) -> str:
        """The name by which it is counted and watched; empty: none, or there are too many."""
        return self._service.streams.admit(self._wishes.name)

    @property
    def dropped(self) -> int:
        """Frames whose place a newer one took."""
        return self._newest.dropped

    def put(self, content: bytes) -> tuple[int, ProblemError] | None:
        """Keep a frame in the place of one that waits.

        Returns:
            The number of a frame that the server has no memory for, and what is said of it.
        """
        try:
            hold(self._service, len(content))
        except ProblemError as problem:
            return self._newest.refuse(), problem
        replaced = self._newest.put(content)
        if replaced is not None:
            self._let_go(replaced)
            self._service.metrics.dropped_frames.labels(self._name or UNNAMED).inc()
        return None

    async def take(self) -> SentFrame:
        """The frame that waits, once there is one."""
        return await self._newest.take()

    async def answer(self, frame: SentFrame) -> tuple[bytes, dict[str, Any]]:
        """The map of a frame as bytes, and what the header says of it.

        Raises:
            ProblemError, DepthrtError, RefusedError: there is none.
        """
        try:
            with self._service.lease(self._role) as deployment:
                depths = await self._depths_of(deployment)
                content, facts = await depths.answer(frame, self._name)
        finally:
            self._let_go(frame)
        self._interpolated += facts.get("interpolated", False)
        return content, facts

    def done(self, frame: SentFrame) -> float:
        """Count a frame that is answered; the seconds since it came."""
        latency_s = time.monotonic() - frame.arrived_s
        metrics, name = self._service.metrics, self._name or UNNAMED
        metrics.frames.labels(name).inc()
        metrics.frame_latency_s.labels(name).observe(latency_s)
        return latency_s

    async def close(self) -> None:
        """Let go of what waits."""
        waiting = self._newest.clear()
        if waiting is not None:
            self._let_go(waiting)
        if self._depths is not None:
            await self._depths.close()

    async def _depths_of(self, deployment: Deployment) -> FrameDepths:
        if self._depths is None or self._depths.deployment is not deployment:
            if self._depths is not None:
                await self._depths.close()
            self._depths = FrameDepths(self._service, deployment, self._client, self._wishes)
        return self._depths

    def _let_go(self, frame: SentFrame) -> None:
        self._service.held_bytes -= len(frame.content)
