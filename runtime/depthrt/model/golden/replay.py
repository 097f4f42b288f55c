"""A model's depth of its golden frames, beside the depth that was proven."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depthrt.errors import InferenceError, ModelError
from depthrt.model.golden.entry import GOLDEN_KEY, Golden, GoldenFrame, read_golden

if TYPE_CHECKING:
    from depthrt.model.depth_model import DepthModel


@dataclass(frozen=True)
class Replayed:
    """How far one golden frame's depth is from the proven one.

    ``error``: mean |difference| over the proven depth's spread; infinite where the network failed
    or gave NaN, and ``failure`` says so.
    """

    label: str
    error: float
    failure: str = ""


def golden_of(model: DepthModel) -> Golden | None:
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


def replay(model: DepthModel, frame: GoldenFrame) -> Replayed:
    """Run one golden frame."""
    pixels = frame.pixels(model.spec.input)
    try:
        depth = model.infer(pixels[None])[0]
    except InferenceError as error:
        return Replayed(frame.label, math.inf, str(error))
    return Replayed(frame.label, frame.error(depth))


def allowed_error(model: DepthModel, golden: Golden) -> float:
    """The largest error that is right for a model's provider and options."""
    exact = model.provider == "cpu" and not model.options.fast_math
    return golden.tolerance.cpu if exact else golden.tolerance.others
