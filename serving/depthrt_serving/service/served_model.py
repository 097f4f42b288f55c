"""The model that is served: loaded for throughput, and at the batch that keeps depth exact."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from depthrt.errors import AccuracyGateError, UsageError
from depthrt.model.depth_model import DepthModel
from depthrt_serving.batching.estimate import Estimate
from depthrt_serving.settings import Settings

_CPU_BATCH, _OTHER_BATCH = 4, 8
_PROBED = (2, 3)  # sizes of batches that are tried, beside the full one


@dataclass(frozen=True)
class ServedModel:
    """A model and how it is served.

    - ``batch``: images per inference;
    - ``batch_s``: how long a batch takes;
    - ``exact``: whether depth of a batch is that of single images to the bit;
    - ``note``: what was chosen because of that, in a sentence; else empty.
    """

    model: DepthModel
    batch: int
    batch_s: float
    exact: bool = True
    note: str = ""

    @property
    def estimate(self) -> Estimate:
        """What its batches take, before any was served."""
        return Estimate(self.batch_s, self.batch, self.model.parallel)


def load(settings: Settings) -> ServedModel:
    """Load the model, warm it up, and make sure that batches do not change depth.

    Without a batch size asked for, one is taken at which depth is equal to the bit to that of
    ``DepthModel`` on single images: some networks round otherwise in batches.

    Raises:
        DepthrtError: it cannot be used as asked.
    """
    asked = settings.queueing.batch
    if asked is not None and asked < 1:
        raise UsageError(f"--batch {asked} must be 1 or more")
    model = DepthModel.load(
        settings.model,
        provider=settings.provider,
        threads=settings.threads,
        objective="throughput",
    )
    batch = asked or _usual_batch(model)
    note, exact = "", True
    if batch > 1 and not is_exact(model, batch):
        if asked is None and model.provider == "cpu":
            batch = 1
            note = "depth in batches differs from that of single images: one image per inference"
        else:
            exact = False
            note = (
                f"depth in batches of {batch} differs from that of single images, in small digits"
            )
    model.warm_up(batch)
    start_s = time.perf_counter()
    model.warm_up(batch)
    return ServedModel(model, batch, time.perf_counter() - start_s, exact, note)


def verify(model: DepthModel) -> None:
    """Replay all golden frames of a model's file; one without any is taken as it is.

    Raises:
        AccuracyGateError: depth is wrong here.
        ModelError: the frames are broken.
    """
    from depthrt.model.golden.load_check import wrong
    from depthrt.model.golden.replay import allowed_error, golden_of, replay

    golden = golden_of(model)
    if golden is None:
        return
    allowed = allowed_error(model, golden)
    for frame in golden.frames:
        found = replay(model, frame)
        if not found.error <= allowed:
            raise AccuracyGateError(wrong(model, found, allowed))


def is_exact(model: DepthModel, batch: int) -> bool:
    """Whether depth of batches is that of single images to the bit, tried with noise."""
    if model.spec.precision == "int8_dynamic":  # its ranges are those of the whole batch
        return False
    height, width = model.spec.input.height, model.spec.input.width
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch, 3, height, width), np.uint8)
    alone = [model.infer(images[number : number + 1])[0] for number in range(batch)]
    counts = {batch, *(count for count in _PROBED if count < batch)}
    return all(
        np.array_equal(model.infer(images[:count]), np.stack(alone[:count])) for count in counts
    )


def _usual_batch(model: DepthModel) -> int:
    if model.fixed_batch is not None:
        return model.fixed_batch
    if model.tuned is not None:
        return model.batch
    return _CPU_BATCH if model.provider in ("cpu", "openvino") else _OTHER_BATCH
