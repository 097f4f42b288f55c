"""Point clouds: one PLY file, or a folder of them."""

from __future__ import annotations

from pathlib import Path

from depthrt.render.point_cloud import CloudOptions, describe_cloud, point_cloud
from depthrt.result import Result
from depthrt.sinks.base import Sink, SinkWarnings
from depthrt.sinks.frame_folder import POINTS_FOLDER, FrameFolder
from depthrt.sinks.one_file import OneFileSink


def ply_of(result: Result, options: CloudOptions) -> bytes:
    """The PLY file of a frame; its comments say what the numbers mean."""
    frame, depth = result.frame, result.depth
    cloud = point_cloud(frame.image, depth, options, result.display_range)
    place = f"{frame.stream} frame {frame.index} at {frame.time_s:.6f} s"
    return cloud.to_ply(("made by depthrt", *describe_cloud(depth, options), place))


def _assumed(first: Result, options: CloudOptions) -> str:
    depth = first.depth
    return options.assumed(metric=depth.unit == "m", own_fov_deg=depth.fov_deg)


class PlySink(OneFileSink):
    """The points of a single image as a PLY file."""

    def __init__(self, target: Path, options: CloudOptions, *, overwrite: bool = False) -> None:
        more = (
            "holds one cloud, but the source has more: write a folder with --format ply, or take "
            "--max-frames 1"
        )
        super().__init__(target, more, overwrite=overwrite)
        self._options = options
        self._assumed = ""

    def write(self, result: Result) -> bool:
        """Write the file; a second frame is an error."""
        super().write(result)
        self._assumed = _assumed(result, self._options)
        return True

    def content(self, result: Result) -> bytes:
        """The points of a frame."""
        return ply_of(result, self._options)

    def warnings(self) -> SinkWarnings:
        """What was assumed of camera and scale."""
        return SinkWarnings(assumed=self._assumed)


class PlyFolderSink(Sink):
    """One PLY file for each frame, and ``points.json``: files and times."""

    def __init__(self, target: Path, options: CloudOptions, *, overwrite: bool = False) -> None:
        self._folder = FrameFolder(target, POINTS_FOLDER, overwrite=overwrite)
        self._options = options
        self._about: list[str] = []
        self._assumed = ""

    def write(self, result: Result) -> bool:
        """Write one file."""
        if not self._folder.is_begun:
            self._about = list(describe_cloud(result.depth, self._options))
            self._assumed = _assumed(result, self._options)
        self._folder.add(result.frame, ".ply", ply_of(result, self._options))
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write ``points.json`` and, when complete, rename the folder to its target."""
        return self._folder.close({"about": self._about}, complete=complete)

    def warnings(self) -> SinkWarnings:
        """What was assumed of camera and scale."""
        return SinkWarnings(assumed=self._assumed)
