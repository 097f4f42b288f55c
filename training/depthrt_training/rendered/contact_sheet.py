"""A contact sheet of RGB-D sets: colour above inverse depth.

python -m depthrt_training.rendered.contact_sheet SET... --out sheet.jpg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 200, 152


def pair(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    """2 x HEIGHT,WIDTH,3 BGR: the picture above its inverse depth (far is dark)."""
    spec = json.loads((folder / "dataset.json").read_text())
    colour = cv2.imread(str(folder / "rgb" / f"{name}.jpg"), cv2.IMREAD_COLOR)
    raw = np.asarray(cv2.imread(str(folder / "depth" / f"{name}.png"), cv2.IMREAD_UNCHANGED))
    known = ~np.isin(raw, spec.get("invalid", [0]))
    inverse = np.where(known, 1 / np.maximum(raw, 1), 0)
    top = float(np.quantile(inverse[known], 0.99)) if known.any() else 1.0
    grey = np.clip(255 * inverse / top, 0, 255).astype(np.uint8)
    shown = cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)
    size = (WIDTH, HEIGHT)
    rows = [cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA)
            for image in (colour, shown)]  # fmt: skip
    return np.concatenate([np.asarray(row) for row in rows]).astype(np.uint8)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="A contact sheet of RGB-D sets.")
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for folder in options.sets:
        names = sorted(file.stem for file in (folder / "rgb").glob("*.jpg"))
        if len(names) < options.columns:
            continue
        rng = np.random.default_rng(options.seed)
        chosen = rng.choice(names, options.columns, replace=False)
        rows.append(np.concatenate([pair(folder, str(name)) for name in chosen], axis=1))
    cv2.imwrite(str(options.out), np.concatenate(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
