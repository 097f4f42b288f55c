"""Runs a foreign ONNX file on pixels that are normalised outside its graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from onnx import helper

from depthrt.model.session import import_onnxruntime
from depthrt_export.sources.network import Maps, Normalisation, Reference
from depthrt_export.sources.onnx_file.depth_output import DepthOutput, Outputs, maps
from depthrt_export.sources.onnx_file.image_input import ImageInput
from depthrt_export.sources.onnx_file.reading import OnnxFile

_FATAL = 4


@dataclass(frozen=True)
class Form:
    """How a file is fed and read.

    ``bgr``: whether its first channel is blue; mean and std stay in the order red, green, blue.
    """

    image: ImageInput
    depth: DepthOutput
    bgr: bool = False


def fed(file: OnnxFile, form: Form) -> Callable[[Normalisation], Reference]:
    """The file fed with pixels of a normalisation, to depth N,H,W of the pixels' height and width.

    Pixels of a file that takes uint8 are fed as they are.
    """

    def reference(how: Normalisation) -> Reference:
        def run(images: NDArray[np.uint8]) -> Maps:
            values = prepared(images, how, form.image, bgr=form.bgr)
            step = form.image.step(len(values))
            parts = [_depth(file, form, values[i : i + step]) for i in range(0, len(values), step)]
            return _at_size(np.concatenate(parts), images.shape[2:])

        return run

    return reference


def prepared(
    images: NDArray[np.uint8], how: Normalisation, image: ImageInput, *, bgr: bool
) -> NDArray[np.generic]:
    """Pixels N,3,H,W as the file takes them; N stays the first axis, also where it has none."""
    values: NDArray[np.generic] = images
    if image.element != "uint8":
        mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (how.mean, how.std))
        values = (images.astype(np.float32) * np.float32(how.scale) - mean) / std
    if bgr:
        values = values[:, ::-1]
    if image.channels_last:
        values = values.transpose(0, 2, 3, 1)
    if image.element == "int8":
        values = np.clip(np.rint(np.asarray(values, np.float32)), -128, 127)
    return np.ascontiguousarray(values.astype(image.element))


def run_once(file: OnnxFile, image: ImageInput, values: NDArray[np.generic]) -> Outputs:
    """All outputs for one batch of prepared pixels; a batch that is fixed is filled up."""
    missing = image.step(len(values)) - len(values)
    if missing:
        values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
    options = import_onnxruntime().RunOptions()
    options.log_severity_level = _FATAL  # what fails here is told in a sentence
    names = [output.name for output in file.session.get_outputs()]
    feed = {image.name: values[0] if image.alone else values, **_unread(file, image)}
    made = file.session.run(names, feed, options)
    return {key: np.asarray(each) for key, each in zip(names, made, strict=True)}


def _unread(file: OnnxFile, image: ImageInput) -> dict[str, NDArray[np.generic]]:
    """Zeros for inputs that nothing reads, which onnxruntime wants all the same."""
    needed = {each.name for each in file.session.get_inputs()} - {image.name}
    found = {}
    for value in (v for v in file.model.graph.input if v.name in needed):
        tensor = value.type.tensor_type
        shape = [max(1, dim.dim_value) for dim in tensor.shape.dim]
        found[value.name] = np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return found


def _depth(file: OnnxFile, form: Form, values: NDArray[np.generic]) -> Maps:
    outputs = run_once(file, form.image, values)
    return maps(outputs[form.depth.name], form.depth.layout)[: len(values)]


def _at_size(depth: Maps, size: tuple[int, ...]) -> Maps:
    """Maps N,h,w resized to height and width, bilinear."""
    height, width = size
    if depth.shape[1:] == (height, width):
        return depth
    resized = [cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR) for m in depth]
    return np.asarray(np.stack(resized), np.float32)
