"""Build the label cache once: every training image with its target and valid mask.

    python training/prepare.py --data DATA --work WORK [--rendered RENDERED]...
        [--student WEIGHTS [--layout] | --unlabelled]
    python training/prepare.py --own NAME=FOLDER --work WORK
    python training/prepare.py --data DATA --work WORK --pairs

One `.npz` per source in WORK/cache. A sample is an RGB image (uint8, H,W,3, short side at most
256), a target (float16, H,W: relative inverse depth, larger is nearer, on the teacher's scale
times `TARGET_SCALE`), a valid mask (bool, H,W) and the target's horizon: its value at infinite
distance, NaN where that is unknown. Ground truth is brought to the teacher's scale image by image,
so that all sources share one range. `--pairs` writes WORK/pairs.npz alone (`pairs.py`).

What is in the cache already is kept. A note beside each file says what it was made from
(`NAME.origin.json`): where that is not what is asked for now, nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from cache import TARGET_SCALE, shrink
from origin import (
    Origin,
    differences,
    hash_of_file,
    hash_of_pictures,
    read_note,
    write_note,
)
from pairs import PairSource
from stereo import match_stereo
from student import Student
from teacher import ByteImage, FloatMap, Teacher

Mask = npt.NDArray[np.bool_]
Sample = tuple[ByteImage, FloatMap, Mask, float]
Labeller = Callable[[ByteImage], FloatMap]

TARGET_RANGE = (0.1, 9.0)
CLIP_STRIDE = 6
MIN_VALID_SHARE = 0.2
TYPICAL_LABEL = (2.2, 1.2)
"""Median and mean absolute deviation of the teacher's labels (times `TARGET_SCALE`), typically."""
STEREO = ("middlebury", "oak_d", "eth3d", "virtual_kitti2")
SHIFTED = ("middlebury",)
"""Cropped pairs: infinitely far is not disparity 0, but a disparity that is not told."""
RENDERED = {
    "indoor": ("room", "desk", "floor", "corridor"),
    "outdoor": ("street", "park"),
}


@dataclass(frozen=True)
class Source:
    """Folders, how samples are made of them, and which network gives labels or their scale."""

    folders: tuple[Path, ...]
    build: Callable[[], Iterator[Sample]]
    labels: str = "none"

    def origin(self) -> Origin:
        """What the samples depend on."""
        return {
            "folders": ", ".join(str(folder.resolve()) for folder in self.folders),
            "pictures": hash_of_pictures(self.folders),
            "labels": self.labels,
        }

    def write(self, file: Path) -> int:
        """Write the samples and the note of their origin; returns how many there are."""
        return write_cache(file, self.build(), self.origin())


def read_rgb(file: Path) -> ByteImage:
    """H,W,3 uint8 RGB."""
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"cannot read the image {file}")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def pseudo_labelled(images: Iterator[ByteImage], labelled: Labeller) -> Iterator[Sample]:
    """Label by the teacher, or by a student that has outgrown it; every pixel is valid."""
    for rgb in images:
        label = labelled(rgb)
        small = shrink(rgb)
        height, width = small.shape[:2]
        target = cv2.resize(label, (width, height), interpolation=cv2.INTER_LINEAR)
        everywhere = np.ones((height, width), dtype=bool)
        yield small, np.asarray(target, dtype=np.float32), everywhere, np.nan


def without_labels(images: Iterator[ByteImage]) -> Iterator[Sample]:
    """No pixel is valid: whoever trains labels what it cuts out (`committee.py`)."""
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
        with av.open(str(file)) as container:
            for i, frame in enumerate(container.decode(video=0)):
                if i % CLIP_STRIDE == 0:
                    yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def rgbd_pairs(folder: Path, teacher: Teacher | None) -> Iterator[Sample]:
    """Inverse depth from a depth camera, in frame order."""
    for file in sorted((folder / "rgb").glob("*.jpg")):
        yield from rgbd_pair(file, teacher)


def rendered_pairs(folders: list[Path]) -> Iterator[Sample]:
    """Several rendered sets in one, in the order of their scenes (`rendered/generate.py`).

    The teacher never saw such pictures: they get its typical scale without asking it.
    """
    files = [file for folder in folders for file in (folder / "rgb").glob("*.jpg")]
    files.sort(key=lambda file: file.stem)
    with ThreadPoolExecutor() as threads:  # OpenCV decodes them outside Python's lock
        for pairs in threads.map(lambda file: list(rgbd_pair(file, None)), files):
            yield from pairs


def rgbd_pair(file: Path, teacher: Teacher | None) -> Iterator[Sample]:
    """One pair by its colour file; valid strictly inside the set's range, and in the sky."""
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


def stereo_pairs(folder: Path, teacher: Teacher, shifted: bool = False) -> Iterator[Sample]:
    """Disparity by semi-global matching with a left-right check; shifted: see `SHIFTED`."""
    for left_file in sorted(folder.glob("*_left.jpg")):
        right_file = left_file.with_name(left_file.name.replace("_left", "_right"))
        left, right = read_rgb(left_file), read_rgb(right_file)
        disparity, valid = match_stereo(left, right)
        for rgb, target, keep, horizon in _on_teacher_scale(left, disparity, valid, teacher):
            yield rgb, target, keep, np.nan if shifted else horizon


def _on_teacher_scale(
    rgb: ByteImage, inverse: FloatMap, valid: Mask, teacher: Teacher | None
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
        label = teacher.label(small)[keep] * TARGET_SCALE
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


def write_cache(file: Path, samples: Iterator[Sample], origin: Origin) -> int:
    """Write one source and the note of its origin; returns its number of samples."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    count = 0
    for rgb, target, valid, horizon in samples:
        arrays[f"{count:05d}.image"] = rgb
        arrays[f"{count:05d}.target"] = target.astype(np.float16)
        arrays[f"{count:05d}.valid"] = valid
        arrays[f"{count:05d}.horizon"] = np.array(horizon, dtype=np.float32)
        count += 1
    unfinished = file.with_suffix(".partial.npz")
    np.savez(unfinished, **arrays)  # type: ignore[arg-type]
    write_note(file, origin)
    unfinished.replace(file)
    return count


def refusal(file: Path, origin: Origin) -> str:
    """One sentence where the file was made from something else; else empty."""
    kept = read_note(file) if file.exists() else None
    what = "" if kept is None else differences(kept, origin)
    if not what:
        return ""
    return (
        f"{file} differs from what is asked for in {what}: name another --work or delete the file"
    )


def labels_of(student: Path | None, layout: bool, unlabelled: bool = False) -> str:
    """Which network labels what has no ground truth: the teacher or the student's weights."""
    if unlabelled:
        return "none"
    if student is None:
        return "teacher"
    return f"student {hash_of_file(student)}" + (", teacher's layout" if layout else "")


def sources_of(
    data: Path,
    rendered: list[Path],
    teacher: Teacher,
    student: Student | None = None,
    labels: str = "teacher",
) -> dict[str, Source]:
    """The sources of the recipe, by name.

    What has no ground truth is labelled by the student if there is one; labels: see `labels_of`.
    """

    def by_teacher(rgb: ByteImage) -> FloatMap:
        return teacher.label(rgb) * TARGET_SCALE

    label = student.label if student else by_teacher

    def unlabelled(folder: Path, images: Callable[[Path], Iterator[ByteImage]]) -> Source:
        def build() -> Iterator[Sample]:
            pictures = images(folder)
            return (
                without_labels(pictures) if labels == "none" else pseudo_labelled(pictures, label)
            )

        return Source((folder,), build, labels)

    def camera(folder: Path) -> Source:
        return Source((folder,), partial(rgbd_pairs, folder, teacher), "teacher")

    sources = {
        "photographs": unlabelled(data / "images", photographs),
        "driving": unlabelled(data / "images_driving", photographs),
        "clips": unlabelled(data / "video", clip_frames),
        "tum_fr1_rpy": camera(data / "rgbd/tum_fr1_rpy"),
        "aims_lab": camera(data / "rgbd/aims_lab"),
    }
    for name in STEREO:
        folder = data / "stereo" / name
        build = partial(stereo_pairs, folder, teacher, name in SHIFTED)
        sources[name] = Source((folder,), build, "teacher")
    if rendered:
        for name, kinds in RENDERED.items():
            folders = [folder / kind for folder in rendered for kind in kinds]
            sources[f"rendered_{name}"] = Source(tuple(folders), partial(rendered_pairs, folders))
    return sources


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--rendered", type=Path, action="append", default=[], metavar="FOLDER",
        help="what rendered/generate.py made; once for every seed",
    )  # fmt: skip
    parser.add_argument(
        "--student", type=Path, help="weights that label photographs in the teacher's place"
    )
    parser.add_argument(
        "--layout", action="store_true",
        help="the student's labels go half-way to the teacher's layout (student.share_layout)",
    )  # fmt: skip
    parser.add_argument(
        "--unlabelled", action="store_true",
        help="photographs get no labels: for configurations with a [committee]",
    )  # fmt: skip
    parser.add_argument(
        "--own", action="append", default=[], metavar="NAME=FOLDER",
        help="a depth-camera set of your own; then nothing else is prepared, and no teacher asked",
    )  # fmt: skip
    parser.add_argument(
        "--pairs", action="store_true",
        help="pairs of frames of the clips, for configurations with [motion]; nothing else then",
    )  # fmt: skip
    options = parser.parse_args()
    if options.layout and not options.student:
        parser.error("--layout says how a --student labels; name its weights")
    if options.unlabelled and options.student:
        parser.error("--unlabelled and --student exclude one another")
    if options.pairs and options.own:
        parser.error("--pairs and --own exclude one another")
    sources: dict[str, Source | PairSource] = {}
    for item in options.own:
        name, _, folder = item.partition("=")
        if not (Path(folder) / "dataset.json").is_file():
            parser.error(f"--own {item}: {folder or 'no folder'} holds no dataset.json")
        sources[name] = Source((Path(folder),), partial(rgbd_pairs, Path(folder), None))
    if not sources and options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    if options.pairs:
        sources["pairs"] = PairSource(Path(options.data) / "video")
    elif not sources:
        teacher, student = Teacher(options.data), None
        if options.student:
            student = Student(options.student, teacher if options.layout else None)
        labels = labels_of(options.student, options.layout, options.unlabelled)
        sources |= sources_of(options.data, options.rendered, teacher, student, labels)
    folder: Path = options.work if options.pairs else options.work / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.npz" for name in sources}
    origins = {name: source.origin() for name, source in sources.items()}
    for name, file in files.items():
        if sentence := refusal(file, origins[name]):
            parser.exit(2, f"{parser.prog}: {sentence}\n")
    for name, file in files.items():
        if file.exists():
            unknown = "" if read_note(file) else ", of unknown origin"
            print(f"{name}: kept from before{unknown}", flush=True)
        else:
            count = sources[name].write(file)
            print(f"{name}: {count} samples", flush=True)


if __name__ == "__main__":
    main()
