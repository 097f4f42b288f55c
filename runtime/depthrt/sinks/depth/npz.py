"""Depth exactly as the model gave it, as an .npz for ``numpy.load``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import WriteError
from depthrt.files.atomic_write import FileDraft
from depthrt.interrupts import held
from depthrt.result import Result
from depthrt.sinks.base import Sink, is_disk_full, write_error
from depthrt.sinks.depth.codes import MapSize, describe, sized
from depthrt.sinks.depth.npz_file import GrowingNpz
from depthrt.spec import ModelSpec


class NpzSink(Sink):
    """float32 depth (N,h,w), exactly as the model gave it, with index and time of each frame.

    ``image_size`` is (2,), or (N,2) where pictures differ in size.

    Each map is written at once, to its final place in the file: memory does not grow with their
    number, and closing the file takes milliseconds.
    """

    def __init__(
        self, target: Path, spec: ModelSpec, size: MapSize = "network", *, overwrite: bool = False
    ) -> None:
        self._target, self._draft = target, FileDraft(target, overwrite=overwrite)
        self._spec, self._size = spec, size
        self._shape: tuple[int, ...] = ()
        self._file: GrowingNpz | None = None
        self._has_end = False
        self._index: list[int] = []
        self._time_s: list[float] = []
        self._image_sizes: list[tuple[int, int]] = []

    def write(self, result: Result) -> bool:
        """Append one depth map."""
        with held():
            return self._write(result)

    def _write(self, result: Result) -> bool:
        values = sized(result.depth, self._size)
        try:
            if self._file is None:
                self._shape = values.shape
                self._file = GrowingNpz(self._draft.create(), "depth", values.shape)
            if values.shape != self._shape:
                raise WriteError(
                    f"the depth map's size changed from {self._shape} to {values.shape}, which one "
                    "array cannot hold: write PNG files instead"
                )
            self._index.append(result.frame.index)
            self._image_sizes.append(result.depth.image_size)
            self._time_s.append(result.frame.time_s)
            self._file.append(values)
        except WriteError:
            raise
        except OSError as error:
            raise write_error(self._target, error) from error
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write the small arrays and, when complete, rename the file to its target."""
        file = self._file
        while file is not None and file.count and not self._has_end:
            try:
                self._end(file)
            except OSError as error:
                if complete:
                    raise write_error(self._target, error) from error
                if not is_disk_full(error):
                    break
                file.drop_last()  # the last map makes room for the arrays that explain the others
        if file is None or not file.count:
            self._draft.discard()
        return self._draft.place() if complete and self._has_end else self._draft.kept()

    def _end(self, file: GrowingNpz) -> None:
        count = file.count
        sizes = self._image_sizes[:count]
        about: dict[str, NDArray[Any]] = {
            key: np.array(value or "") for key, value in describe(self._spec, sizes[0]).items()
        }
        if len({*sizes}) > 1:
            about["image_size"] = np.array(sizes, np.int64)
        times_s = np.array(self._time_s[:count], np.float64)
        file.end({"time_s": times_s, "index": np.array(self._index[:count], np.int64), **about})
        self._has_end = True
        file.close()
