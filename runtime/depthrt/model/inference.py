"""One inference: how it is ended early, what it gives, and what of that is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError, reason_of
from depthrt.model.session import import_onnxruntime
from depthrt.spec import DEPTH, OPTIONAL_OUTPUTS, Kind, ModelSpec

if TYPE_CHECKING:
    import onnxruntime as ort


class Abort:
    """Ends the inferences under way, from any thread; later ones end at once."""

    def __init__(self) -> None:
        self._asked = False
        self._options: ort.RunOptions | None = None

    @property
    def asked(self) -> bool:
        """Whether they were ended."""
        return self._asked

    def now(self) -> None:
        """End the inferences: each raises an InferenceError after its present operator."""
        self._asked = True
        if self._options is not None:
            self._options.terminate = True

    def run_options(self) -> ort.RunOptions:
        """The options that onnxruntime looks at between two operators."""
        if self._options is None:
            self._options = import_onnxruntime().RunOptions()
        if self._asked:
            self._options.terminate = True
        return self._options


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network gives for prepared images.

    - ``depth``: float32 N,h,w, unnormalised;
    - ``optional``: what the file gives beside it, by name, as in
      :data:`depthrt.spec.OPTIONAL_OUTPUTS`; mostly empty.

    Iterating gives one for each image, without the axis N.
    """

    depth: NDArray[np.float32]
    optional: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.depth)

    def copy(self) -> Prediction:
        """The same in memory of its own."""
        return Prediction(self.depth.copy(), {k: v.copy() for k, v in self.optional.items()})

    def __iter__(self) -> Iterator[Prediction]:
        for i, depth in enumerate(self.depth):
            yield Prediction(depth, {name: each[i] for name, each in self.optional.items()})


def run_session(
    session: ort.InferenceSession,
    spec: ModelSpec,
    batch: NDArray[np.uint8],
    options: ort.RunOptions | None = None,
) -> list[NDArray[Any]]:
    """Depth and the optional outputs of prepared images N,3,h,w, in the order of the spec.

    Raises:
        InferenceError: the session failed or was aborted, or a tensor has another shape.
    """
    names = ["depth", *spec.outputs]
    try:
        made = session.run(names, {"image": batch}, options)
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
        raise InferenceError(
            f"model {spec.name} failed on a batch of shape {tuple(batch.shape)}: {reason_of(error)}"
        ) from error
    sides = {"N": len(batch), "3": 3, "H": batch.shape[2], "W": batch.shape[3]}
    for name, tensor in zip(names, made, strict=True):
        form = OPTIONAL_OUTPUTS.get(name, DEPTH)
        expected = tuple(sides[axis] for axis in form.axes)
        if tensor.shape != expected:
            raise InferenceError(
                f"model {spec.name} gave {name} of shape {tensor.shape} for pixels of "
                f"{tuple(batch.shape)}, not {expected}: export it again"
            )
    return [np.asarray(tensor) for tensor in made]


def checked(arrays: Sequence[NDArray[Any]], spec: ModelSpec) -> Prediction:
    """What :func:`run_session` gave, once it is sure that it can be used.

    Depth that is NaN or infinite where ``valid`` is false becomes the farthest depth of the valid
    pixels, so that neither resizing nor smoothing spreads it.

    Raises:
        InferenceError: depth holds NaN or infinity where it is valid, or the angle of view is none.
    """
    depth, optional = arrays[0], dict(zip(spec.outputs, arrays[1:], strict=True))
    if not np.isfinite(depth).all():
        depth = filled(depth, optional.get("valid"), spec.kind)
        share = 1 - float(np.isfinite(depth).mean())
        if share:
            raise InferenceError(
                f"model {spec.name} gave {share:.1%} non-finite depth values (NaN or "
                "infinity): export it again in float32, or check its weights"
            )
    _check_angles(optional, spec)
    return Prediction(depth, optional)


def with_gaps(arrays: Sequence[NDArray[Any]], spec: ModelSpec) -> Prediction:
    """As :func:`checked`, but depth that is NaN or infinite is not ``valid`` instead of an error.

    ``valid`` is among the optional outputs then, also where the file does not give it.

    Raises:
        InferenceError: the angle of view is none.
    """
    depth, optional = arrays[0], dict(zip(spec.outputs, arrays[1:], strict=True))
    finite = np.isfinite(depth)
    if not finite.all():
        valid = optional["valid"] = finite & optional.get("valid", True)
        depth = filled(depth, valid, spec.kind)
    _check_angles(optional, spec)
    return Prediction(depth, optional)


def _check_angles(optional: Mapping[str, NDArray[Any]], spec: ModelSpec) -> None:
    angles_deg = optional.get("fov_deg")
    if angles_deg is not None and not ((angles_deg > 0) & (angles_deg < 180)).all():
        shown = ", ".join(f"{angle:g}" for angle in angles_deg)
        raise InferenceError(
            f"model {spec.name} gave an angle of view of {shown} degrees, which is not between 0 "
            "and 180: check its weights, or export it without fov_deg"
        )


def filled(
    depth: NDArray[np.float32], valid: NDArray[np.bool_] | None, kind: Kind
) -> NDArray[np.float32]:
    """Depth N,h,w whose NaN and infinity are replaced where it is not ``valid`` (N,h,w).

    By the farthest valid depth of the same image, or 0 where there is none.
    """
    if valid is None:
        return depth
    result = np.array(depth, np.float32)
    for values, known in zip(result, valid, strict=True):
        empty = ~known & ~np.isfinite(values)
        values[empty] = _farthest(values[known & np.isfinite(values)], kind)
    return result


def _farthest(values: NDArray[np.float32], kind: Kind) -> float:
    if not values.size:
        return 0.0
    return float(values.max()) if kind == "depth" else float(values.min())
