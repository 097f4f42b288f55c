"""Find out by running it how an ONNX file takes a picture and gives its depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt_export.sources.network import Normalisation, nearest_size, size_refusal
from depthrt_export.sources.onnx_file.depth_output import Outputs, find_depth
from depthrt_export.sources.onnx_file.image_input import ImageInput, image_inputs
from depthrt_export.sources.onnx_file.reading import OnnxFile
from depthrt_export.sources.onnx_file.reference import Form, prepared, run_once

_IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def input_size(file: OnnxFile, said: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width that the file is run at: its own, else those that are said.

    Raises:
        UsageError: it is open and nothing is said, or fixed and something else is said.
        ModelError: it takes no picture.
    """
    form = image_inputs(file.path, file.model)[0]
    own = (form.height, form.width)
    if said is None:
        if form.fixed_size is None:
            raise UsageError(
                f"{file.path.name} leaves its size open ({form.text()}): say at which to run it, "
                "such as --size 224x448"
            )
        return form.fixed_size
    if any(side not in (None, wanted) for side, wanted in zip(own, said, strict=True)):
        shown = "x".join(str(side or "?") for side in own)
        raise UsageError(
            f"{file.path.name} is fixed at {shown}, not {said[0]}x{said[1]}: leave out --size"
        )
    return said


def find_form(file: OnnxFile, size: tuple[int, int], output: str, *, bgr: bool = False) -> Form:
    """Run the file on one picture, and look at what comes out.

    A batch that the file calls open but cannot change is taken as fixed at one.

    Raises:
        UsageError: the size does not fit (with the nearest that does), or it is not clear which
            output is the depth.
        ModelError: it takes no picture or gives no depth map.
    """
    forms = image_inputs(file.path, file.model)
    failures = []
    for image in forms:
        outputs = _try(file, image, size, 1)
        if isinstance(outputs, Exception):
            failures.append(outputs)
            continue
        if image.batch is None and isinstance(_try(file, image, size, 2), Exception):
            image = replace(image, batch=1)
        depth = find_depth(outputs, size, file.path.name, output)
        return Form(image, depth, bgr)
    first, nearest = forms[0], None
    if not first.fixed_size:
        nearest = nearest_size(
            size, lambda other: not isinstance(_try(file, first, other, 1), Exception)
        )
    raise UsageError(size_refusal(file.path.name, size, failures[0], nearest))


def _try(
    file: OnnxFile, image: ImageInput, size: tuple[int, int], count: int
) -> Outputs | Exception:
    try:
        return run_once(file, image, prepared(_picture(count, size), _IMAGENET, image, bgr=False))
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
        return error


def _picture(count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Pictures of slopes, N,3,H,W: nothing in them is flat."""
    rows, columns = (np.linspace(0, 127, side) for side in size)
    slope = rows[:, None] + columns[None, :]
    return np.broadcast_to(slope.astype(np.uint8), (count, 3, *size))
