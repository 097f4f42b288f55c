"""Models, clips and pictures, and what is right for each of their frames."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import depthrt
from depthrt import DepthModel, Result, YuvImage
from helpers.files.clips import Clip, picture, write_clip
from helpers.models.small_model import build_model, build_slow_model
from stress.case import WrongError, expect

Array = NDArray[Any]
IMAGES = 12
CLIPS = {
    "short.mp4": Clip(frames=25, size=(48, 64)),
    "long.mp4": Clip(frames=300, size=(96, 128), b_frames=2),
    "wide.mkv": Clip(frames=60, size=(180, 320)),
    "sound.mp4": Clip(frames=600, size=(48, 64), sound="aac"),
}
FRAMES = {name: clip.frames for name, clip in CLIPS.items()}
NUMBERED_SIZE = (48, 64)


def build(folder: Path) -> None:
    """Make the models, clips and pictures; a second or two."""
    build_model(folder / "tiny.onnx")
    build_slow_model(folder / "slow.onnx")
    for name, clip in CLIPS.items():
        write_clip(folder / name, clip)
    (folder / "images").mkdir()
    for number in range(IMAGES):
        image = cv2.cvtColor(picture(3 * number, (60, 80)), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)


def numbered(number: int) -> NDArray[np.uint8]:
    """A picture that tells its number."""
    image = picture(number, NUMBERED_SIZE)
    image[..., 0] = number % 256
    image[..., 1] = number // 256 % 256
    return image


def counting(count: int | None = None, first: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Numbered pictures; without end unless counted."""
    number = first
    while count is None or number < first + count:
        yield numbered(number)
        number += 1


@dataclass(frozen=True)
class Given:
    """A source with what must come of it.

    - ``origin``: a clip's name, ``images`` or ``numbered``;
    - ``indices``: of the frames that must come, in order; None: from 0 on, without end.
    """

    source: Any
    origin: str
    indices: tuple[int, ...] | None
    selection: depthrt.Selection | None = None


class Kit:
    """What was built in a folder, loaded as it is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reference = DepthModel.load(self.tiny, provider="cpu", threads=1)
        self._models: dict[tuple[str, int | None], DepthModel] = {}
        self.image = lru_cache(4096)(self._image)
        self.depth = lru_cache(4096)(self._depth)

    @property
    def tiny(self) -> Path:
        """A model that takes no time."""
        return self.folder / "tiny.onnx"

    @property
    def slow(self) -> Path:
        """The same depth, some 20 ms a frame."""
        return self.folder / "slow.onnx"

    def clip(self, name: str) -> str:
        """A clip's path."""
        return str(self.folder / name)

    def model(self, rng: random.Random) -> DepthModel:
        """The tiny model, in a session of some kind."""
        kinds = [("latency", 1), ("live", None), ("throughput", None), ("throughput", 2)]
        objective, threads = rng.choice(kinds)
        if rng.random() < 0.2:
            return self._load(objective, threads)
        key = (objective, threads)
        if key not in self._models:
            self._models[key] = self._load(objective, threads)
        return self._models[key]

    def slow_model(self, rng: random.Random) -> DepthModel:
        """The slow model, so that there is time to interrupt it."""
        objective: Any = rng.choice(["latency", "live", "throughput"])
        return DepthModel.load(self.slow, provider="cpu", threads=1, objective=objective)

    def _load(self, objective: Any, threads: int | None) -> DepthModel:
        return DepthModel.load(self.tiny, provider="cpu", threads=threads, objective=objective)

    def recording(self, rng: random.Random) -> Given:
        """A source that ends, of any kind."""
        kind = rng.choice(["clip", "clip", "part", "opened", "images", "list", "generator"])
        if kind == "images":
            return Given(str(self.folder / "images"), "images", tuple(range(IMAGES)))
        if kind == "list":
            count = rng.randint(1, 30)
            return Given(list(counting(count)), "numbered", tuple(range(count)))
        if kind == "generator":
            count = rng.randint(1, 90)
            return Given(counting(count), "numbered", tuple(range(count)))
        name = rng.choice(list(CLIPS))
        frames = FRAMES[name]
        if kind == "clip":
            return Given(self.clip(name), name, tuple(range(frames)))
        start, stride = rng.randrange(frames // 2), rng.randint(1, 4)
        selection = depthrt.Selection(start_s=start / 25, stride=stride)
        indices = tuple(range(start, frames, stride))
        if kind == "part":
            return Given(self.clip(name), name, indices, selection)
        opened = depthrt.open_source(self.clip(name), selection)
        return Given(opened, name, indices)

    def source(self, rng: random.Random) -> Given:
        """A recording, or numbered pictures without end."""
        if rng.random() < 0.2:
            return Given(counting(), "numbered", None)
        return self.recording(rng)

    def _image(self, origin: str, index: int) -> Array:
        """RGB (H,W,3) of pictures; YUV 4:2:0 (H*3/2,W) of clips."""
        if origin == "numbered":
            return numbered(index)
        if origin == "images":
            return depthrt.read_image(self.folder / "images" / f"{index}.png")
        return decoded(self.folder / origin)[index]

    def _depth(self, origin: str, index: int, full_range: bool, matrix: Any) -> Array:
        image = self.image(origin, index)
        if origin in CLIPS:
            y, u, v = split(image, CLIPS[origin].size)
            return self._reference(YuvImage(y, u, v, matrix, full_range)).values
        return self._reference(image).values

    def check(self, result: Result, origin: str, index: int, gain: float = 1.0) -> None:
        """Make sure that a result is the frame of this index, with its own picture and depth."""
        frame = result.frame
        expect(frame.index == index, f"{origin}: frame {frame.index} came in place of {index}")
        key: tuple[bool, Any] = (False, None)
        image, right = frame.pixels, self.image(origin, index)
        if isinstance(image, YuvImage):
            planes = split(right, CLIPS[origin].size)
            same = all(map(np.array_equal, (image.y, image.u, image.v), planes))
            key = (image.full_range, image.matrix)
        else:
            same = np.array_equal(image, right)
        expect(same, f"{origin}: frame {index} has the picture of another one")
        depth = self.depth(origin, index, *key)
        if not np.array_equal(result.depth.values, depth * np.float32(gain)):
            raise WrongError(f"{origin}: frame {index} has the depth of another picture")


@lru_cache(maxsize=8)
def decoded(path: Path) -> list[NDArray[np.uint8]]:
    """The frames of a clip as FFmpeg gives them."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]


def split(planar: Array, size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """The planes of YUV 4:2:0."""
    height, width = size
    half = (height // 2, width // 2)
    area = half[0] * half[1]
    flat = planar.reshape(-1)
    luma = height * width
    return (
        flat[:luma].reshape(size),
        flat[luma : luma + area].reshape(half),
        flat[luma + area : luma + 2 * area].reshape(half),
    )


def take(
    kit: Kit, results: Iterable[Result], given: Given, most: int | None = None, first: int = 0
) -> int:
    """Take and check results, at most so many, from the first-th on; how many there were.

    Where fewer come than were asked for, they must be all that there are.
    """
    count = 0
    if most == 0:
        return 0
    for result in results:
        place = first + count
        if given.indices is not None:
            expect(place < len(given.indices), f"{given.origin}: more frames than there are")
            index = given.indices[place]
        else:
            index = place
        kit.check(result, given.origin, index)
        count += 1
        if count == most:
            return count
    if given.indices is not None:
        expect(first + count == len(given.indices), f"{given.origin}: {first + count} frames came")
    else:
        raise WrongError(f"{given.origin}: ended after {count} frames, which has no end")
    return count


def options(rng: random.Random) -> dict[str, Any]:
    """Keywords of ``stream`` that must not change a result."""
    chosen: dict[str, Any] = {}
    if rng.random() < 0.4:
        chosen["batch"] = rng.randint(1, 5)
    if rng.random() < 0.2:
        chosen["wait_s"] = rng.choice([0.0, 0.01, 0.2])
    if rng.random() < 0.3:
        chosen["stats"] = depthrt.Stats()
    return chosen


def begin(case: Any, given: Given, **more: Any) -> Any:
    """A stream of a source."""
    model = more.pop("model", None) or case.kit.model(case.rng)
    keywords = {**options(case.rng), **more}
    return depthrt.stream(given.source, model, selection=given.selection, **keywords)
