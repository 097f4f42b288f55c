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
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cache import TARGET_SCALE
from origin import (
    Origin,
    differences,
    hash_of_file,
    hash_of_pictures,
    read_note,
    write_note,
)
from pairs import PairSource
from samples import (
    Sample,
    clip_frames,
    photographs,
    pseudo_labelled,
    rendered_pairs,
    rgbd_pairs,
    stereo_pairs,
    without_labels,
)
from student import Student
from teacher import ByteImage, FloatMap, Teacher

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
