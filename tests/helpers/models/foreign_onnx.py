"""What the export makes of a variant's file, without asking the built-in model about it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from depthrt_calibration.frames import sample_frames
from depthrt_export.build.onnx_file.describe import Described, described
from depthrt_export.build.onnx_file.shape_and_precision import Task, task_of
from depthrt_export.build.onnx_file.wrap_and_prove import Wrapped, proven
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.sources.onnx_file.reading import OnnxFile, open_file, read_model
from experiments.foreign_onnx.make import save
from experiments.foreign_onnx.variant import Variant

SAID = SourceOptions(kind="inverse_depth", mean=(0.0,) * 3, std=(1.0,) * 3, scale=1 / 255)
"""What has to be said of a file that says nothing of itself."""


@dataclass(frozen=True, eq=False)
class Made:
    """The file, what is known of it, and the wrapped graph."""

    file: OnnxFile
    known: Described
    task: Task
    wrapped: Wrapped

    def depth(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The wrapped graph on pixels N,3,H,W."""
        session = ort.InferenceSession(self.wrapped.path, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(["depth"], {"image": pixels})[0])

    def own(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """The file's own first output for values that are prepared as it wants them."""
        session = ort.InferenceSession(self.file.path, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {session.get_inputs()[0].name: values})[0])


def wrap(
    variant: Variant,
    folder: Path,
    frames: str,
    said: SourceOptions = SAID,
    options: ExportOptions | None = None,
) -> Made:
    """Save the file of a variant and wrap it."""
    path = folder / "file.onnx"
    save(variant, path)
    options = dataclasses.replace(options or ExportOptions(), frames=frames)
    file = open_file(path, read_model(path))
    known = described(file, said, options, Phases(quiet=True))
    task = task_of(file, known, options)
    samples = sample_frames(frames, 2, known.network.input)
    original = dataclasses.replace(task.original, samples=samples)
    return Made(file, known, task, proven(original, options, folder))


def pixels(count: int = 1) -> NDArray[np.uint8]:
    """Pictures of noise, N,3,64,96."""
    return np.random.default_rng(2).integers(0, 256, (count, 3, 64, 96), np.uint8)


def error(depth: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    """Greatest |difference| over the spread."""
    wanted = np.asarray(expected, np.float64)
    return float(np.abs(depth.astype(np.float64) - wanted).max() / np.ptp(wanted))
