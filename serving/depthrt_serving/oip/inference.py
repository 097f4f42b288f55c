"""From a request of the protocol to images, and from their depth to its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from depthrt.files.json_file import short
from depthrt.spec import InputSpec, ModelSpec
from depthrt_serving.batching.work import Computed, Prepare
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.oip.messages import InferRequest, MessageError, SentTensor, WantedOutput
from depthrt_serving.oip.metadata import IMAGE, PICTURE, VERSION, outputs_of
from depthrt_serving.oip.tensors import as_output, as_pixels, files_of, pixels_of
from depthrt_serving.pictures.found_depth import check_finite, depth_of, known_or_nan
from depthrt_serving.pictures.sent import SentPicture, checked_file
from depthrt_serving.settings import MOST_AREA

if TYPE_CHECKING:
    from depthrt.model.depth_model import DepthModel


@dataclass(frozen=True, eq=False)
class SentImages:
    """The images of a request.

    - ``prepares``: make the network's input of each, in a thread;
    - ``pictures``: the files they came in; None: they came as pixels;
    - ``odd_size``: height and width of pixels that are not at the size of the spec, else None.
    """

    prepares: list[Prepare]
    pictures: list[SentPicture] | None = None
    odd_size: tuple[int, int] | None = None


def images_of(request: InferRequest, model: DepthModel, most_pixels: int) -> SentImages:
    """The images of a request.

    Args:
        request: as it was read.
        model: whose network they are for.
        most_pixels: of a picture, checked before it is decoded.

    Raises:
        MessageError: inputs that the model has not.
        ProblemError: pictures that are not taken.
    """
    for tensor in request.inputs:
        if tensor.name not in (IMAGE, PICTURE):
            raise MessageError(
                f"there is no input {short(tensor.name)}: the model takes {IMAGE} or {PICTURE}"
            )
    if len(request.inputs) != 1:
        raise MessageError(
            f"{len(request.inputs)} inputs came: give one, either {IMAGE} or {PICTURE}"
        )
    tensor = request.inputs[0]
    spec = model.spec.input
    if tensor.name == PICTURE:
        if (
            len(tensor.shape) not in (1, 2)
            or tensor.shape[1:] not in ((), (1,))
            or not tensor.count
        ):
            raise MessageError(f"{PICTURE} has the shape [N], not {list(tensor.shape)}")
        pictures = [
            checked_file(f"picture {number}", content, most_pixels)
            for number, content in enumerate(files_of(tensor), 1)
        ]
        return SentImages([partial(picture.prepare, spec) for picture in pictures], pictures)
    size = _size_of(tensor, spec, dynamic=takes_any_size(model))
    odd = None if size == (spec.height, spec.width) else size
    return SentImages([partial(as_pixels, image) for image in pixels_of(tensor)], None, odd)


def takes_any_size(model: DepthModel) -> bool:
    """Whether pixels of other sizes than that of the spec are taken."""
    return model.dynamic_size and model.spec.input.resize == "keep_aspect"


def wanted_outputs(request: InferRequest, spec: ModelSpec) -> list[WantedOutput]:
    """The outputs that are wanted.

    Raises:
        MessageError: one that the model has not, or in a form that there is not.
    """
    known = outputs_of(spec)
    if request.outputs is None:
        return [WantedOutput(name, request.binary) for name in known]
    for output in request.outputs:
        if output.name not in known:
            raise MessageError(
                f"there is no output {short(output.name)}: the model gives {', '.join(known)}"
            )
        own, _ = known[output.name]
        if output.datatype not in (None, own) and (own, output.datatype) != ("FP32", "FP16"):
            may = "FP32 or FP16" if own == "FP32" else own
            raise MessageError(f"{output.name} is {may}, not {short(output.datatype)}")
        if output.datatype == "FP16" and not output.binary:
            raise MessageError("FP16 has no form in JSON: ask for it with binary_data true")
    return request.outputs


def computed_arrays(
    model: DepthModel, computed: Computed, pictures: Sequence[SentPicture] | None
) -> dict[str, NDArray[Any]]:
    """Every output of a request's images, with the axis N.

    Of pixels: as ``DepthModel.infer`` and ``predict`` give it. Of pictures: as ``DepthModel`` gives
    it of the picture, padding cut off. Depth that is not finite is NaN, unless ``valid`` says so.

    Raises:
        ProblemError: no value is finite, or maps of pictures of unlike shapes have different sizes.
    """
    found, spec = computed.predictions, model.spec
    names = spec.outputs
    if pictures is None:
        for number, each in enumerate(found, 1):
            check_finite(spec, f"image {number}", each)
        rows = [{"depth": known_or_nan(spec, each.depth, each.optional.get("valid")),
                 **{name: each.optional[name] for name in names}} for each in found]  # fmt: skip
    else:
        depths = [
            depth_of(model, picture, each) for each, picture in zip(found, pictures, strict=True)
        ]
        rows = [{"depth": known_or_nan(spec, depth.values, depth.valid),
                 **{name: getattr(depth, name) for name in names}} for depth in depths]  # fmt: skip
        if len({depth.values.shape for depth in depths}) > 1:
            raise ProblemError(
                422,
                "the pictures have depth maps of different sizes, which one tensor does not hold: "
                "send them one by one",
            )
    return {name: np.stack([_typed(name, row[name]) for row in rows]) for name in ("depth", *names)}


def answer(
    request: InferRequest,
    spec: ModelSpec,
    arrays: Mapping[str, NDArray[Any]],
    wanted: Sequence[WantedOutput],
) -> tuple[bytes, int | None]:
    """The body of an answer, and the bytes of its JSON object where binary data follow it.

    Raises:
        MessageError: values that are asked for in FP16 do not fit.
    """
    made = [as_output(arrays[output.name], output) for output in wanted]
    content: dict[str, Any] = {"model_name": spec.name, "model_version": VERSION}
    if request.id is not None:
        content["id"] = request.id
    content["outputs"] = [entry for entry, _ in made]
    text = json.dumps(content, allow_nan=False).encode()
    if not any(output.binary for output in wanted):
        return text, None
    return b"".join([text, *(binary for _, binary in made)]), len(text)


def _size_of(tensor: SentTensor, spec: InputSpec, *, dynamic: bool) -> tuple[int, int]:
    """Height and width of pixels N,3,H,W.

    Raises:
        MessageError: another shape, or a size that the network does not take.
    """
    step = spec.multiple_of
    wanted = f"[N, 3, {spec.height}, {spec.width}]"
    if len(tensor.shape) == 4 and tensor.shape[0] and tensor.shape[1] == 3:
        height, width = tensor.shape[2:]
        if (height, width) == (spec.height, spec.width):
            return height, width
        if dynamic and height and width and height % step == width % step == 0:
            if height * width <= MOST_AREA * spec.height * spec.width:
                return height, width
            raise MessageError(
                f"{IMAGE} of {height}x{width} has more than {MOST_AREA} times the pixels of "
                f"{spec.height}x{spec.width}, which the model is for: send it smaller"
            )
    if dynamic:
        wanted += f", or other multiples of {step} for H and W"
    raise MessageError(
        f"{IMAGE} has the shape {wanted}, not {list(tensor.shape)}; the server itself resizes what "
        f"comes as {PICTURE}: a file of a picture, datatype BYTES"
    )


def _typed(name: str, values: Any) -> NDArray[Any]:
    return np.asarray(values, np.bool_ if name == "valid" else np.float32)
