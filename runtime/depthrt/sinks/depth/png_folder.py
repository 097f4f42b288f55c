"""Depth to compute with as a folder of 16-bit PNG."""

from __future__ import annotations

from pathlib import Path

import cv2

from depthrt.result import Result
from depthrt.sinks.base import Sink, SinkWarnings
from depthrt.sinks.depth.codes import DepthCodes, describe
from depthrt.sinks.frame_folder import DEPTH_FOLDER, FrameFolder
from depthrt.spec import ModelSpec

_PNG_LEVEL = [cv2.IMWRITE_PNG_COMPRESSION, 2]


class PngFolderSink(Sink):
    """One 16-bit PNG for each frame, and ``depth.json``: scale, meaning, files and times."""

    def __init__(self, target: Path, spec: ModelSpec, *, overwrite: bool = False) -> None:
        self._folder = FrameFolder(target, DEPTH_FOLDER, overwrite=overwrite)
        self._spec = spec
        self._codes: DepthCodes | None = None
        self._clamped = 0

    def write(self, result: Result) -> bool:
        """Write one file."""
        if self._codes is None:
            self._codes = DepthCodes.choose(self._spec, result.depth.values)
        codes, clamped = self._codes.encode(result.depth.values)
        self._clamped += clamped
        _, content = cv2.imencode(".png", codes, _PNG_LEVEL)
        self._folder.add(result.frame, ".png", content.tobytes())
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write ``depth.json`` and, when complete, rename the folder to its target."""
        about = {} if self._codes is None else describe(self._spec, self._codes)
        return self._folder.close(about, complete=complete)

    def warnings(self) -> SinkWarnings:
        """How many values the codes could not hold."""
        return SinkWarnings(clamped=self._clamped)
