"""A model whose inferences run on a cluster; to the server it is a model like any other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Abort, Prediction
from depthrt_serving.cluster.router import Router


class ClusterModel(DepthModel):
    """A :class:`DepthModel` whose network runs in replicas.

    What belongs to it here (its spec, and depth maps of what the network gives) is the file's.

    Args:
        local: the same file, loaded here.
        router: sends batches to replicas.
        parallel: batches that are on their way at a time.
    """

    def __init__(self, local: DepthModel, router: Router, parallel: int) -> None:
        super().__init__(local.session, local.spec, local.path, local.tuned, local.options)
        self._router, self._parallel = router, parallel

    @property
    def parallel(self) -> int:
        """Inferences that run at a time: as many as the most replicas take."""
        return self._parallel

    def warm_up(self, batch: int = 1) -> None:
        """Send a grey batch."""
        size = (self.spec.input.height, self.spec.input.width)
        self.predict(np.full((batch, 3, *size), 116, np.uint8), gaps=True)

    def infer(self, batch: NDArray[np.uint8], abort: Abort | None = None) -> NDArray[np.float32]:
        """As ``DepthModel.infer``, in a replica."""
        return self._router.run(batch, abort, gaps=False).depth

    def predict(
        self, batch: NDArray[np.uint8], abort: Abort | None = None, *, gaps: bool = False
    ) -> Prediction:
        """As ``DepthModel.predict``, in a replica."""
        return self._router.run(batch, abort, gaps=gaps)
