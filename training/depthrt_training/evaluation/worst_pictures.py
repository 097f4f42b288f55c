"""A sheet of the images with the largest errors: colour, ground truth, prediction.

    python -m depthrt_training.evaluation.worst_pictures MODEL.onnx SET... --out worst.jpg

Shows the images of every set with the largest AbsRel, at most one for each scene, and beside it
the AbsRel of the set's median image.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from depthrt import DepthModel
from depthrt_training.data.samples import read_rgb
from depthrt_training.evaluation.evaluate import FloatMap, image_metrics, model_predictor

WIDTH, HEIGHT = 176, 134
LINE = 18


def coloured(inverse: FloatMap, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """H,W inverse depth -> H,W,3 BGR; bright is near, black is unknown."""
    low, high = np.quantile(inverse[known], [0.02, 0.98])
    grey = np.clip(255 * (inverse - low) / max(float(high - low), 1e-9), 0, 255).astype(np.uint8)
    shown = np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), dtype=np.uint8)
    shown[~known] = 0
    return shown


def worst_of(folder: Path, model: DepthModel, count: int) -> list[npt.NDArray[np.uint8]]:
    """The worst images of a set: rows of three pictures under a line of text."""
    spec = json.loads((folder / "dataset.json").read_text())
    low, cap = float(spec["min_depth_m"]), float(spec["max_depth_m"])
    predict = model_predictor(model)
    found = []
    for file in sorted((folder / "rgb").glob("*.jpg")):
        rgb = read_rgb(file)
        raw = cv2.imread(str(folder / "depth" / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED)
        depth_m = np.asarray(raw, dtype=np.float32) * np.float32(spec["depth_unit_m"])
        known = (depth_m > low) & (depth_m < cap) & ~np.isin(np.asarray(raw), spec["invalid"])
        size = (depth_m.shape[1], depth_m.shape[0])
        seen = np.asarray(cv2.resize(predict(rgb), size, interpolation=cv2.INTER_LINEAR))
        error = image_metrics(seen.astype(np.float32), depth_m, known, low, cap)[0]
        found.append((error, file.stem, rgb, depth_m, known, seen))
    found.sort(key=lambda item: item[0], reverse=True)
    middle = found[len(found) // 2][0]
    rows: list[npt.NDArray[np.uint8]] = []
    scenes = set[int]()
    for error, stem, rgb, depth_m, known, seen in found:
        scene = int(stem) // spec.get("views_a_scene", 12)
        if scene in scenes or len(rows) == count:
            continue
        scenes.add(scene)
        truth = np.where(known, 1 / np.maximum(depth_m, low), 0).astype(np.float32)
        parts = [
            rgb[..., ::-1],
            coloured(truth, known),
            coloured(seen.astype(np.float32), np.ones_like(known)),
        ]
        row = [cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for part in parts]
        text = np.zeros((LINE, 3 * WIDTH, 3), dtype=np.uint8)
        words = f"{folder.name} {stem}: AbsRel {error:.2f} (median image {middle:.2f})"
        cv2.putText(text, words, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, 16)
        rows.append(np.concatenate([text, np.concatenate([np.asarray(r) for r in row], axis=1)]))
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="A sheet of the images with the largest errors.")
    parser.add_argument("model", type=Path, help="depthrt .onnx file")
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=2, help="images of every set")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = DepthModel.load(options.model, provider="cpu")
    rows = [row for folder in options.sets for row in worst_of(folder, model, options.count)]
    if len(rows) % 2:
        rows.append(np.zeros_like(rows[0]))
    columns = [np.concatenate(rows[k::2]) for k in range(2)]
    sheet = np.concatenate(columns, axis=1)
    cv2.imwrite(str(options.out), sheet, [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main()
