"""The pictures without ground truth, sorted by the kind of place that they show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from depthrt_training.data.label_cache import ByteImage, FloatMap, shrink
from depthrt_training.data.samples import Sample, frames_of, read_rgb
from depthrt_training.teachers.by_place import Label
from depthrt_training.teachers.places import clip_places, used_places

KITTI00_STRIDE = 3
"""Neighbouring frames are alike: every third one is labelled."""

Placed = tuple[ByteImage, str, FloatMap | None]
"""A picture, the kind of place it shows, and another network's inverse depth where there is one."""


class Labeller(Protocol):
    """What labels a picture; see `PlaceTeachers`."""

    def label(self, rgb: ByteImage, place: str, given: FloatMap | None = None) -> Label: ...


@dataclass(frozen=True)
class PlacedSource:
    """The folders that the pictures come from, and a function that reads them."""

    folders: tuple[Path, ...]
    read: Callable[[], Iterator[Placed]]


def labelled_by_place(source: PlacedSource, teachers: Labeller, kept: Path) -> Iterator[Sample]:
    """Samples whose pixels count as far as the teachers agree.

    Labelling takes long. Each label is written to the folder `kept`, and read from there when an
    interrupted labelling begins anew.
    """
    kept.mkdir(parents=True, exist_ok=True)
    for i, (rgb, place, given) in enumerate(source.read()):
        small, file = shrink(rgb), kept / f"{i:05d}.npz"
        if not file.exists():
            label = teachers.label(rgb, place, given)
            size = (small.shape[1], small.shape[0])
            target, weight = (
                np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR))
                for values in (label.target, label.weight)
            )
            counts = np.maximum(np.round(255 * weight), 1).astype(np.uint8)  # 0 would be unknown
            unfinished = kept / "unfinished.npz"
            np.savez(unfinished, target=target.astype(np.float32), counts=counts)
            unfinished.replace(file)
        with np.load(file) as found:
            target, counts = found["target"], found["counts"]
        yield small, target, counts, np.nan


def placed_sources(data: Path) -> dict[str, PlacedSource]:
    """By name; the frames of `driving` come last in `roads`, so that they are held out."""
    images, video, driving = data / "images", data / "video", data / "images_driving"
    kitti00 = data / "images_kitti00_labelled"
    return {
        "rooms": PlacedSource((images, video), partial(_rooms, images, video)),
        "kitti00": PlacedSource(
            (kitti00 / "rgb", kitti00 / "inverse_depth"), partial(_kitti00, kitti00)
        ),
        "roads": PlacedSource((images, video, driving), partial(_roads, images, video, driving)),
        "clips": PlacedSource((video,), partial(_frames, video, "elsewhere")),
        "photographs": PlacedSource((images,), partial(_photographs, images, "elsewhere")),
    }


def _photographs(folder: Path, place: str) -> Iterator[Placed]:
    places = used_places()
    for file in sorted(folder.glob("*.jpg")):
        if places.get(file.stem, "elsewhere") == place:
            yield read_rgb(file), place, None


def _frames(folder: Path, place: str) -> Iterator[Placed]:
    places = clip_places()
    for file in sorted(folder.glob("*.mp4")):
        if places.get(file.stem, "elsewhere") == place:
            for rgb in frames_of(file):
                yield rgb, place, None


def _rooms(images: Path, video: Path) -> Iterator[Placed]:
    yield from _photographs(images, "room")
    yield from _frames(video, "room")


def _roads(images: Path, video: Path, driving: Path) -> Iterator[Placed]:
    yield from _photographs(images, "road")
    yield from _frames(video, "road")
    for file in sorted(driving.glob("*.jpg")):
        yield read_rgb(file), "road", None


def _kitti00(folder: Path) -> Iterator[Placed]:
    for file in sorted((folder / "rgb").glob("*"))[::KITTI00_STRIDE]:
        rgb = read_rgb(file)
        raw = cv2.imread(str(folder / "inverse_depth" / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED)
        size = (rgb.shape[1], rgb.shape[0])
        large = cv2.resize(np.asarray(raw, dtype=np.float32), size, interpolation=cv2.INTER_LINEAR)
        yield rgb, "road", np.asarray(large, dtype=np.float32)
