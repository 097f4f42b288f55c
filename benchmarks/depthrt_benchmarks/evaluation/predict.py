"""The network's raw output for one image, non-finite values and all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.frame import RgbImage
from depthrt.model import DepthModel
from depthrt.preparation import prepare


def predict(model: DepthModel, image: RgbImage, flip: bool) -> NDArray[np.float32]:
    """Depth of an image at the network's size (h,w), padding cut off, not checked for NaN.

    Args:
        flip: the mean with the prediction of the mirrored image, mirrored back.
    """
    plain = _once(model, image)
    if not flip:
        return plain
    mirrored = _once(model, np.ascontiguousarray(image[:, ::-1]))[:, ::-1]
    return np.asarray((plain + mirrored) / 2, np.float32)


def _once(model: DepthModel, image: RgbImage) -> NDArray[np.float32]:
    pixels = prepare(image, model.spec.input)
    batch = np.repeat(pixels[None], model.fixed_batch or 1, axis=0)
    try:
        (depth,) = model.session.run(["depth"], {"image": batch})
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
        reason = str(error).strip().splitlines()[0]
        raise InferenceError(f"model {model.spec.name} failed on an image: {reason}") from error
    values = np.asarray(depth[0], np.float32)
    return model.depth(values, (image.shape[0], image.shape[1])).values
