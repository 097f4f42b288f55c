"""Does the depth of a picture depend on that picture alone?

A network may mix the pictures of a batch (minimum and maximum over all of them, batch
normalisation in training mode), depend on a picture's place in the batch, keep state from earlier
pictures, or use random numbers. A depthrt model must do none of this, because the scheduler decides
which pictures share a batch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from depthrt.errors import UsageError
from depthrt_calibration.frames import Sample
from depthrt_export.proof.batches import ALLOWED, Alone, Run, require_batches
from depthrt_export.sources.torch_network import TorchNetwork


def require_alone(
    network: TorchNetwork, run: Run, samples: Sequence[Sample], *, batch_open: bool
) -> None:
    """Refuse a network whose depth of a picture depends on anything but the picture.

    Args:
        run: the network on pixels uint8 N,3,h,w.
        batch_open: whether several pictures may share a batch.

    Raises:
        UsageError: it depends on chance, on earlier pictures, on the other pictures of a batch, or
            on the place in the batch; which of these, and how much.
    """
    before = _buffers(network)
    alone = Alone.of(run, samples)
    if not alone.finite:
        return  # the proof says what is wrong
    _, error = alone.error(0, run(alone.pictures[0][None])[0])
    if error > ALLOWED or (error > 0 and not _same(before, _buffers(network))):
        raise UsageError(_changing(network, run, alone, error))
    if batch_open:
        require_batches(f"{network.name} gives", run, alone, ALLOWED)


def _changing(network: TorchNetwork, run: Run, alone: Alone, error: float) -> str:
    """Whether it is chance or memory that changes the depth of one picture, and where."""
    name, seeded = network.name, []
    before = {
        key: value.clone() if isinstance(value, Tensor) else value
        for key, value in _state(network.module).items()
    }
    for other in (1, 2):
        run(alone.pictures[other][None])
        with _seed():
            seeded.append(run(alone.pictures[0][None])[0])
    changed = [
        key for key, value in _state(network.module).items() if _changed(before.get(key), value)
    ]
    share = f"{error:.2g} of the depth's spread"
    if np.array_equal(*seeded):
        return (
            f"{name} gives another depth whenever it sees the same picture ({share}): something in "
            "it is random although it is in eval mode. Dropout as a function needs "
            "F.dropout(x, p, training=self.training), noise needs if self.training"
        )
    kept = ", ".join(changed)
    what = kept or "something"
    return (
        f"the depth that {name} gives depends on the pictures before ({share}, after three others):"
        f" it keeps {what} from one picture to the next. Let forward() use the picture alone; "
        "depthrt run --stabilise smooths over time instead"
    )


def _state(module: nn.Module) -> dict[str, object]:
    """Everything but parameters that the modules of a network keep, by name."""
    found: dict[str, object] = {}
    for path, part in module.named_modules():
        own = {**vars(part), **part._buffers}
        for key, value in own.items():
            if not key.startswith("_"):
                found[f"{path}.{key}" if path else key] = value
    return found


def _changed(before: object, after: object) -> bool:
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        return before.shape != after.shape or not torch.equal(before, after)
    return before is not after


def _buffers(network: TorchNetwork) -> list[Tensor]:
    return [buffer.detach().clone() for buffer in network.module.buffers()]


def _same(before: list[Tensor], after: list[Tensor]) -> bool:
    return len(before) == len(after) and all(map(torch.equal, before, after))


@contextmanager
def _seed() -> Iterator[None]:
    """Seed all random generators for a block, then restore their states."""
    python, state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(state)
