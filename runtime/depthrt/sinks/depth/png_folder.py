"""Depth to compute with as a folder of 16-bit PNG."""

from __future__ import annotations

from pathlib import Path

import cv2

from depthrt.result import Result
from depthrt.sinks.base import Sink, SinkWarnings
from depthrt.sinks.depth.codes import DepthCodes, MapSize, describe, sized
from depthrt.sinks.frame_folder import DEPTH_FOLDER, FrameFolder
from depthrt.spec import ModelSpec

_PNG_LEVEL = [cv2.IMWRITE_PNG_COMPRESSION, 2]


class PngFolderSink(Sink):
    """One 16-bit PNG for each frame, and ``depth.json``: scale, meaning, files and times.

    Where pictures differ in size, the index says it of each that differs from the first. ``codes``:
    their scale, where other folders share it.
    """

    def __init__(
        self,
        target: Path,
        spec: ModelSpec,
        size: MapSize = "network",
        *,
        overwrite: bool = False,
        codes: DepthCodes | None = None,
    ) -> None:
        self._folder = FrameFolder(target, DEPTH_FOLDER, overwrite=overwrite)
        self._spec, self._size = spec, size
        self._codes = codes
        self._is_begun = False
        self._image_size = (0, 0)
        self._clamped = 0

    def write(self, result: Result) -> bool:
        """Write one file."""
        depth, image_size = sized(result.depth, self._size), result.depth.image_size
        if not self._is_begun:
            self._is_begun, self._image_size = True, image_size
        scale = self._codes = self._codes or DepthCodes.choose(self._spec, depth.known_values)
        codes, clamped = scale.encode(depth.values, depth.valid)
        self._clamped += clamped
        _, content = cv2.imencode(".png", codes, _PNG_LEVEL)
        about = {} if image_size == self._image_size else {"image_size": list(image_size)}
        self._folder.add(result.frame, ".png", content.tobytes(), about)
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write ``depth.json`` and, when complete, rename the folder to its target."""
        codes = self._codes
        about = {} if codes is None else describe(self._spec, self._image_size, codes)
        return self._folder.close(about, complete=complete)

    def warnings(self) -> SinkWarnings:
        """How many values the codes could not hold."""
        return SinkWarnings(clamped=self._clamped)
