"""Depth exactly as the model gave it, as an .npz for ``numpy.load``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import WriteError
from depthrt.files.atomic_write import FileDraft
from depthrt.result import Result
from depthrt.sinks.base import Sink, is_disk_full, write_error
from depthrt.sinks.depth.codes import MapSize, describe, sized
from depthrt.sinks.depth.npz_file import GrowingNpz
from depthrt.spec import ModelSpec
from depthrt.system.interrupts import held


class NpzSink(Sink):
    """float32 depth (N,h,w), exactly as the model gave it, with index and time of each frame.

    ``image_size`` is (2,), or (N,2) where pictures differ in size. Of what the model gives beside
    depth there are ``confidence`` (N,h,w), ``valid`` (N,h,w), ``normals`` (N,3,h,w) and ``fov_deg``
    (N).

    Each map is written at once, depth to its final place in the file: memory does not grow with
    their number. Closing the file takes milliseconds, or as long as it takes to copy what the model
    gives beside depth.
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
        self._fov_deg: list[float] = []

    def write(self, result: Result) -> bool:
        """Append one depth map."""
        with held():
            return self._write(result)

    def _write(self, result: Result) -> bool:
        depth = sized(result.depth, self._size)
        values, beside = depth.values, _beside(depth)
        try:
            if self._file is None:
                self._shape = values.shape
                self._file = GrowingNpz(self._draft.create(), "depth", values.shape, beside)
            if values.shape != self._shape:
                raise WriteError(
                    f"the depth map's size changed from {self._shape} to {values.shape}, which one "
                    "array cannot hold: write PNG files instead"
                )
            self._index.append(result.frame.index)
            self._image_sizes.append(depth.image_size)
            self._time_s.append(result.frame.time_s)
            if depth.fov_deg is not None:
                self._fov_deg.append(depth.fov_deg)
            self._file.append(values, beside)
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
                if not is_disk_full(error) or not file.can_shrink:
                    break
                file.drop_last()  # the last map makes room for the arrays that explain the others
        if file is not None:
            file.close()
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
        if self._fov_deg:
            about["fov_deg"] = np.array(self._fov_deg[:count], np.float64)
        file.end({"time_s": times_s, "index": np.array(self._index[:count], np.int64), **about})
        self._has_end = True


def _beside(depth: Depth) -> dict[str, NDArray[Any]]:
    """The maps beside depth that there are, by their names in the file."""
    maps = {"confidence": depth.confidence, "valid": depth.valid, "normals": depth.normals}
    return {name: each for name, each in maps.items() if each is not None}
