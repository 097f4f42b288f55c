"""The methods of the protocol over gRPC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from depthrt_serving.http.body import held_bytes
from depthrt_serving.http.gate import Passage
from depthrt_serving.http.problems import ProblemError, retry_headers
from depthrt_serving.oip.computing import check_model, compute_outputs
from depthrt_serving.oip.inference import takes_any_size
from depthrt_serving.oip.messages import MessageError
from depthrt_serving.oip.metadata import model_metadata, server_metadata
from depthrt_serving.oip.rpc.protocol import messages
from depthrt_serving.oip.rpc.requests import answer_message, read_message
from depthrt_serving.service.service import Service

Call = Callable[[Any, Passage, float], Awaitable[Any]]
"""Answers a message of a passage, which is worth something until a time (``time.monotonic``)."""


class Calls:
    """The methods, by name; each takes and gives messages of :func:`messages`.

    Args:
        service: what they are about.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._messages = service, messages()
        self.methods: dict[str, Call] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server,
            "ModelMetadata": self._model,
            "ModelInfer": self._infer,
        }

    async def _live(self, message: Any, passage: Passage, deadline_s: float) -> Any:
        return self._messages["ServerLiveResponse"](live=True)

    async def _ready(self, message: Any, passage: Passage, deadline_s: float) -> Any:
        return self._messages["ServerReadyResponse"](ready=not self._service.draining)

    async def _model_ready(self, message: Any, passage: Passage, deadline_s: float) -> Any:
        check_model(message.name, message.version, self._service.spec)
        return self._messages["ModelReadyResponse"](ready=not self._service.draining)

    async def _server(self, message: Any, passage: Passage, deadline_s: float) -> Any:
        about = {**server_metadata(), "extensions": []}  # binary tensors are no extension here
        return self._messages["ServerMetadataResponse"](**about)

    async def _model(self, message: Any, passage: Passage, deadline_s: float) -> Any:
        service = self._service
        check_model(message.name, message.version, service.spec)
        about = model_metadata(service.spec, dynamic_size=takes_any_size(service.model))
        return self._messages["ModelMetadataResponse"](
            name=about["name"],
            versions=about["versions"],
            platform=about["platform"],
            inputs=about["inputs"],
            outputs=about["outputs"],
            properties=about["parameters"],
        )

    async def _infer(self, message: Any, passage: Passage, deadline_s: float) -> Any:
        service = self._service
        if service.draining:
            raise ProblemError(503, "the server is ending", "ending", retry_headers(1.0))
        check_model(message.model_name, message.model_version, service.spec)
        with service.lease() as deployment, held_bytes(service, message.ByteSize()):
            deployment.batcher.check(1, passage.client, deadline_s)
            try:
                request = read_message(message)
                outputs = await compute_outputs(
                    service, deployment, request, passage.client, passage.start_s, deadline_s
                )
                loop = asyncio.get_running_loop()
                arrays = await loop.run_in_executor(service.threads, outputs.make)
                answer = answer_message(request, deployment.spec, arrays, outputs.wanted)
            except MessageError as error:
                raise ProblemError(400, str(error)) from error
        computed = outputs.computed
        passage.facts.update(
            model=deployment.label,
            images=len(computed.predictions),
            batch=computed.batch,
            queue_ms=round(1e3 * computed.queue_s, 2),
            compute_ms=round(1e3 * computed.compute_s, 2),
        )
        return answer


def deadline_of(service: Service, left_s: float | None) -> float:
    """By when an answer is worth something: the client's deadline, or that of the server."""
    own_s = service.settings.queueing.deadline_s
    return time.monotonic() + (own_s if left_s is None else left_s)
