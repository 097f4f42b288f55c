"""A replica: one session of a model, on some machine of the cluster."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import DepthrtError
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Prediction
from depthrt_serving.cluster.fetch import fetch_file
from depthrt_serving.cluster.kept_file import kept_file

Pixels = NDArray[np.uint8]


class Replica:
    """A model in a session.

    Args:
        sha256: of its file, which comes from the cluster: no disk is shared.
        provider: as in ``DepthModel.load``.
        threads: of one inference; None: all that the replica has.

    Raises:
        DepthrtError: the file cannot be used here, or gives wrong depth of its golden frames.
    """

    def __init__(self, sha256: str, provider: str, threads: int | None) -> None:
        path = kept_file(sha256, lambda: fetch_file(sha256))
        self._model = DepthModel.load(
            path, provider=provider, threads=threads, objective="throughput", parallel=1
        )
        self._model.warm_up()

    def run(self, batch: Pixels, gaps: bool) -> Prediction | str:
        """As ``DepthModel.predict`` on uint8 N,3,h,w; a sentence where the network failed."""
        try:
            return self._model.predict(batch, gaps=gaps)
        except DepthrtError as error:
            return str(error)

    def golden_pixels(self) -> list[Pixels]:
        """The pictures of the file's golden frames as pixels 3,h,w; none: it has none."""
        from depthrt.model.golden.replay import golden_of

        golden = golden_of(self._model)
        size = self._model.spec.input
        return [] if golden is None else [frame.pixels(size) for frame in golden.frames]

    def golden_excess(self) -> float:
        """The error of the worst golden frame, in what its file allows; 0 without any frames."""
        from depthrt.model.golden.replay import allowed_error, golden_of, replay

        golden = golden_of(self._model)
        if golden is None:
            return 0.0
        errors = [replay(self._model, frame).error for frame in golden.frames]
        worst = max(errors) / allowed_error(self._model, golden)
        return worst if math.isfinite(worst) else math.inf

    def spec_json(self) -> str:
        """The spec of its file."""
        return self._model.spec.to_json()
