"""What the network gave for a picture that was sent, as its depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.pictures.sent import SentPicture

if TYPE_CHECKING:
    from depthrt.model.depth_model import DepthModel
    from depthrt.model.inference import Prediction
    from depthrt.spec import ModelSpec


def depth_of(model: DepthModel, picture: SentPicture, found: Prediction) -> Depth:
    """The depth of a picture; what is not finite is not valid in it.

    Args:
        model: that gave it.
        picture: whose depth it is.
        found: of ``DepthModel.predict`` with ``gaps``.

    Raises:
        ProblemError: no value is finite (422).
    """
    check_finite(model.spec, picture.name, found)
    return model.depth(found.depth, picture.size, found.optional)


def check_finite(spec: ModelSpec, name: str, found: Prediction) -> None:
    """Refuse depth of which no value is finite.

    Not where the network itself says what is valid: there may be nothing, in a picture of the sky.

    Raises:
        ProblemError: 422.
    """
    valid = found.optional.get("valid")
    if valid is not None and "valid" not in spec.outputs and not valid.any():
        raise ProblemError(
            422, f"{name}: the model gives no finite depth for it (all is NaN or infinite)"
        )


def known_or_nan(
    spec: ModelSpec, values: NDArray[np.float32], valid: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Values h,w, NaN where they are not finite, unless the network itself says what is valid."""
    if valid is None or "valid" in spec.outputs:
        return values
    return np.where(valid, values, np.float32(np.nan))


def maps_of(depth: Depth) -> Mapping[str, NDArray[Any]]:
    """Depth, NaN where it is not valid, and what else there is, by name; fov_deg has no axes."""
    fov_deg = None if depth.fov_deg is None else np.array(depth.fov_deg, np.float32)
    found = {
        "depth": depth.values_or_nan,
        "confidence": depth.confidence,
        "valid": depth.valid,
        "normals": depth.normals,
        "fov_deg": fov_deg,
    }
    return {name: each for name, each in found.items() if each is not None}
