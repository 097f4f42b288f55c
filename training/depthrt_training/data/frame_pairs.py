"""Pairs of frames of clips with the optical flow between them, for `losses/motion_loss.py`.

`prepare.py --pairs` writes WORK/pairs.npz from the clips of the data folder. A pair is two
pictures (uint8, 2,H,W,3, short side at most 256), the flow from the first to the second (float16,
H,W,2, pixels, x then y) and where it can be believed (bool, H,W).
"""

from __future__ import annotations

import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from depthrt_training.data.augmentation import MILD, VALID_WEIGHT, recolour
from depthrt_training.data.label_cache import ByteImage, HalfMap, shrink
from depthrt_training.data.provenance import Provenance, hash_of_pictures, write_provenance
from depthrt_training.losses.camera_motion import parallax_share
from depthrt_training.losses.motion_loss import PairBatch, motion_terms

Mask = npt.NDArray[np.bool_]
FloatMap = npt.NDArray[np.float32]
Values = ByteImage | FloatMap

PAIRS_A_CLIP = 150
MAX_GAP = 3
MIN_FLOW_PX = 1.0
"""The second frame of a near pair is the first that has moved this far, at most `MAX_GAP` later."""

WIDE_GAPS = (2, 4, 7, 10)
WIDE_PARALLAX = 0.0025
"""The second frame of a wide pair is the first with this parallax, a share of the focal length
(about a pixel); without such a frame there is no wide pair."""

FOCAL_SHARE = 0.9
"""Assumed focal length over the longer side of a frame: a field of view of 58 degrees."""

_MIN_BELIEVED = 0.3
_MAX_COLOUR_DIFFERENCE = 30.0  # of 255, median between a frame and the other seen from it
_SAME_COLOURS = replace(MILD, blur=0.0, noise=0.0)
"""Both frames must change alike, so only changes of single pixels: no blur, no noise."""


@dataclass(frozen=True)
class Pair:
    """pictures 2,H,W,3 RGB; flow H,W,2 in pixels, first to second frame; valid H,W.

    near: whether depth must be the same in both frames; wide pairs show parallax instead.
    """

    pictures: ByteImage
    flow: HalfMap
    valid: Mask
    near: bool = True


@dataclass(frozen=True)
class PairSource:
    """A folder of clips, from which `prepare.py --pairs` makes frame pairs."""

    folder: Path

    def provenance(self) -> Provenance:
        """Everything the pairs depend on."""
        return {
            "folders": str(self.folder.resolve()),
            "pictures": hash_of_pictures([self.folder]),
            "pairs": f"{PAIRS_A_CLIP} a clip, gap {MAX_GAP}, flow {MIN_FLOW_PX}, "
            f"wide {WIDE_GAPS}, parallax {WIDE_PARALLAX}",
        }

    def write(self, file: Path) -> int:
        """Write the pairs and their provenance; returns how many there are."""
        unfinished = file.with_suffix(".partial.npz")
        count = 0
        with zipfile.ZipFile(unfinished, "w") as archive:
            for number, clip in enumerate(sorted(self.folder.glob("*.mp4"))):
                for start, gap, pair in clip_pairs(clip):
                    key = f"{number:03d}-{start:06d}-{gap}-{'near' if pair.near else 'wide'}"
                    for name in ("pictures", "flow", "valid"):
                        with archive.open(f"{key}.{name}.npy", "w") as entry:
                            np.lib.format.write_array(entry, getattr(pair, name))
                    count += 1
        write_provenance(file, self.provenance())
        unfinished.replace(file)
        return count


class Pairs:
    """The pairs of a cache file, some held out; a pair is read when it is needed.

    The last tenth of every clip's pairs is held out; training pairs share no frame with them.
    """

    def __init__(self, file: Path) -> None:
        if not file.exists():
            raise FileNotFoundError(
                f"{file} is missing: run depthrt_training.prepare --pairs first"
            )
        self._archive = zipfile.ZipFile(file)
        keys = sorted({name.split(".")[0] for name in self._archive.namelist()})
        self.training: list[str] = []
        self.held_out: list[str] = []
        for clip in sorted({key.split("-")[0] for key in keys}):
            of_clip = [key for key in keys if key.split("-")[0] == clip]
            kept = len(of_clip) - -(-len(of_clip) // 10)
            first_held_out = int(of_clip[kept].split("-")[1])
            for key in of_clip:
                start, gap = (int(part) for part in key.split("-")[1:3])
                if start >= first_held_out:
                    self.held_out.append(key)
                elif start + gap < first_held_out:
                    self.training.append(key)
        if not self.training:
            raise ValueError(
                f"{file} has no pairs to train on: run depthrt_training.prepare --pairs on clips"
            )

    def read(self, key: str) -> Pair:
        """One pair by its key."""
        pictures, flow, valid = (
            np.lib.format.read_array(self._archive.open(f"{key}.{name}.npy"))
            for name in ("pictures", "flow", "valid")
        )
        return Pair(pictures, flow, valid, near=key.endswith("near"))


def clip_pairs(clip: Path) -> Iterator[tuple[int, int, Pair]]:
    """Index of the first frame, gap to the second, pair; evenly spread, never across cuts."""
    reach = max(WIDE_GAPS)
    last = sum(1 for _ in _frames(clip)) - 1 - reach
    if last < 0:
        return
    starts = {int(start) for start in np.linspace(0, last, PAIRS_A_CLIP).round()}
    window: deque[ByteImage] = deque(maxlen=reach + 1)
    for number, frame in enumerate(_frames(clip)):
        window.append(shrink(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)))
        start = number - reach
        if start in starts:
            for found in (near_pair(window), wide_pair(window)):
                if found is not None:
                    yield start, *found


def near_pair(frames: Sequence[ByteImage]) -> tuple[int, Pair] | None:
    """The gap and the near pair, whose frames have the same depth; None at a cut."""
    for gap in range(1, MAX_GAP + 1):
        pair = match(frames[0], frames[gap])
        if pair is None:  # a cut; what comes after it lies beyond it too
            return None
        far = np.median(np.linalg.norm(pair.flow[pair.valid].astype(np.float32), axis=-1))
        if far >= MIN_FLOW_PX or gap == MAX_GAP:
            return gap, pair
    return None


def wide_pair(frames: Sequence[ByteImage]) -> tuple[int, Pair] | None:
    """The gap and the wide pair, which shows parallax; None if there is none."""
    for gap in WIDE_GAPS:
        pair = match(frames[0], frames[gap])
        if pair is None:
            return None
        batch = cut(pair, (0, 0, *pair.valid.shape), pair.valid.shape)
        if parallax_share(batch.flow, batch.valid, batch.camera).item() >= WIDE_PARALLAX:
            return gap, replace(pair, near=False)
    return None


def _frames(clip: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(clip)) as container:
        yield from container.decode(video=0)


def match(first: ByteImage, second: ByteImage) -> Pair | None:
    """Flow between two pictures of one scene; None if a cut lies between them.

    DIS flow (Kroeger et al., ECCV 2016; OpenCV's, medium preset), valid where it leads inside
    the second picture and the backward flow agrees (Sundaram et al., "Dense
    Point Trajectories by GPU-Accelerated Large Displacement Optical Flow", ECCV 2010), here to
    within 0.05 of its length and half a pixel.
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    forth = np.asarray(dis.calc(grey[0], grey[1], None))  # type: ignore[call-overload]
    back = np.asarray(dis.calc(grey[1], grey[0], None))  # type: ignore[call-overload]
    height, width = first.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    columns, rows = columns + forth[..., 0], rows + forth[..., 1]
    valid = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)

    def seen(values: Values) -> FloatMap:
        border = cv2.BORDER_REPLICATE
        moved = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(moved, dtype=np.float32)

    disagreement = np.linalg.norm(forth + seen(back), axis=-1)
    valid &= disagreement <= 0.05 * np.linalg.norm(forth, axis=-1) + 0.5
    difference = np.median(np.abs(seen(second) - first.astype(np.float32)))
    if valid.mean() < _MIN_BELIEVED or difference > _MAX_COLOUR_DIFFERENCE:
        return None
    return Pair(np.stack([first, second]), forth.astype(np.float16), np.asarray(valid))


def training_pairs(
    pairs: Pairs, count: int, size: tuple[int, int], rng: np.random.Generator
) -> PairBatch:
    """Draw pairs and augment them: crops of the aspect of `size` (height, width), flips, colours.

    Every second pair is wide, if there are wide pairs.
    """
    near = [key for key in pairs.training if key.endswith("near")]
    wide = [key for key in pairs.training if not key.endswith("near")]
    batches = []
    for number in range(count):
        drawn_from = (number % 2 and wide) or near or wide
        pair = pairs.read(drawn_from[rng.integers(len(drawn_from))])
        height, width = pair.valid.shape
        aspect = size[1] / size[0]
        rows = min(height, width / aspect) * rng.uniform(0.7, 1.0)
        down, along = round(rows), min(round(rows * aspect), width)
        top, left = int(rng.integers(height - down + 1)), int(rng.integers(width - along + 1))
        mirrored = rng.random() < 0.5
        flat = recolour(np.concatenate(list(pair.pictures)), rng, _SAME_COLOURS)
        coloured = replace(pair, pictures=flat.reshape(pair.pictures.shape))
        batches.append(cut(coloured, (top, left, down, along), size, mirrored))
    return PairBatch.joined(batches)


def held_out_errors(
    pairs: Pairs,
    predict: Callable[[Tensor], Tensor],
    size: tuple[int, int],
    at_once: int,
    device: torch.device,
) -> dict[str, float]:
    """`motion_temporal` and `motion_flow`: those losses over all held-out pairs.

    Each pair is stretched to `size`, as the finished model sees it, and judged at half of it.

    predict: maps exactly `at_once` images (N,3,H,W, 0..255) to depth N,H/2,W/2.
    """
    each = at_once // 2
    batches, first, second = [], [], []
    for start in range(0, len(pairs.held_out), each):
        keys = pairs.held_out[start : start + each]
        read = [pairs.read(key) for key in keys]
        batch = PairBatch.joined([cut(p, (0, 0, *p.valid.shape), size) for p in read]).to(device)
        filled = [image.repeat(each, 1, 1, 1)[:each] for image in (batch.first, batch.second)]
        with torch.no_grad():
            depth = predict(torch.cat(filled))
        batches.append(batch.halved())
        first.append(depth[:each][: len(keys)])
        second.append(depth[each:][: len(keys)])
    with torch.no_grad():
        terms = motion_terms(torch.cat(first), torch.cat(second), PairBatch.joined(batches))
    return {"motion_temporal": terms.temporal.item(), "motion_flow": terms.flow.item()}


def cut(
    pair: Pair, box: tuple[int, int, int, int], size: tuple[int, int], mirrored: bool = False
) -> PairBatch:
    """A box (top, left, height, width) of a pair resized to `size`, as a batch of one."""
    top, left, down, along = box
    inside = np.s_[top : top + down, left : left + along]
    scale_x, scale_y = size[1] / along, size[0] / down
    shrinking = cv2.INTER_AREA if scale_x < 1 and scale_y < 1 else cv2.INTER_LINEAR

    def resized(values: Values, how: int = cv2.INTER_LINEAR) -> FloatMap:
        out = cv2.resize(values[inside], (size[1], size[0]), interpolation=how)
        return np.asarray(out, dtype=np.float32)

    pictures = np.stack([resized(picture, shrinking) for picture in pair.pictures])
    flow = resized(pair.flow.astype(np.float32)) * np.array([scale_x, scale_y], dtype=np.float32)
    valid = resized(pair.valid.astype(np.float32)) > VALID_WEIGHT
    height, width = pair.valid.shape
    focal = FOCAL_SHARE * max(height, width)
    centre_x, centre_y = scale_x * (width / 2 - left), scale_y * (height / 2 - top)
    if mirrored:
        pictures, flow, valid = pictures[:, :, ::-1], flow[:, ::-1].copy(), valid[:, ::-1]
        flow[..., 0] *= -1
        centre_x = size[1] - centre_x
    camera = torch.tensor([[scale_x * focal, scale_y * focal, centre_x, centre_y]])
    images = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)
    return PairBatch(
        images[:1],
        images[1:],
        torch.from_numpy(flow).permute(2, 0, 1)[None],
        torch.from_numpy(np.ascontiguousarray(valid))[None],
        camera.float(),
        torch.tensor([pair.near]),
    )
