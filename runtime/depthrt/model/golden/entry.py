"""Golden frames: the entry ``depthrt_golden`` in a model file's metadata.

It is one JSON object: a few pictures, the depth that the finished file gave of them where it was
proven, and how far another machine's may be from that. ``docs/how_it_works.md`` describes it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import ModelError
from depthrt.files.json_file import JsonObject, parse_json
from depthrt.model.golden.packed import enlarge, halved, pack, unpack
from depthrt.spec import InputSpec

GOLDEN_KEY = "depthrt_golden"
GOLDEN_VERSION = 1
MOST_CHARACTERS = 150_000
MOST_FRAMES = 16
MOST_STEP = 32  # levels of a picture that may be one
MOST_POINTS = (48, 64)  # rows and columns at which depth is kept
_ZERO = 128  # the code of red or blue that is green
_STEPS = 65535  # between the smallest depth of a frame and the largest
_FLAT = 1e-3  # a depth map whose spread is below this share of its values is flat


@dataclass(frozen=True)
class Tolerance:
    """Greatest mean |difference| to the proven depth that is right, over that depth's spread.

    ``cpu`` holds for onnxruntime's CPU provider, ``others`` for every other provider.
    """

    cpu: float
    others: float


@dataclass(frozen=True)
class GoldenFrame:
    """One picture and its proven depth, both packed.

    - ``label``: the name of the picture;
    - ``height``, ``width``, ``step``, ``picture``, ``colour``: the picture, at most as large as the
      network's input, to which it is enlarged: green in steps of so many levels, and at half the
      size red and blue less green in steps twice as large. So it stays sharp, as networks want it;
    - ``rows``, ``columns``, ``depth``: uint16 codes of the depth at that many points, evenly spread
      over the map with its first and last row and column;
    - ``low``, ``high``: the depths of the codes 0 and 65535.
    """

    label: str
    height: int
    width: int
    step: int
    picture: str
    colour: str
    rows: int
    columns: int
    low: float
    high: float
    depth: str

    @classmethod
    def picture_only(cls, label: str, picture: NDArray[np.uint8], step: int) -> GoldenFrame:
        """A frame of a picture (uint8 RGB h,w,3) whose depth is not known yet."""
        height, width = picture.shape[:2]
        whole = picture.astype(np.int16)
        apart = halved(whole[..., ::2] - whole[..., 1:2])
        codes = np.round(apart / (2 * step)).astype(np.int16) + _ZERO
        green = pack(picture[..., 1] // np.uint8(step))
        return cls(
            label, height, width, step, green, pack(codes.astype(np.uint8)), 0, 0, 0.0, 0.0, ""
        )

    def with_depth(self, depth: NDArray[np.float32]) -> GoldenFrame:
        """The frame with the depth (H,W) that the network gave of :meth:`pixels`."""
        points = points_of(
            depth, *(min(m, n) for m, n in zip(MOST_POINTS, depth.shape, strict=True))
        )
        low, high = float(points.min()), float(points.max())
        share = (points.astype(np.float64) - low) / ((high - low) or 1.0)
        codes = np.round(share * _STEPS).astype(np.uint16)
        rows, columns = codes.shape
        return replace(
            self, rows=rows, columns=columns, low=low, high=high, depth=pack(codes)
        )  # fmt: skip

    def pixels(self, size: InputSpec) -> NDArray[np.uint8]:
        """The network's input: uint8 RGB 3,H,W.

        Raises:
            ModelError: the picture cannot be unpacked.
        """
        picture = enlarge(self._picture(), (size.height, size.width))
        return np.ascontiguousarray(picture.transpose(2, 0, 1))

    def _picture(self) -> NDArray[np.uint8]:
        half = ((self.height + 1) // 2, (self.width + 1) // 2, 2)
        try:
            codes = unpack(self.picture, (self.height, self.width), np.uint8)
            small = unpack(self.colour, half, np.uint8)
        except ValueError as error:
            raise ModelError(
                f"the picture of golden frame {self.label} is broken ({error})"
            ) from error
        green = codes.astype(np.int32)[..., None] * self.step + self.step // 2
        apart = enlarge(small, (self.height, self.width)).astype(np.int32) - _ZERO
        others = green + apart * 2 * self.step
        whole = np.concatenate([others[..., :1], green, others[..., 1:]], axis=2)
        return np.asarray(np.clip(whole, 0, 255), np.uint8)

    def proven(self) -> NDArray[np.float32]:
        """The proven depth at the points: float32 rows,columns.

        Raises:
            ModelError: the depth cannot be unpacked.
        """
        try:
            codes = unpack(self.depth, (self.rows, self.columns), np.uint16)
        except ValueError as error:
            raise ModelError(
                f"the depth of golden frame {self.label} is broken ({error})"
            ) from error
        return np.asarray(self.low + codes / _STEPS * (self.high - self.low), np.float32)

    def check(self) -> None:
        """Make sure that the frame can be replayed, without running it.

        Raises:
            ModelError: picture or depth cannot be unpacked.
        """
        self._picture()
        self.proven()

    def error(self, depth: NDArray[np.float32]) -> float:
        """Mean |difference| of a depth map (H,W) to the proven one, over that one's spread.

        Infinite where the map has NaN or infinity.
        """
        proven = self.proven().astype(np.float64)
        apart = np.abs(points_of(depth, self.rows, self.columns) - proven)
        error = float(apart.mean()) / _spread(proven)
        return error if math.isfinite(error) else math.inf


@dataclass(frozen=True)
class Golden:
    """All golden frames of a file.

    ``by``: what gave the proven depth, such as ``onnxruntime 1.32.0, cpu, x86_64``.
    """

    frames: tuple[GoldenFrame, ...]
    tolerance: Tolerance
    by: str

    def to_json(self) -> str:
        """The entry."""
        content = {"version": GOLDEN_VERSION, **asdict(self)}
        return json.dumps({**content, "sha256": _hash(content)}, allow_nan=False)


def read_golden(metadata: Mapping[str, str], size: InputSpec) -> Golden | None:
    """The golden frames in a file's metadata; None if it has none.

    Args:
        metadata: the entries, by key.
        size: of the network's input, as the spec says.

    Raises:
        ModelError: the entry is broken or was changed, or is of a later version.
    """
    text = metadata.get(GOLDEN_KEY)
    if text is None:
        return None
    if len(text) > MOST_CHARACTERS:
        raise ModelError(f"its golden frames are broken ({len(text)} characters are too many)")
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ModelError(f"its golden frames are broken ({error})") from error
    if not isinstance(content, dict):
        raise ModelError("its golden frames are broken (no JSON object)")
    version = content.get("version")
    if type(version) is int and version > GOLDEN_VERSION:
        raise ModelError(
            f"its golden frames are of version {version}, but this depthrt reads up to "
            f"{GOLDEN_VERSION}: upgrade depthrt"
        )
    if content.pop("sha256", None) != _hash(content):
        raise ModelError("its golden frames were changed since they were proven (wrong sha256)")
    return _parse(JsonObject(content, "its golden frames", ModelError), size)


def _parse(content: JsonObject, size: InputSpec) -> Golden:
    frames = content.objects("frames")
    if not 1 <= len(frames) <= MOST_FRAMES:
        raise ModelError(f"its golden frames are broken ({len(frames)}, not 1 to {MOST_FRAMES})")
    tolerance = content.object("tolerance")
    return Golden(
        tuple(_frame(frame, size) for frame in frames),
        Tolerance(tolerance.number("cpu", above=0), tolerance.number("others", above=0)),
        content.text("by"),
    )


def _frame(content: JsonObject, size: InputSpec) -> GoldenFrame:
    for key, most in (
        ("step", MOST_STEP),
        ("height", size.height),
        ("width", size.width),
        ("rows", size.height),
        ("columns", size.width),
    ):
        if not 1 <= content.whole(key) <= most:
            raise content.wrong(key, f"1 to {most}")
    if not content.text("label").isprintable():
        raise content.wrong("label", "a line of text")
    if not content.number("low") <= content.number("high"):
        raise content.wrong("low", "a number up to high")
    return GoldenFrame(
        content.text("label"),
        content.whole("height"),
        content.whole("width"),
        content.whole("step"),
        content.text("picture"),
        content.text("colour"),
        content.whole("rows"),
        content.whole("columns"),
        content.number("low"),
        content.number("high"),
        content.text("depth"),
    )


def points_of(depth: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """A depth map (H,W) at so many points, evenly spread."""
    chosen = [
        np.arange(count) * (length - 1) // max(count - 1, 1)
        for count, length in zip((rows, columns), depth.shape, strict=True)
    ]
    return depth[np.ix_(*chosen)]


def _spread(depth: NDArray[np.float64]) -> float:
    """From the 2nd to the 98th percentile; of a flat map, a thousandth of its greatest |value|."""
    ordered = np.sort(depth, axis=None)  # np.percentile takes 10 ms when it is first called
    low, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.02, 0.98))
    return max(float(high - low), _FLAT * float(np.abs(ordered).max()), 1e-12)


def _hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of the entry without its hash, its keys in order."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
