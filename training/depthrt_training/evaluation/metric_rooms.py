"""Would a metric head for rooms be honest: METER nyu's metres, without alignment, in other rooms.

    python -m depthrt_training.evaluation.metric_rooms --data DATA --out FILE.json

METER nyu is what would teach such a head, and gives depth in about centimetres. A student knows no
more of unseen rooms than its teacher. AbsRel and delta1 of every set, on valid pixels, the
prediction clamped to the set's range, for the whole picture stretched to 192x256 and for the middle
of it at 4:3:

- `as it is`: the network's metres;
- `focal`: times the camera's focal length over NYU's, both over the picture's width;
- `one scale a set`: times the median of `median`'s factors, what a calibration could do;
- `median`: times the median of the truth over that of the prediction, picture by picture.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depthrt_benchmarks.common.environment import write_result
from depthrt_benchmarks.evaluation.metrics.metrics import depth_metrics
from depthrt_training.evaluation.labelled_pictures import LabelledPicture, pictures_of
from depthrt_training.teachers.meter import NYU, Meter

GOAL = 0.25
SIZE = (192, 256)
CM = 0.01
NYU_FOCAL = 518.86 / 640
"""Focal length over width of the Kinect that NYU Depth v2 was taken with, colour camera."""
ROOMS = ("replica_office0", "slambook_icl_livingroom", "aims_lab")
DESKS = ("realsense_desk", "phone_lidar_desk", "tum_fr1_rpy", "o3d_tum_fr3_desk", "tum_fr2_desk")
OTHERS = ("apc_bin_closeup", "box_on_floor")
FOCAL = {
    "tum_fr1_rpy": 517.3 / 640,
    "tum_fr2_desk": 520.9 / 640,
    "o3d_tum_fr3_desk": 535.4 / 640,
    "slambook_icl_livingroom": 481.2 / 640,
    "replica_office0": 600.0 / 1200,
}
"""Focal length over width, where it is known: of the sets' own files, of TUM RGB-D's calibration
(fr3), and of the Replica sequences as NICE-SLAM published them."""

Metres = npt.NDArray[np.float64]


def middle(picture: LabelledPicture) -> LabelledPicture:
    """The middle of a picture, as wide as 4:3 allows; a narrower one stays as it is."""
    whole, grid = picture.rgb.shape[1], picture.depth_m.shape[1]
    share = min(1.0, 4 / 3 * picture.rgb.shape[0] / whole)

    def cut(width: int) -> slice:
        kept = round(share * width)
        return slice((width - kept) // 2, (width - kept) // 2 + kept)

    return LabelledPicture(
        picture.name,
        np.ascontiguousarray(picture.rgb[:, cut(whole)]),
        picture.depth_m[:, cut(grid)],
        picture.valid[:, cut(grid)],
        picture.low_m,
        picture.cap_m,
    )


def metres(network: Meter, picture: LabelledPicture) -> tuple[Metres, Metres]:
    """Prediction and truth of the valid pixels, in metres."""
    height, width = picture.depth_m.shape
    depth = CM * network.depth(picture.rgb, SIZE)
    resized = np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR))
    found = resized[picture.valid].astype(np.float64)
    return found, picture.depth_m[picture.valid].astype(np.float64)


def figures(
    pictures: Sequence[LabelledPicture],
    pairs: Sequence[tuple[Metres, Metres]],
    scales: Sequence[float],
) -> dict[str, float]:
    """AbsRel and delta1, means over pictures, each with a scale of its own."""
    rows = []
    for picture, (found, truth), scale in zip(pictures, pairs, scales, strict=True):
        rows.append(depth_metrics(np.clip(scale * found, picture.low_m, picture.cap_m), truth))
    return {key: round(fmean(row[key] for row in rows), 4) for key in ("abs_rel", "delta1")}


def report(network: Meter, pictures: Sequence[LabelledPicture], focal: float | None) -> Any:
    """All figures of one set; focal: focal length over the pictures' width."""
    pictures = [picture for picture in pictures if picture.valid.any()]
    pairs = [metres(network, picture) for picture in pictures]
    factors = [float(np.median(truth) / np.median(found)) for found, truth in pairs]
    count = len(pictures)
    low, high = np.quantile(factors, (0.1, 0.9))
    found: dict[str, Any] = {"images": count, "as it is": figures(pictures, pairs, [1.0] * count)}
    if focal is not None:
        found["focal"] = figures(pictures, pairs, [focal / NYU_FOCAL] * count)
    found["one scale a set"] = figures(pictures, pairs, [median(factors)] * count)
    found["median"] = figures(pictures, pairs, factors)
    found["median's factor"] = {
        "median": round(median(factors), 3),
        "tenth": round(float(low), 3),
        "nine tenths": round(float(high), 3),
    }
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument("--at-most", type=int, default=50, help="pictures of a set; default 50")
    parser.add_argument("--out", type=Path, required=True, help="the JSON")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    network = Meter(Path(options.data), NYU)
    sets: dict[str, Any] = {}
    for name in (*ROOMS, *DESKS, *OTHERS):
        folder = Path(options.data) / "rgbd" / name
        files = sorted((folder / "rgb").glob("*.jpg"))
        files = files[:: -(-len(files) // options.at_most)]
        whole = list(pictures_of(folder, files))
        focal = FOCAL.get(name)
        cut = [middle(picture) for picture in whole]
        share = cut[0].rgb.shape[1] / whole[0].rgb.shape[1]
        sets[name] = {
            "kind": "room" if name in ROOMS else "desk" if name in DESKS else "other",
            "focal_over_width": None if focal is None else round(focal, 4),
            "whole": report(network, whole, focal),
            "middle": report(network, cut, None if focal is None else focal / share),
        }
        print(name, sets[name]["whole"], flush=True)
    means = {
        kind: {
            way: round(fmean(sets[n][part][way]["abs_rel"] for n in names), 4)
            for way in ("as it is", "one scale a set", "median")
        }
        for part in ("whole",)
        for kind, names in (("rooms", ROOMS), ("desks", DESKS), ("all", (*ROOMS, *DESKS, *OTHERS)))
    }
    write_result(
        options.out,
        {"network": "METER-xxs nyu, mean over the flip", "goal_abs_rel": GOAL,
         "mean_abs_rel_whole": means, "sets": sets},
    )  # fmt: skip


if __name__ == "__main__":
    main()
