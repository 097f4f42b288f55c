"""Reading depth back from what ``depthrt run`` has written."""

from __future__ import annotations

import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import SourceError
from depthrt.files.json_file import JsonObject, is_plain_name, read_object
from depthrt.sinks.depth.codes import MAX_CODE, TAG_PREFIX, DepthCodes
from depthrt.sinks.frame_folder import INDEX_FILE
from depthrt.sources.containers import open_input
from depthrt.spec import OPTIONAL_OUTPUTS, Kind, Resize, Unit

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_ONE_LISTENER = threading.Lock()
_WRONG_CHECKSUM = "slice CRC mismatch"  # in the log of FFmpeg's FFV1 decoder
_SLACK = 2  # frame intervals by which the stated duration may be wrong
# What numpy, zlib and FFmpeg raise for a file that is something else, is cut off, or states a wrong
# size. zipfile raises RuntimeError for a compression that it does not know, or for a password.
_BROKEN = (
    OSError, KeyError, ValueError, TypeError, EOFError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_LARGEST = float(np.finfo(np.float32).max)
_KINDS = get_args(Kind)
_UNITS = (*get_args(Unit), "", None)
_RESIZES = (*get_args(Resize), None)


@dataclass(frozen=True, eq=False)
class Recorded(Depth):
    """A depth map that was recorded; its values are NaN where there is none.

    ``time_s`` is its time in seconds. Files of depthrt 0.1 do not say ``image_size`` and
    ``resize``: there they are the size of the map and ``stretch``. What the model gave beside depth
    is in an ``.npz`` only; of ``valid`` the other forms keep that values are NaN elsewhere.
    """

    time_s: float = 0.0


def read_depth(path: str | Path) -> Iterator[Recorded]:
    """The depth maps of a ``.mkv``, ``.npz`` or PNG folder of ``depthrt run``, in order.

    Values of an ``.npz`` are exactly those of the model, also where its ``valid`` is false; 16-bit
    values are off by half their step at most, and NaN there.

    Raises:
        SourceError: it is missing, or not written by depthrt; later, after the maps before that, if
            it is damaged or cut off.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _read_folder(path)
        if path.exists() and not path.is_file():  # reading a pipe would block
            raise ValueError("it is no regular file")
        if path.suffix.lower() == ".npz":
            return _read_npz(path)
        return _read_mkv(path)
    except _BROKEN as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise SourceError(f"{path} is no depth recording of depthrt ({why})") from error


def _read_npz(path: Path) -> Iterator[Recorded]:
    # If it is no archive, numpy would leave a file open that it had opened itself.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        depth, times = archive["depth"], archive["time_s"]
        about = {key: str(archive[key]) for key in ("kind", "unit", "resize") if key in archive}
        meaning = _meaning(about, path)
        sizes = archive["image_size"] if "image_size" in archive else np.array(depth.shape[1:])
        beside = {name: archive[name] for name in OPTIONAL_OUTPUTS if name in archive}
    if depth.ndim != 3 or depth.dtype.kind != "f":
        raise ValueError(f"its depth is {depth.dtype} of shape {depth.shape}, not float32 N,h,w")
    if times.shape != depth.shape[:1] or times.dtype.kind != "f" or not np.isfinite(times).all():
        raise ValueError(f"its time_s is not {len(depth)} finite times, one for each map")
    if sizes.dtype.kind not in "iu" or sizes.shape not in ((2,), (len(depth), 2)):
        raise ValueError("its image_size is not one height and width, or one for each map")
    for name, array in beside.items():
        _check_beside(name, array, depth.shape)
    maps = depth.astype(np.float32, copy=False)
    sizes = np.broadcast_to(sizes, (len(depth), 2))
    return (
        meaning.recorded(
            values,
            float(times[i]),
            (int(sizes[i][0]), int(sizes[i][1])),
            {name: array[i] for name, array in beside.items()},
        )
        for i, values in enumerate(maps)
    )


def _check_beside(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless what the model gave beside depth (N,h,w) fits it."""
    form = OPTIONAL_OUTPUTS[name]
    sides = {"N": shape[0], "3": 3, "H": shape[1], "W": shape[2]}
    kind = "b" if form.element == "bool" else "f"
    if array.dtype.kind != kind or array.shape != tuple(sides[axis] for axis in form.axes):
        raise ValueError(f"its {name} is {array.dtype} of shape {array.shape}")


def _read_folder(path: Path) -> Iterator[Recorded]:
    index = read_object(path / INDEX_FILE)
    codes = _codes(index.number("step"), index.number("offset"))
    meaning = _meaning(index.content, path / INDEX_FILE)
    frames = [
        (_file_in(path, entry), entry.number("time_s"), _image_size(entry))
        for entry in index.objects("frames")
    ]

    def read() -> Iterator[Recorded]:
        for file, time_s, size in frames:
            yield meaning.recorded(codes.decode(_read_png(file)), time_s, size)

    return read()


def _file_in(folder: Path, entry: JsonObject) -> Path:
    """The path of an entry of the index; it must be in the folder itself."""
    name = entry.text("file")
    if not is_plain_name(name):
        raise entry.wrong("file", "the name of a file in this folder")
    return folder / name


def _read_png(file: Path) -> NDArray[np.uint16]:
    image = None
    if file.is_file():  # reading a pipe would block
        try:
            image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:  # more pixels than OpenCV decodes
            raise SourceError(f"{file} cannot be decoded ({error.err})") from error
    if image is None or image.dtype != np.uint16 or image.ndim != 2:
        raise SourceError(f"{file} is missing or no 16-bit PNG")
    return image.astype(np.uint16, copy=False)


def _read_mkv(path: Path) -> Iterator[Recorded]:
    import av

    container = open_input(str(path.absolute()), path.name)  # a colon in a name is no protocol
    tags = {
        key.upper().removeprefix(TAG_PREFIX).lower(): value
        for key, value in container.metadata.items()
        if key.upper().startswith(TAG_PREFIX)
    }
    try:
        if "step" not in tags:
            raise ValueError(f"no {TAG_PREFIX}STEP tag")
        if not container.streams.video:
            raise ValueError("no video in it")
        codes = _codes(float(tags["step"]), float(tags["offset"]))
        meaning = _meaning(_listed(tags), path)
    except _BROKEN:
        container.close()
        raise

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
                yield meaning.recorded(codes.decode(samples), time_s)
            end_s = float(Fraction(container.duration or 0, av.time_base))
            if last_s + _SLACK * step_s < end_s:
                raise SourceError(f"{path} is cut off: it ends at {last_s:.3f} s of {end_s:.3f} s")

    return read()


def _listed(tags: Mapping[str, str]) -> dict[str, Any]:
    """The tags, the size of the picture as a list again."""
    if "image_size" not in tags:
        return dict(tags)
    return {
        **tags,
        "image_size": [float(side) for side in tags["image_size"].strip("[]").split(",")],
    }


def _next_whole(frames: Iterator[VideoFrame], path: Path) -> VideoFrame | None:
    """The next frame; None at the end.

    FFmpeg replaces what is damaged by the frame before, and only logs that the checksum is wrong.

    Raises:
        SourceError: the frame is damaged.
    """
    import av

    with _ONE_LISTENER:  # FFmpeg has one log for the whole process
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


def _codes(step: float, offset: float) -> DepthCodes:
    if not (step > 0 and abs(offset) + step * MAX_CODE <= _LARGEST):  # false for NaN, too
        raise ValueError(f"step {step:g} and offset {offset:g} mean no depth")
    return DepthCodes(step, offset)


@dataclass(frozen=True)
class _Meaning:
    """What a file says of all its maps."""

    kind: Kind
    unit: Unit | None
    image_size: tuple[int, int] | None
    resize: Resize

    def recorded(
        self,
        values: NDArray[np.float32],
        time_s: float,
        size: tuple[int, int] | None = None,
        beside: Mapping[str, NDArray[Any]] | None = None,
    ) -> Recorded:
        height, width = values.shape
        size = size or self.image_size or (height, width)
        found = Recorded(values, self.kind, self.unit, size, self.resize, time_s)
        return found.with_optional(beside, width) if beside else found


def _meaning(content: Mapping[str, Any], where: Path) -> _Meaning:
    about = JsonObject(content, str(where))
    kind: Kind = about.one_of("kind", _KINDS)
    unit: Unit | None = about.one_of("unit", _UNITS) or None
    resize: Resize = about.one_of("resize", _RESIZES) or "stretch"
    return _Meaning(kind, unit, _image_size(about), resize)


def _image_size(about: JsonObject) -> tuple[int, int] | None:
    if about.content.get("image_size") is None:
        return None
    sides = about.numbers("image_size", above=0)
    if len(sides) != 2:
        raise about.wrong("image_size", "a height and a width")
    return int(sides[0]), int(sides[1])
