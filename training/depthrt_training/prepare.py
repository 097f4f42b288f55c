"""Build the label cache: every training image with its target and valid mask.

    python -m depthrt_training.prepare --data DATA --work WORK [--rendered RENDERED]...
        [--label-weights WEIGHTS [--layout | --places] | --unlabelled] [--only SOURCE]...
    python -m depthrt_training.prepare --own NAME=FOLDER --work WORK
    python -m depthrt_training.prepare --data DATA --work WORK --pairs

Writes one `.npz` for each source into WORK/cache. A sample is

- image: RGB, uint8, H,W,3, short side at most 256;
- target: float16, H,W: relative inverse depth on the teacher's scale times `TARGET_SCALE`, larger
  is nearer. Ground truth is brought to that scale image by image, so that all sources share one
  range;
- valid: bool, H,W; or uint8, how much a pixel counts, 255: fully, 0: not valid;
- horizon: the target's value at infinite distance; NaN where unknown.

With `--places` pictures are labelled by the networks that know their kind of place
(`teachers/by_place.py`): the sources `rooms`, `roads` and `kitti00` stand beside `photographs` and
`clips`, and two more sets with depth are used (otherwise `--only` must name them).

`--pairs` writes WORK/pairs.npz and nothing else (`data/frame_pairs.py`).

Files that exist already are kept, and so are the labels, in WORK/labels, of a source that was
interrupted. `NAME.origin.json` beside each file says what it was made from; if that differs from
what is asked for now, nothing is written.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from depthrt_training.data.frame_pairs import PairSource
from depthrt_training.data.label_cache import TARGET_SCALE, ByteImage, FloatMap
from depthrt_training.data.provenance import (
    Provenance,
    differences,
    hash_of_file,
    hash_of_pictures,
    hash_of_text,
    read_provenance,
    write_provenance,
)
from depthrt_training.data.samples import (
    RENDERED,
    Sample,
    clip_frames,
    photographs,
    pseudo_labelled,
    rendered_pairs,
    rgbd_pairs,
    stereo_pairs,
    without_labels,
)
from depthrt_training.teachers.by_place import PlaceTeachers
from depthrt_training.teachers.earlier_weights import EarlierWeights
from depthrt_training.teachers.placed_pictures import labelled_by_place, placed_sources
from depthrt_training.teachers.places import TABLE
from depthrt_training.teachers.tcmonodepth import Teacher

MORE_CAMERAS = ("replica_office0", "apc_bin_closeup")
"""Sets with depth that came later; only `--places` uses them, and `--only` where it names them."""
STEREO = ("middlebury", "oak_d", "eth3d", "virtual_kitti2")
SHIFTED = ("middlebury",)
"""Cropped pairs: infinite distance has an unknown disparity, not 0."""


@dataclass(frozen=True)
class Source:
    """Folders, a function that makes their samples, and the network that gives labels or scale.

    kept: a folder of labels made so far, removed when all samples are written.
    """

    folders: tuple[Path, ...]
    build: Callable[[], Iterator[Sample]]
    labels: str = "none"
    kept: Path | None = None

    def provenance(self) -> Provenance:
        """Everything the samples depend on."""
        return {
            "folders": ", ".join(str(folder.resolve()) for folder in self.folders),
            "pictures": hash_of_pictures(self.folders),
            "labels": self.labels,
        }

    def write(self, file: Path) -> int:
        """Write the samples and their provenance; returns how many there are."""
        count = write_cache(file, self.build(), self.provenance())
        if self.kept:
            shutil.rmtree(self.kept, ignore_errors=True)
        return count


def write_cache(file: Path, samples: Iterator[Sample], provenance: Provenance) -> int:
    """Write one source and its provenance; returns its number of samples."""
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
    write_provenance(file, provenance)
    unfinished.replace(file)
    return count


def refusal(file: Path, provenance: Provenance) -> str:
    """One sentence if the file was made from something else; otherwise empty."""
    kept = read_provenance(file) if file.exists() else None
    what = "" if kept is None else differences(kept, provenance)
    if not what:
        return ""
    return (
        f"{file} differs from what is asked for in {what}: name another --work or delete the file"
    )


def labels_of(
    weights: Path | None, layout: bool, unlabelled: bool = False, places: bool = False
) -> str:
    """The network that labels pictures without ground truth, as provenance names it."""
    if unlabelled:
        return "none"
    if weights is None:
        return "teacher"
    extra = ", teacher's layout" if layout else ""
    if places:
        extra = f", teachers by place {hash_of_file(TABLE)}"
    return f"student {hash_of_file(weights)}{extra}"


def sources_of(
    data: Path,
    rendered: list[Path],
    teacher: Teacher,
    earlier: EarlierWeights | None = None,
    labels: str = "teacher",
    by_place: PlaceTeachers | None = None,
    kept: Path = Path("labels"),
) -> dict[str, Source]:
    """The sources of the recipe, by name.

    Pictures without ground truth are labelled by `by_place`, else by `earlier`, else by the
    teacher. labels: see `labels_of`. kept: where labels by place wait until their source is whole.
    """

    def by_teacher(rgb: ByteImage) -> FloatMap:
        return teacher.label(rgb) * TARGET_SCALE

    label = earlier.label if earlier else by_teacher

    def unlabelled(folder: Path, images: Callable[[Path], Iterator[ByteImage]]) -> Source:
        def build() -> Iterator[Sample]:
            pictures = images(folder)
            return (
                without_labels(pictures) if labels == "none" else pseudo_labelled(pictures, label)
            )

        return Source((folder,), build, labels)

    def camera(folder: Path) -> Source:
        return Source((folder,), partial(rgbd_pairs, folder, teacher.label), "teacher")

    sources = {
        "photographs": unlabelled(data / "images", photographs),
        "driving": unlabelled(data / "images_driving", photographs),
        "clips": unlabelled(data / "video", clip_frames),
        "tum_fr1_rpy": camera(data / "rgbd/tum_fr1_rpy"),
        "aims_lab": camera(data / "rgbd/aims_lab"),
    }
    sources |= {name: camera(data / "rgbd" / name) for name in MORE_CAMERAS}
    if by_place is not None:
        for name in ("photographs", "driving", "clips"):
            del sources[name]
        for name, pictures in placed_sources(data).items():
            folder = kept / f"{name}-{hash_of_text(labels + hash_of_pictures(pictures.folders))}"
            build = partial(labelled_by_place, pictures, by_place, folder)
            sources[name] = Source(pictures.folders, build, labels, folder)
    for name in STEREO:
        folder = data / "stereo" / name
        build = partial(stereo_pairs, folder, teacher.label, name in SHIFTED)
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
        help="output of depthrt_training.rendered.generate; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--label-weights", type=Path, help="weights that label photographs instead of the teacher"
    )
    parser.add_argument(
        "--layout", action="store_true",
        help="move these labels half-way to the teacher's layout",
    )  # fmt: skip
    parser.add_argument(
        "--places", action="store_true",
        help="label rooms and roads by the networks that know them, with --label-weights",
    )  # fmt: skip
    parser.add_argument(
        "--unlabelled", action="store_true",
        help="leave photographs unlabelled, for configurations with a [teacher_ensemble]",
    )  # fmt: skip
    parser.add_argument(
        "--own", action="append", default=[], metavar="NAME=FOLDER",
        help="prepare only this RGB-D set of your own, without a teacher",
    )  # fmt: skip
    parser.add_argument(
        "--pairs", action="store_true",
        help="prepare only pairs of frames of the clips, for configurations with [motion]",
    )  # fmt: skip
    parser.add_argument(
        "--only", action="append", metavar="SOURCE", help="prepare this source alone; repeatable"
    )
    options = parser.parse_args()
    if (options.layout or options.places) and not options.label_weights:
        parser.error(f"--{'layout' if options.layout else 'places'} needs --label-weights")
    if options.layout and options.places:
        parser.error("--layout and --places exclude one another")
    if options.unlabelled and options.label_weights:
        parser.error("--unlabelled and --label-weights exclude one another")
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
        teacher, earlier, by_place = Teacher(options.data), None, None
        if options.places:
            by_place = PlaceTeachers(options.data, options.label_weights)
        elif options.label_weights:
            earlier = EarlierWeights(options.label_weights, teacher if options.layout else None)
        labels = labels_of(
            options.label_weights, options.layout, options.unlabelled, options.places
        )
        kept = options.work / "labels"
        sources |= sources_of(
            options.data, options.rendered, teacher, earlier, labels, by_place, kept
        )
    if unknown := [name for name in options.only or () if name not in sources]:
        parser.error(f"--only {unknown[0]}: the sources are {', '.join(sources)}")
    wanted = options.only or [n for n in sources if options.places or n not in MORE_CAMERAS]
    sources = {name: source for name, source in sources.items() if name in wanted}
    target: Path = options.work if options.pairs else options.work / "cache"
    target.mkdir(parents=True, exist_ok=True)
    files = {name: target / f"{name}.npz" for name in sources}
    provenances = {name: source.provenance() for name, source in sources.items()}
    for name, file in files.items():
        if sentence := refusal(file, provenances[name]):
            parser.exit(2, f"{parser.prog}: {sentence}\n")
    for name, file in files.items():
        if file.exists():
            origin = "" if read_provenance(file) else ", of unknown origin"
            print(f"{name}: kept from before{origin}", flush=True)
        else:
            count = sources[name].write(file)
            print(f"{name}: {count} samples", flush=True)


if __name__ == "__main__":
    main()
