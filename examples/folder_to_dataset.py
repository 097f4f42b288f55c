"""Depth of a folder of pictures as a dataset: rgb/, depth/ in 16-bit PNG, and dataset.json.

    python folder_to_dataset.py PICTURES DATASET [MODEL]
    depthrt eval depthrt-xs DATASET        # reads it back: how another model differs from it

Training and evaluation want metres. A metric model gives them. The built-in one does not: its depth
is relative, and is stretched here so that of each picture the nearest pixel is at NEAR_M and the
farthest at FAR_M. Such labels teach a network what is in front of what, and nothing about metres;
dataset.json says so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import depthrt

NEAR_M, FAR_M = 0.5, 20.0  # where relative depth is stretched to
UNIT_M = 0.001  # one code of the 16-bit PNG: 1 mm, up to 65.535 m; 0 is no value


def metres(depth: depthrt.Depth) -> NDArray[np.float32]:
    """Distance in metres at the picture's size, float32 (H,W); NaN where there is none."""
    values = depth.at_image_size()
    if depth.unit is None:  # relative: stretch what the model gives, inverse depth or depth
        ends = (1 / FAR_M, 1 / NEAR_M) if depth.kind == "inverse_depth" else (NEAR_M, FAR_M)
        low, high = float(values.min()), float(values.max())
        values = np.interp(values, (low, max(high, low + 1e-6)), ends).astype(np.float32)
    if depth.kind == "inverse_depth":
        values = np.asarray(1 / np.where(values > 0, values, np.nan), np.float32)
    return values


def main(pictures: str, output: str, model_file: str | None = None) -> None:
    model = depthrt.DepthModel.load(model_file)
    folder = Path(output)
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True)  # refuses to mix with a dataset that is there
    with depthrt.stream(pictures, model) as results:
        for result in results:
            name = f"{result.frame.index:06d}.png"
            rgb, codes = result.frame.image, np.nan_to_num(metres(result.depth) / UNIT_M)
            cv2.imwrite(str(folder / "rgb" / name), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
            coded = np.where(codes > 65535, 0, np.rint(codes)).astype(np.uint16)
            cv2.imwrite(str(folder / "depth" / name), coded)
    about = {
        "depth_unit_m": UNIT_M,
        "min_depth_m": UNIT_M,
        "max_depth_m": 65535 * UNIT_M,
        "labels": f"made by {model.spec.name}"
        + (", metric" if model.spec.unit else f", relative, stretched to {NEAR_M}..{FAR_M} m"),
    }
    (folder / "dataset.json").write_text(json.dumps(about, indent=2) + "\n")
    print(f"{output}: {len(list((folder / 'depth').iterdir()))} pairs, {about['labels']}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: folder_to_dataset.py PICTURES DATASET [MODEL]")
    try:
        main(*sys.argv[1:])
    except (depthrt.DepthrtError, OSError) as error:
        sys.exit(str(error))
