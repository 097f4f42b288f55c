"""Samples for the label cache: labelled photographs, and ground truth on the teacher's scale.

`prepare.py` describes a sample: picture, target, mask and horizon.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from depthrt_training.data.label_cache import TARGET_SCALE, ByteImage, FloatMap, shrink
from depthrt_training.data.stereo import match_stereo

Mask = npt.NDArray[np.bool_]
Sample = tuple[ByteImage, FloatMap, Mask | ByteImage, float]
"""Picture, target, valid (or the weight of every pixel, 255: counts fully), horizon."""
Labeller = Callable[[ByteImage], FloatMap]

TARGET_RANGE = (0.1, 9.0)
CLIP_STRIDE = 6
RENDERED = {
    "indoor": ("room", "desk", "floor", "corridor"),
    "outdoor": ("street", "park"),
}
MIN_VALID_SHARE = 0.2
TYPICAL_LABEL = (2.2, 1.2)
"""Typical median and mean absolute deviation of the teacher's labels times `TARGET_SCALE`."""


def read_rgb(file: Path) -> ByteImage:
    """H,W,3 uint8 RGB."""
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"cannot read the image {file}")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def pseudo_labelled(images: Iterator[ByteImage], labelled: Labeller) -> Iterator[Sample]:
    """Pictures labelled by a network; every pixel is valid."""
    for rgb in images:
        label = labelled(rgb)
        small = shrink(rgb)
        height, width = small.shape[:2]
        target = cv2.resize(label, (width, height), interpolation=cv2.INTER_LINEAR)
        everywhere = np.ones((height, width), dtype=bool)
        yield small, np.asarray(target, dtype=np.float32), everywhere, np.nan


def without_labels(images: Iterator[ByteImage]) -> Iterator[Sample]:
    """Pictures without a valid pixel: they are labelled while training (`teacher_ensemble.py`)."""
    for rgb in images:
        small = shrink(rgb)
        shape = small.shape[:2]
        yield small, np.zeros(shape, np.float32), np.zeros(shape, dtype=bool), np.nan


def photographs(folder: Path) -> Iterator[ByteImage]:
    """Every JPEG of a folder, by name."""
    for file in sorted(folder.glob("*.jpg")):
        yield read_rgb(file)


def clip_frames(folder: Path) -> Iterator[ByteImage]:
    """Every `CLIP_STRIDE`-th frame of every clip."""
    for file in sorted(folder.glob("*.mp4")):
        yield from frames_of(file)


def frames_of(clip: Path) -> Iterator[ByteImage]:
    """Every `CLIP_STRIDE`-th frame."""
    with av.open(str(clip)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            if i % CLIP_STRIDE == 0:
                yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def rgbd_pairs(folder: Path, teacher: Labeller | None) -> Iterator[Sample]:
    """Samples of an RGB-D set, in frame order."""
    for file in sorted((folder / "rgb").glob("*.jpg")):
        yield from rgbd_pair(file, teacher)


def rendered_pairs(folders: list[Path]) -> Iterator[Sample]:
    """Several rendered sets as one, in the order of their scenes (`rendered/generate.py`).

    They get the teacher's typical scale: it was not trained on such pictures.
    """
    files = [file for folder in folders for file in (folder / "rgb").glob("*.jpg")]
    files.sort(key=lambda file: file.stem)
    with ThreadPoolExecutor() as threads:  # OpenCV decodes them outside Python's lock
        for pairs in threads.map(lambda file: list(rgbd_pair(file, None)), files):
            yield from pairs


def rgbd_pair(file: Path, teacher: Labeller | None) -> Iterator[Sample]:
    """The sample of one colour file; valid strictly inside the set's range, and in the sky."""
    folder = file.parents[1]
    spec = json.loads((folder / "dataset.json").read_text())
    rgb = read_rgb(file)
    raw = cv2.imread(str(folder / "depth" / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED)
    depth_m = np.asarray(raw, dtype=np.float32) * spec["depth_unit_m"]
    valid = (depth_m > spec["min_depth_m"]) & (depth_m < spec["max_depth_m"])
    valid &= ~np.isin(np.asarray(raw), spec.get("invalid", [0]))
    inverse = np.where(valid, 1 / np.maximum(depth_m, 1e-3), 0).astype(np.float32)
    if "sky" in spec:
        valid |= np.asarray(raw) == spec["sky"]  # infinitely far: inverse depth 0
    yield from _on_teacher_scale(rgb, inverse, valid, teacher)


def stereo_pairs(folder: Path, teacher: Labeller, shifted: bool = False) -> Iterator[Sample]:
    """Disparity by semi-global matching with a left-right check; shifted: see `prepare.SHIFTED`."""
    for left_file in sorted(folder.glob("*_left.jpg")):
        right_file = left_file.with_name(left_file.name.replace("_left", "_right"))
        left, right = read_rgb(left_file), read_rgb(right_file)
        disparity, valid = match_stereo(left, right)
        for rgb, target, keep, horizon in _on_teacher_scale(left, disparity, valid, teacher):
            yield rgb, target, keep, np.nan if shifted else horizon


def _on_teacher_scale(
    rgb: ByteImage, inverse: FloatMap, valid: Mask, teacher: Labeller | None
) -> Iterator[Sample]:
    """Map true inverse depth onto the teacher's median and mean absolute deviation.

    MiDaS (Ranftl et al., PAMI 2022), equation 5. An affine map of inverse depth changes nothing
    for a scale-and-shift-invariant loss; it only gives all sources one range. The scale is
    lowered where the result would leave `TARGET_RANGE`. Skips images with few valid pixels.
    """
    small = shrink(rgb)
    height, width = small.shape[:2]
    nearest = cv2.resize(inverse, (width, height), interpolation=cv2.INTER_NEAREST)
    mask = cv2.resize(valid.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    keep = np.asarray(mask, dtype=bool)
    if keep.mean() < MIN_VALID_SHARE:
        return
    label_middle, label_spread = TYPICAL_LABEL
    if teacher:
        label = teacher(small)[keep] * TARGET_SCALE
        label_middle = float(np.median(label))
        label_spread = float(np.mean(np.abs(label - label_middle)))
    values = np.asarray(nearest, dtype=np.float32)[keep]
    middle = float(np.median(values))
    scale = label_spread / max(float(np.mean(np.abs(values - middle))), 1e-9)
    low, high = np.quantile(values, [0.002, 0.998])
    scale = min(scale, (label_middle - TARGET_RANGE[0]) / max(middle - low, 1e-6))
    scale = min(scale, (TARGET_RANGE[1] - label_middle) / max(high - middle, 1e-6))
    if scale <= 0:
        return
    aligned = scale * (values - middle) + label_middle
    target = np.zeros((height, width), dtype=np.float32)
    target[keep] = np.clip(aligned, 0, 2 * TARGET_SCALE)
    yield small, target, keep, label_middle - scale * middle
