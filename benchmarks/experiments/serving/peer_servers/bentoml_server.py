"""BentoML: a service that decodes and prepares, before one of two workers that batches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import ContentType

from experiments.serving.peer_servers.model import BATCH, WORKERS, Depth


@bentoml.service(workers=WORKERS, traffic={"timeout": 10})
class Network:
    """Runs the network on batches."""

    def __init__(self) -> None:
        self.depth = Depth()

    @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=2000)
    def infer(self, images: list[np.ndarray]) -> list[bytes]:  # type: ignore[type-arg]
        """Depth of each image."""
        return self.depth.infer(images)


@bentoml.service(workers=1, threads=WORKERS, traffic={"timeout": 10})
class Front:
    """Takes pictures."""

    network = bentoml.depends(Network)

    def __init__(self) -> None:
        self.depth = Depth()

    @bentoml.api(route="/depth")
    async def of_picture(
        self, picture: Annotated[Path, ContentType("image/jpeg")], /
    ) -> Annotated[bytes, ContentType("application/x-npy")]:
        """Depth of one picture."""
        prepared = self.depth.prepare(picture.read_bytes())
        found = await self.network.to_async.infer([prepared])
        return bytes(found[0])
