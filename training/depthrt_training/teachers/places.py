"""Which photographs show a room or a road, and how far the teachers agree on them.

    python -m depthrt_training.teachers.places --data DATA --label-weights WEIGHTS --sheet SHEET.jpg

The lists in `configs/places.toml` were made by eye, over all thousand: a room shows a floor, walls
or furniture of an inside that one could walk through, a road what a car's camera could see. A
listed picture is labelled as such only if the teachers of that kind of place agree
(`LEAST_AGREEMENT`); else it counts as elsewhere. Writes `configs/places.csv`, which
`prepare.py --places` reads, and a sheet of picture, label and weight, with a red border where the
teachers do not agree.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import tomllib

from depthrt_training.data.label_cache import ByteImage, FloatMap
from depthrt_training.data.samples import read_rgb
from depthrt_training.teachers.by_place import Label, PlaceTeachers

CONFIGS = Path(__file__).parents[2] / "configs"
LISTS = CONFIGS / "places.toml"
TABLE = CONFIGS / "places.csv"
LEAST_AGREEMENT = {"room": 0.6, "road": 0.8}
"""Least rank correlation of the two maps that are mixed."""


def listed(lists: Path = LISTS) -> dict[str, str]:
    """The place of every listed photograph, by its name without suffix."""
    raw = tomllib.loads(lists.read_text())["photographs"]
    return {name: place for place in ("room", "road") for name in raw[f"{place}s"]}


def clip_places(lists: Path = LISTS) -> dict[str, str]:
    """The place of every listed clip, by its name without suffix."""
    raw = tomllib.loads(lists.read_text())["clips"]
    return {name: place for place in ("room", "road") for name in raw[f"{place}s"]}


def used_places(table: Path = TABLE) -> dict[str, str]:
    """The place that each listed photograph is labelled as."""
    with table.open(newline="") as file:
        return {row["photograph"]: row["labelled_as"] for row in csv.DictReader(file)}


def labelled_as(place: str, agreement: float) -> str:
    """The place itself where the teachers agree, else `elsewhere`."""
    return place if agreement >= LEAST_AGREEMENT[place] else "elsewhere"


def tile(rgb: ByteImage, label: Label, kept: bool) -> npt.NDArray[np.uint8]:
    """120,480,3 BGR: picture, label, weight."""

    def shown(values: FloatMap) -> npt.NDArray[np.uint8]:
        low, high = float(values.min()), float(values.max())
        grey = 255 * (values - low) / max(high - low, 1e-6)
        return np.asarray(cv2.applyColorMap(grey.astype(np.uint8), cv2.COLORMAP_INFERNO))

    weight = np.repeat((255 * label.weight).astype(np.uint8)[..., None], 3, axis=2)
    images = (np.ascontiguousarray(rgb[..., ::-1]), shown(label.target), weight)
    small = [np.asarray(cv2.resize(i, (160, 120), interpolation=cv2.INTER_AREA)) for i in images]
    row = np.ascontiguousarray(np.concatenate(small, axis=1))
    text = f"{label.agreement:.2f}"
    cv2.putText(row, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 255, 255), 1, cv2.LINE_AA)
    if not kept:
        cv2.rectangle(row, (0, 0), (479, 119), (0, 0, 255), 3)
    return np.asarray(row, dtype=np.uint8)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Score the listed rooms and roads.")
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument("--label-weights", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, help="draw every listed picture and its label")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    teachers = PlaceTeachers(options.data, options.label_weights)
    rows, tiles = [], []
    for name, place in listed().items():
        rgb = read_rgb(options.data / "images" / f"{name}.jpg")
        label = teachers.label(rgb, place)
        used = labelled_as(place, label.agreement)
        rows.append((name, place, f"{label.agreement:.3f}", used))
        tiles.append(tile(rgb, label, used == place))
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("photograph", "listed_as", "agreement", "labelled_as"))
        writer.writerows(rows)
    for place in ("room", "road"):
        of_place = [row for row in rows if row[1] == place]
        kept = sum(row[3] == place for row in of_place)
        print(f"{place}: {kept} of {len(of_place)} listed photographs")
    if options.sheet:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
        lines = [np.concatenate(tiles[i : i + 4], axis=1) for i in range(0, len(tiles), 4)]
        cv2.imwrite(str(options.sheet), np.concatenate(lines))


if __name__ == "__main__":
    main()
