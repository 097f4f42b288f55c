"""AbsRel, delta1 and boundary F1 of a weights file or an exported model.

    python -m depthrt_training.evaluation.evaluate WEIGHTS.safetensors --data DATA [--teacher]
    python -m depthrt_training.evaluation.evaluate MODEL.onnx --data DATA --out FIGURES.json
    python -m depthrt_training.evaluation.evaluate MODEL.onnx --data DATA --set OUT/room
    python -m depthrt_training.evaluation.evaluate MODEL.onnx --data DATA --rendered OUT --every 4

Protocol: colour stretched to the network's size, prediction to the depth grid (both cv2 bilinear);
valid pixels strictly inside the set's range; one scale and shift per image by least squares on
inverse depth (MiDaS); cap at the set's maximum; mean per image, then over images; no crop, no
test-time augmentation. Boundary F1 only of images that are at least half valid.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from depthrt import DepthModel
from depthrt_benchmarks.common.environment import environment
from depthrt_training.data.samples import RENDERED
from depthrt_training.evaluation.labelled_pictures import (
    FloatMap,
    PictureFigures,
    Predictor,
    figures_of,
    pictures_of,
    predicted,
)
from depthrt_training.model.network import NATIVE_SIZE, DepthNet, normalise
from depthrt_training.model.weights_file import load_weights, size_of
from depthrt_training.teachers.tcmonodepth import Teacher

PROTOCOL = (
    "disparity-lsq per image; stretched to the network's size (cv2 bilinear), prediction resized "
    "to the depth grid (cv2 bilinear); valid min < depth < max of the set; depth clamped to "
    "[min, max]; no crop; mean over images; no test-time augmentation"
)
SETS = ("tum_fr1_rpy", "aims_lab", "realsense_desk", "phone_lidar_desk", "box_on_floor")
TRAINED_ON = ("tum_fr1_rpy", "aims_lab")


def network_predictor(network: DepthNet, size: tuple[int, int] = NATIVE_SIZE) -> Predictor:
    """RGB H,W,3 uint8 -> height and width of `size`, float32."""
    height, width = size

    def predict(rgb: npt.NDArray[np.uint8]) -> FloatMap:
        resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
        pixels = torch.from_numpy(np.asarray(resized)).permute(2, 0, 1)[None]  # 1,3,h,w
        with torch.inference_mode():
            output = network(normalise(pixels))[0].numpy()
        return np.asarray(output, dtype=np.float32)

    return predict


def model_predictor(model: DepthModel) -> Predictor:
    """An exported model; the spec in its file says how frames are prepared."""
    return lambda rgb: model(rgb).values


def predictor_of(file: Path) -> Predictor:
    """The network of a weights file (.safetensors, in float), or of an exported .onnx file."""
    if file.suffix == ".onnx":
        return model_predictor(DepthModel.load(file, provider="cpu"))
    return network_predictor(load_weights(file), size_of(file))


def evaluate_set(
    folder: Path, predict: Predictor, only: Sequence[Path] | None = None
) -> dict[str, Any]:
    """Mean figures over a set, or over its colour files `only`; also images used and skipped."""
    files = sorted((folder / "rgb").glob("*.jpg")) if only is None else only
    results: list[PictureFigures] = []
    non_finite = 0
    for picture in pictures_of(folder, files):
        prediction = predicted(picture, predict)
        non_finite += int(not np.isfinite(prediction).all())
        results.append(figures_of(picture, prediction))
    sharp = [found.boundary_f1 for found in results if np.isfinite(found.boundary_f1)]
    return {
        "abs_rel": round(fmean(found.abs_rel for found in results), 4),
        "delta1": round(fmean(found.delta1 for found in results), 4),
        "boundary_f1": round(float(np.mean(sharp)), 4) if sharp else None,
        "images": len(results),
        "skipped": len(files) - len(results),
        "non_finite": non_finite,
        "trained_on": folder.name in TRAINED_ON,
    }


def evaluate(folders: Mapping[Path, Sequence[Path] | None], predict: Predictor) -> dict[str, Any]:
    """The figures of every set, by its folder's name; None means all its colour files."""
    return {folder.name: evaluate_set(folder, predict, only) for folder, only in folders.items()}


def held_out(rendered: Path, every: int) -> dict[Path, Sequence[Path] | None]:
    """Every n-th picture that training held out of the sets of `rendered/generate.py`."""
    found: dict[Path, list[Path]] = {}
    for kinds in RENDERED.values():
        files = [file for kind in kinds for file in (rendered / kind / "rgb").glob("*.jpg")]
        files.sort(key=lambda file: file.stem)
        for file in files[len(files) - len(files) // 10 :][::every]:
            found.setdefault(file.parents[1], []).append(file)
    return {**found}


def five_sets(data: Path) -> dict[Path, Sequence[Path] | None]:
    """The folders of `SETS`, whole."""
    return dict.fromkeys(data / "rgbd" / name for name in SETS)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Evaluate depthrt-s on the RGB-D sets.")
    parser.add_argument("weights", type=Path, help="safetensors file or depthrt .onnx model")
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument(
        "--set", type=Path, action="append", help="evaluate this set instead of the five"
    )
    parser.add_argument(
        "--rendered", type=Path, help="evaluate the held-out pictures of these sets"
    )
    parser.add_argument("--every", type=int, default=1, help="use every n-th picture")
    parser.add_argument("--teacher", action="store_true", help="also evaluate TCMonoDepth-small")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    folders = dict.fromkeys(options.set) if options.set else five_sets(options.data)
    if options.rendered:
        folders = held_out(options.rendered, options.every)
    report: dict[str, Any] = {**environment(), "protocol": PROTOCOL}
    if options.weights.suffix == ".onnx":
        model = DepthModel.load(options.weights, provider="cpu")
        report[f"{model.spec.name} {model.spec.precision}"] = evaluate(
            folders, model_predictor(model)
        )
    else:
        report["depthrt-s"] = evaluate(folders, predictor_of(options.weights))
    if options.teacher:
        report["tcmonodepth-small"] = evaluate(folders, Teacher(options.data).predict)
    text = json.dumps(report, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
