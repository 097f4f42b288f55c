"""The network's raw output for one image, with its non-finite values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.frame import RgbImage
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import filled
from depthrt.model.preprocess import prepare


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network gave for an image.

    - ``values``: depth at the network's size (h,w), padding cut off, not checked for NaN; where
      the network says that it is not valid, NaN is filled as `depthrt run` does;
    - ``outputs``: how many numbers it gave, padding and the mirrored image among them;
    - ``non_finite``: how many of them are NaN or infinite; `depthrt run` refuses such a frame.
    """

    values: NDArray[np.float32]
    outputs: int
    non_finite: int


def predict(model: DepthModel, image: RgbImage, flip: bool) -> Prediction:
    """Depth of an image.

    Args:
        flip: the mean with the prediction of the mirrored image, mirrored back.

    Raises:
        InferenceError: the session failed, or gave depth of another shape than the picture's.
    """
    plain = _once(model, image)
    if not flip:
        return plain
    mirrored = _once(model, np.ascontiguousarray(image[:, ::-1]))
    with np.errstate(invalid="ignore"):  # of two infinities
        both = np.asarray((plain.values + mirrored.values[:, ::-1]) / 2, np.float32)
    outputs = plain.outputs + mirrored.outputs
    return Prediction(both, outputs, plain.non_finite + mirrored.non_finite)


def _once(model: DepthModel, image: RgbImage) -> Prediction:
    pixels = prepare(image, model.spec.input)
    batch = np.repeat(pixels[None], model.fixed_batch or 1, axis=0)
    names = ["depth", *(name for name in model.spec.outputs if name == "valid")]
    try:
        depth, *valid = model.session.run(names, {"image": batch})
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
        reason = str(error).strip().splitlines()[0]
        raise InferenceError(f"model {model.spec.name} failed on an image: {reason}") from error
    if depth.shape != (len(batch), *batch.shape[2:]):
        raise InferenceError(
            f"model {model.spec.name} gave depth of shape {depth.shape} for pixels of "
            f"{batch.shape}: export it again"
        )
    values = np.asarray(depth[0], np.float32)
    if valid and not np.isfinite(values).all():
        values = filled(depth[:1], valid[0][:1], model.spec.kind)[0]
    non_finite = int(values.size - np.isfinite(values).sum())
    cut = model.depth(values, (image.shape[0], image.shape[1])).values
    return Prediction(cut, int(values.size), non_finite)
