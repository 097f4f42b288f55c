"""The teacher, TCMonoDepth-small (Li et al., ICCVW 2021), run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from depthrt_training.data.label_cache import ByteImage, FloatMap
from depthrt_training.teachers.tcmonodepth_torch import TEACHER_FILE

NATIVE_SIZE = (192, 320)
SIZES = ((192, 320), (160, 384), (128, 416), (192, 256), (224, 256), (256, 224), (256, 192))
"""Height, width in pixels; an image is labelled at the size nearest to its own aspect."""


class Teacher:
    """Relative inverse depth, about 0..1.4, larger is nearer."""

    def __init__(self, data: Path) -> None:
        self._file = data / TEACHER_FILE
        self._sessions: dict[tuple[int, int], Any] = {}

    def predict(self, rgb: ByteImage, size: tuple[int, int] = NATIVE_SIZE) -> FloatMap:
        """rgb: H,W,3 uint8 -> h,w of `size`; the image is stretched to it bilinearly."""
        if size not in self._sessions:
            self._sessions[size] = _session(self._file, size)
        height, width = size
        resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
        batch = resized.astype(np.float32).transpose(2, 0, 1)[None]  # 1,3,h,w
        output = self._sessions[size].run(None, {"input": batch})[0]  # 1,1,h,w
        return np.asarray(output[0, 0], dtype=np.float32)

    def label(self, rgb: ByteImage) -> FloatMap:
        """rgb: H,W,3 -> H,W: the mean over the horizontal flip, at the nearest aspect."""
        height, width = rgb.shape[:2]
        size = min(SIZES, key=lambda s: abs(np.log(s[1] / s[0] * height / width)))
        plain = self.predict(rgb, size)
        flipped = self.predict(np.ascontiguousarray(rgb[:, ::-1]), size)[:, ::-1]
        mean = np.ascontiguousarray((plain + flipped) / 2)
        resized = cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, dtype=np.float32)


def _session(file: Path, size: tuple[int, int]) -> Any:
    """The published file has its size baked into Reshape and Resize constants: rewrite them."""
    model = onnx.load(str(file))
    if size != NATIVE_SIZE:
        _resize_graph(model, size)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def _resize_graph(model: onnx.ModelProto, size: tuple[int, int]) -> None:
    """Channel-shuffle shapes are [C,2,h*w] and [2,C,h,w]; Resize targets are [1,C,h,w]."""
    rows, columns = size[0] / NATIVE_SIZE[0], size[1] / NATIVE_SIZE[1]
    for initializer in model.graph.initializer:
        if initializer.data_type != onnx.TensorProto.INT64 or len(initializer.dims) != 1:
            continue
        value = numpy_helper.to_array(initializer).copy()
        if value.size == 3:
            value[2] = round(value[2] * rows * columns)
        elif value.size == 4:
            value[2], value[3] = round(value[2] * rows), round(value[3] * columns)
        else:
            continue
        initializer.CopyFrom(numpy_helper.from_array(value, initializer.name))
    for value_info in (model.graph.input[0], model.graph.output[0]):
        dims = value_info.type.tensor_type.shape.dim
        dims[2].dim_value, dims[3].dim_value = size
    del model.graph.value_info[:]
