"""depthrt: monocular depth on the edge.

>>> import depthrt
>>> model = depthrt.DepthModel.load()               # the built-in model, or a path
>>> depth = model(depthrt.read_image("photo.jpg"))  # depth.values, depth.at_image_size()
>>> with depthrt.stream("clip.mp4", model) as results:
...     for result in results:
...         picture = depthrt.colourise(result.depth, result.display_range)
>>> running = depthrt.start(depthrt.stream(0, model), on_result)    # a callback, in a thread
>>> cloud = depthrt.point_cloud(image, depth, depthrt.CloudOptions(fov_deg=70))  # cloud.to_ply()

``help(depthrt.stream)`` and the like say more of each name.

Models
    DepthModel              a network, ready to run: model(image) gives its Depth
    ModelSpec, InputSpec    what a model file says of itself and of its input
    prepare                 an image as the network's input
    Ladder, build_ladder    several models, of which one is chosen at a time to hold a rate

Depth
    Depth                   a depth map; its values, kind, unit, and size of its image
    colourise               a picture of it
    point_cloud, PointCloud, CloudOptions, Intrinsics    points in space, and the camera
    read_depth, Recorded    depth maps that `depthrt run` has written

Frames and sources
    read_image              a file as an RGB image
    open_source, Source, SourceInfo, Selection           a video, camera, URL, folder; which frames
    Reading, CameraFormat   how it is read: which stream of a file, what a camera is asked for
    Frame, YuvImage, to_rgb                              a picture and its time

Streams
    stream, stream_many     depth of one source, or of several through one session
    start, Background       a callback for each result, in a thread
    Result, Stats           a frame with its depth; what was counted
    LiveLimits, Reuse, Stabiliser       newest frames only; frames that do not change; no flicker
    Keyframes                           the network on a few frames, depth of all

Errors
    DepthrtError            all of them; each is a sentence and has an exit code
    UsageError, SourceError, TargetError, ModelError, ProviderError, InferenceError, WriteError,
    AccuracyGateError, LatencyGateError
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from depthrt.depth import Depth
    from depthrt.errors import (
        AccuracyGateError,
        DepthrtError,
        InferenceError,
        LatencyGateError,
        ModelError,
        ProviderError,
        SourceError,
        TargetError,
        UsageError,
        WriteError,
    )
    from depthrt.frame import Frame, YuvImage, to_rgb
    from depthrt.model.depth_model import DepthModel
    from depthrt.model.preprocess import prepare
    from depthrt.pipeline.callback import Background, start
    from depthrt.pipeline.ladder.model_ladder import Ladder, build_ladder
    from depthrt.pipeline.stream import stream, stream_many
    from depthrt.render.camera import Intrinsics
    from depthrt.render.point_cloud import CloudOptions, PointCloud, point_cloud
    from depthrt.render.views import colourise
    from depthrt.result import Result, Stats
    from depthrt.sinks.reader import Recorded, read_depth
    from depthrt.sources.base import Selection, Source, SourceInfo
    from depthrt.sources.images import read_image
    from depthrt.sources.live.live_limits import LiveLimits
    from depthrt.sources.open import open_source
    from depthrt.sources.read_options import CameraFormat, Reading
    from depthrt.spec import InputSpec, ModelSpec
    from depthrt.temporal.frame_reuse import Reuse
    from depthrt.temporal.keyframes import Keyframes
    from depthrt.temporal.stabiliser import Stabiliser

_HOMES = {
    "depth": "Depth",
    "errors": (
        "AccuracyGateError DepthrtError InferenceError LatencyGateError ModelError ProviderError "
        "SourceError TargetError UsageError WriteError"
    ),
    "frame": "Frame YuvImage to_rgb",
    "model.depth_model": "DepthModel",
    "model.preprocess": "prepare",
    "pipeline.callback": "Background start",
    "pipeline.ladder.model_ladder": "Ladder build_ladder",
    "pipeline.stream": "stream stream_many",
    "render.camera": "Intrinsics",
    "render.point_cloud": "CloudOptions PointCloud point_cloud",
    "render.views": "colourise",
    "result": "Result Stats",
    "sinks.reader": "Recorded read_depth",
    "sources.base": "Selection Source SourceInfo",
    "sources.images": "read_image",
    "sources.live.live_limits": "LiveLimits",
    "sources.open": "open_source",
    "sources.read_options": "CameraFormat Reading",
    "spec": "InputSpec ModelSpec",
    "temporal.frame_reuse": "Reuse",
    "temporal.keyframes": "Keyframes",
    "temporal.stabiliser": "Stabiliser",
}
"""The public names by the module of each, which is imported when one of them is first used."""

__all__ = [
    "AccuracyGateError",
    "Background",
    "CameraFormat",
    "CloudOptions",
    "Depth",
    "DepthModel",
    "DepthrtError",
    "Frame",
    "InferenceError",
    "InputSpec",
    "Intrinsics",
    "Keyframes",
    "Ladder",
    "LatencyGateError",
    "LiveLimits",
    "ModelError",
    "ModelSpec",
    "PointCloud",
    "ProviderError",
    "Reading",
    "Recorded",
    "Result",
    "Reuse",
    "Selection",
    "Source",
    "SourceError",
    "SourceInfo",
    "Stabiliser",
    "Stats",
    "TargetError",
    "UsageError",
    "WriteError",
    "YuvImage",
    "build_ladder",
    "colourise",
    "open_source",
    "point_cloud",
    "prepare",
    "read_depth",
    "read_image",
    "start",
    "stream",
    "stream_many",
    "to_rgb",
]

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:  # a type checker is to see the names above and no others

    def __getattr__(name: str) -> object:  # PEP 562
        """Import a public name's module when the name is first used: starting stays quick."""
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'depthrt' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"depthrt.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [] if _is_for_help() else sorted({*globals(), *__all__})


def _is_for_help() -> bool:
    """Whether help(depthrt) asks: it prints each class whole, and the overview says enough."""
    frame: FrameType | None = sys._getframe(1)  # of __dir__; pydoc asks by way of inspect
    for _ in range(4):
        frame = None if frame is None else frame.f_back
        if frame is not None and frame.f_globals.get("__name__") == "pydoc":
            return True
    return False
