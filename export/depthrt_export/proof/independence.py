"""Does the depth of a picture depend on that picture alone?

A network may mix the pictures of a batch (minimum and maximum over all of them, batch
normalisation in training mode), depend on a picture's place in the batch, keep state from earlier
pictures, or use random numbers. A depthrt model must do none of this, because the scheduler decides
which pictures share a batch. :func:`require_batches` asks it of anything that can be run, and
:func:`require_alone` of a PyTorch network.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt_calibration.frames import Sample, evenly
from depthrt_export.proof.fidelity import spread

if TYPE_CHECKING:
    from torch import Tensor, nn

    from depthrt_export.sources.torch_network import TorchNetwork

Image: TypeAlias = NDArray[np.uint8]  # 3,h,w
Map: TypeAlias = NDArray[np.float32]  # h,w
Run: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # N,3,h,w to N,h,w

ALLOWED = 1e-3
"""Greatest |difference| over the depth's spread that float32 rounding may make, as in a proof."""

_STRANGER = 3  # a picture of black and white, whose depth is unlike that of the others
# A batch that is even and one that is odd; the first picture first and last, among others.
_BATCHES = ((0, _STRANGER), (2, _STRANGER, 1, _STRANGER, 0))


@dataclass(frozen=True)
class Together:
    """Pictures in batches of these sizes against the same pictures alone.

    - ``mean_error``, ``max_error``: of the worst picture, mean and greatest |difference| over the
      spread of its depth alone;
    - ``ranges_of_batch``: whether the graph quantises by ranges that it takes from a whole batch,
      so that the pictures of a batch are known to share them.
    """

    batches: tuple[int, ...]
    mean_error: float
    max_error: float
    ranges_of_batch: bool = False


@dataclass(frozen=True, eq=False)
class Alone:
    """Four pictures and the depth of each alone: three like the samples, and a stranger."""

    pictures: tuple[Image, ...]
    depth: tuple[Map, ...]

    @classmethod
    def of(cls, run: Run, samples: Sequence[Sample]) -> Alone:
        """Run every picture in a batch of its own."""
        pictures = _pictures(samples)
        return cls(pictures, tuple(run(picture[None])[0] for picture in pictures))

    @property
    def finite(self) -> bool:
        """Whether there is anything to compare; a network may give a stranger no finite depth."""
        return all(bool(np.isfinite(depth).all()) for depth in self.depth[:_STRANGER])

    def error(self, index: int, depth: Map) -> tuple[float, float]:
        """Mean and greatest |difference| of a depth map to the picture's alone, over its spread."""
        if not np.isfinite(self.depth[index]).all():
            return 0.0, 0.0  # the stranger's: it still is company to the others
        difference = np.abs(depth.astype(np.float64) - self.depth[index])
        scale = spread(self.depth[index])
        if index == _STRANGER:  # it may be flat where no picture of a camera is
            scale = max(scale, float(np.median([spread(d) for d in self.depth[:_STRANGER]])))
        if not np.isfinite(difference).all():
            return math.inf, math.inf
        return float(difference.mean()) / scale, float(difference.max()) / scale


def require_batches(who: str, run: Run, alone: Alone, allowed: float) -> Together:
    """Compare every picture of two batches with the same picture alone.

    Args:
        who: the subject of a refusal, ``my-net gives``.
        allowed: the greatest |difference| over the spread.

    Raises:
        UsageError: they differ, or a batch cannot be run.
    """
    worst = [(0.0, 0.0)]
    for indices in _BATCHES:
        depth = _run_batch(who, run, np.stack([alone.pictures[i] for i in indices]))
        errors = [alone.error(i, d) for i, d in zip(indices, depth, strict=True)]
        worst.extend(errors)
        error = max(greatest for _, greatest in errors)
        if not error <= allowed or math.isinf(error):
            raise UsageError(_mixing(who, run, alone, error, len(indices), allowed))
    mean, greatest = (float(f"{max(column):.3g}") for column in zip(*worst, strict=True))
    return Together(tuple(map(len, _BATCHES)), mean, greatest)


def _pictures(samples: Sequence[Sample]) -> tuple[Image, ...]:
    """Three pictures of the samples, turned over where there are fewer, and one of extremes."""
    first = samples[0].pixels
    turned = (first, first[:, ::-1], first[:, :, ::-1])
    found = [sample.pixels for sample in evenly(list(samples), _STRANGER)]
    found.extend(turned[len(found) :])
    dark = first < np.median(first, axis=(1, 2), keepdims=True)
    stranger = np.where(dark, 255, 0).astype(np.uint8)[:, ::-1, ::-1]
    return tuple(map(np.ascontiguousarray, (*found, stranger)))


def _run_batch(who: str, run: Run, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    try:
        depth = run(images)
        symptom = f"{depth.shape} for"
    except Exception as error:  # a user's network may raise anything
        reason = str(error).strip().splitlines() or [type(error).__name__]
        depth, symptom = None, f"an error ({reason[0]}) for"
    if depth is None or len(depth) != len(images):
        raise UsageError(
            f"{who} {symptom} a batch of {len(images)}: export it without --dynamic batch"
        )
    return depth


def _mixing(who: str, run: Run, alone: Alone, error: float, count: int, allowed: float) -> str:
    """What it is of a batch that changes a picture's depth: one picture in all places tells."""
    same = _run_batch(who, run, np.stack([alone.pictures[0]] * count))
    what = "the other pictures of its batch"
    if max(alone.error(0, depth)[1] for depth in same) > allowed:
        alike = all(np.array_equal(depth, same[0]) for depth in same)
        what = "the size of its batch" if alike else "its place in the batch"
    return (
        f"{who} a picture a depth that depends on {what} ({error:.2g} of the depth's spread in a "
        f"batch of {count}, allowed {allowed:g}): export it without --dynamic "
        "batch, so that every picture is run alone"
    )


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
    from torch import Tensor

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
    import torch
    from torch import Tensor

    if isinstance(before, Tensor) and isinstance(after, Tensor):
        return before.shape != after.shape or not torch.equal(before, after)
    return before is not after


def _buffers(network: TorchNetwork) -> list[Tensor]:
    return [buffer.detach().clone() for buffer in network.module.buffers()]


def _same(before: list[Tensor], after: list[Tensor]) -> bool:
    import torch

    return len(before) == len(after) and all(map(torch.equal, before, after))


@contextmanager
def _seed() -> Iterator[None]:
    """Seed all random generators for a block, then restore their states."""
    import torch

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
