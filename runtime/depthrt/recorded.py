"""Depth read back from what ``depthrt run`` wrote."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.depth_codes import INDEX_FILE, TAG_PREFIX, DepthCodes
from depthrt.errors import SourceError
from depthrt.spec import Kind, Unit

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_ONE_LISTENER = threading.Lock()
_WRONG_CHECKSUM = "slice CRC mismatch"  # what FFmpeg's FFV1 decoder says of it
_SLACK = 2  # steps between maps by which the file's duration may be off
# What numpy, json and FFmpeg raise for a file that is something else or was cut off.
_BROKEN = (
    OSError, KeyError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Recorded:
    """One recorded depth map: float32 (h,w), NaN where invalid, and its time in seconds."""

    values: NDArray[np.float32]
    time_s: float
    kind: Kind
    unit: Unit | None


def read_depth(path: str | Path) -> Iterator[Recorded]:
    """The depth maps of a ``.mkv``, ``.npz`` or PNG folder that ``depthrt run`` wrote, in order.

    Values of ``.npz`` are exactly the model's; 16-bit ones are off by at most half their step.

    Raises:
        SourceError: missing, or not written by depthrt; later, after the maps before it, where it
            is damaged or cut off.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _read_folder(path)
        if path.suffix.lower() == ".npz":
            return _read_npz(path)
        return _read_mkv(path)
    except _BROKEN as error:
        raise _no_recording(path, error) from error


def _no_recording(path: Path, error: Exception) -> SourceError:
    if isinstance(error, SourceError):
        return error
    reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
    return SourceError(f"{path} is no depth recording of depthrt ({reason})")


def _read_npz(path: Path) -> Iterator[Recorded]:
    # numpy leaves a file that it opened itself open when it is no archive.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        depth, times = archive["depth"], archive["time_s"]
        meaning = _meaning({key: str(archive[key]) for key in ("kind", "unit")})
    return (Recorded(values, float(t), *meaning) for values, t in zip(depth, times, strict=True))


def _read_folder(path: Path) -> Iterator[Recorded]:
    content = json.loads((path / INDEX_FILE).read_text())
    codes = DepthCodes(float(content["step"]), float(content["offset"]))
    meaning, frames = _meaning(content), content["frames"]

    def read() -> Iterator[Recorded]:
        for frame in frames:
            image = cv2.imread(str(path / frame["file"]), cv2.IMREAD_UNCHANGED)
            if image is None or image.dtype != np.uint16:
                raise SourceError(f"{path / frame['file']} is missing or no 16-bit PNG")
            yield Recorded(codes.decode(image.astype(np.uint16)), frame["time_s"], *meaning)

    return read()


def _read_mkv(path: Path) -> Iterator[Recorded]:
    import av

    container = av.open(str(path.absolute()))  # a colon in a name is no protocol
    tags = {
        key.upper().removeprefix(TAG_PREFIX).lower(): value
        for key, value in container.metadata.items()
        if key.upper().startswith(TAG_PREFIX)
    }
    if "step" not in tags:
        container.close()
        raise SourceError(f"{path} is no depth recording of depthrt (no {TAG_PREFIX}STEP tag)")
    codes = DepthCodes(float(tags["step"]), float(tags["offset"]))
    meaning = _meaning(tags)

    def read() -> Iterator[Recorded]:
        with container:
            frames = container.decode(video=0)
            last_s, step_s = 0.0, float(1 / (container.streams.video[0].average_rate or 1))
            while True:
                frame = _next_whole(frames, path)
                if frame is None:
                    break
                samples = frame.to_ndarray(format="gray16le").astype(np.uint16, copy=False)
                time_s = float(frame.time or 0)
                step_s, last_s = max(step_s, time_s - last_s), time_s
                yield Recorded(codes.decode(samples), time_s, *meaning)
            end_s = float(Fraction(container.duration or 0, av.time_base))
            if last_s + _SLACK * step_s < end_s:
                raise SourceError(f"{path} is cut off: it ends at {last_s:.3f} s of {end_s:.3f} s")

    return read()


def _next_whole(frames: Iterator[VideoFrame], path: Path) -> VideoFrame | None:
    """The next frame, None at the end; one whose checksum is wrong is no depth.

    FFmpeg conceals what is damaged by what stood there before, and only logs that it did.
    """
    import av

    with _ONE_LISTENER:  # FFmpeg's log is that of the process
        before = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture(local=False) as logs:
                frame = next(frames, None)
        except av.error.FFmpegError as error:
            raise SourceError(f"{path} is damaged ({error.strerror})") from error
        finally:
            av.logging.set_level(before)
    if any(_WRONG_CHECKSUM in message for _, _, message in logs):
        raise SourceError(f"{path} is damaged (a checksum is wrong)")
    return frame


def _meaning(content: dict[str, Any]) -> tuple[Kind, Unit | None]:
    kind: Kind = "depth" if content["kind"] == "depth" else "inverse_depth"
    return kind, "m" if content.get("unit") == "m" else None
