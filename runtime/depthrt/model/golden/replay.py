"""A model's depth of its golden frames, beside the depth that was proven."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError, ModelError
from depthrt.model.golden.entry import GOLDEN_KEY, Golden, GoldenFrame, read_golden
from depthrt.model.providers import SessionOptions
from depthrt.spec import ModelSpec

if TYPE_CHECKING:
    import onnxruntime as ort


class Loaded(Protocol):
    """What golden frames need of a :class:`DepthModel`, which imports their check."""

    session: ort.InferenceSession
    spec: ModelSpec
    path: Path
    options: SessionOptions

    @property
    def provider(self) -> str:
        """The short name of the provider."""

    def infer(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Depth of prepared images."""


@dataclass(frozen=True)
class Replayed:
    """How far one golden frame's depth is from the proven one.

    ``error``: mean |difference| over the proven depth's spread; infinite where the network failed
    or gave NaN, and ``failure`` says so.
    """

    label: str
    error: float
    failure: str = ""


def golden_of(model: Loaded) -> Golden | None:
    """The golden frames in a model's file; None if it has none.

    Raises:
        ModelError: they are broken or were changed; the message says what to do.
    """
    metadata = model.session.get_modelmeta().custom_metadata_map
    if GOLDEN_KEY not in metadata:
        return None
    try:
        golden = read_golden(metadata, model.spec.input)
        for frame in golden.frames if golden is not None else ():
            frame.check()
    except ModelError as error:
        raise ModelError(
            f"{model.path}: {error}: fetch or export the file again, or set DEPTHRT_VERIFY=0 to "
            "use it unchecked"
        ) from error
    return golden


def replay(model: Loaded, frame: GoldenFrame) -> Replayed:
    """Run one golden frame."""
    pixels = frame.pixels(model.spec.input)
    try:
        depth = model.infer(pixels[None])[0]
    except InferenceError as error:
        return Replayed(frame.label, math.inf, str(error))
    return Replayed(frame.label, frame.error(depth))


def allowed_error(model: Loaded, golden: Golden) -> float:
    """The largest error that is right for a model's provider and options."""
    exact = model.provider == "cpu" and not model.options.fast_math
    return golden.tolerance.cpu if exact else golden.tolerance.others
