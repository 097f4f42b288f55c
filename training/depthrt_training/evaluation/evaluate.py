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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from depthrt import DepthModel
from depthrt_benchmarks.common.environment import environment
from depthrt_benchmarks.evaluation.metrics.boundary import LEAST_SHARE, boundary_f1
from depthrt_benchmarks.evaluation.metrics.metrics import depth_metrics
from depthrt_benchmarks.evaluation.protocol.alignment import fit, solve_space, to_depth_m
from depthrt_training.data.samples import RENDERED, read_rgb
from depthrt_training.model.network import NATIVE_SIZE, DepthNet, normalise
from depthrt_training.model.weights_file import load_weights
from depthrt_training.teachers.tcmonodepth import Teacher

FloatMap = npt.NDArray[np.float32]
Predictor = Callable[[npt.NDArray[np.uint8]], FloatMap]

PROTOCOL = (
    "disparity-lsq per image; stretched to the network's size (cv2 bilinear), prediction resized "
    "to the depth grid (cv2 bilinear); valid min < depth < max of the set; depth clamped to "
    "[min, max]; no crop; mean over images; no test-time augmentation"
)
SETS = ("tum_fr1_rpy", "aims_lab", "realsense_desk", "phone_lidar_desk", "box_on_floor")
TRAINED_ON = ("tum_fr1_rpy", "aims_lab")
MIN_VALID_PIXELS = 10


def network_predictor(network: DepthNet) -> Predictor:
    """RGB H,W,3 uint8 -> `NATIVE_SIZE` float32."""

    def predict(rgb: npt.NDArray[np.uint8]) -> FloatMap:
        height, width = NATIVE_SIZE
        resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
        pixels = torch.from_numpy(np.asarray(resized)).permute(2, 0, 1)[None]  # 1,3,h,w
        with torch.inference_mode():
            output = network(normalise(pixels))[0].numpy()
        return np.asarray(output, dtype=np.float32)

    return predict


def model_predictor(model: DepthModel) -> Predictor:
    """An exported model; the spec in its file says how frames are prepared."""
    return lambda rgb: model(rgb).values


def image_metrics(
    prediction: FloatMap, depth_m: FloatMap, valid: npt.NDArray[np.bool_], low: float, cap: float
) -> tuple[float, float, float]:
    """AbsRel, delta1 and boundary F1 of one image; prediction and depth on the same grid (H,W).

    By the formulae of `depthrt eval`, with `disparity-lsq` over the valid pixels. F1 is NaN if less
    than half of the image is valid: its edges would be those of the holes.
    """
    truth = depth_m[valid].astype(np.float64)
    space = solve_space(prediction, "inverse_depth", "disparity-lsq")
    line = fit(space[valid], truth, "disparity-lsq")
    aligned = to_depth_m(space, line, "disparity-lsq", low, cap)
    found = depth_metrics(aligned[valid], truth)
    sharp = boundary_f1(aligned, depth_m, valid) if valid.mean() >= LEAST_SHARE else float("nan")
    return found["abs_rel"], found["delta1"], sharp


def evaluate_set(
    folder: Path, predict: Predictor, only: Sequence[Path] | None = None
) -> dict[str, Any]:
    """Mean figures over a set, or over its colour files `only`; also images used and skipped."""
    spec = json.loads((folder / "dataset.json").read_text())
    low, cap = float(spec["min_depth_m"]), float(spec["max_depth_m"])
    results: list[tuple[float, float, float]] = []
    skipped = non_finite = 0
    for file in sorted((folder / "rgb").glob("*.jpg")) if only is None else only:
        raw = cv2.imread(str(folder / "depth" / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED)
        depth_m = np.asarray(raw, dtype=np.float32) * np.float32(spec["depth_unit_m"])
        valid = (depth_m > low) & (depth_m < cap)
        valid &= ~np.isin(np.asarray(raw), spec.get("invalid", [0]))
        if valid.sum() < MIN_VALID_PIXELS:
            skipped += 1
            continue
        output = predict(read_rgb(file))
        non_finite += int(not np.isfinite(output).all())
        height, width = depth_m.shape
        resized = cv2.resize(output, (width, height), interpolation=cv2.INTER_LINEAR)
        results.append(
            image_metrics(np.asarray(resized, dtype=np.float32), depth_m, valid, low, cap)
        )
    abs_rel, delta1, _ = np.mean(results, axis=0)
    sharp = [f1 for _, _, f1 in results if np.isfinite(f1)]
    return {
        "abs_rel": round(float(abs_rel), 4),
        "delta1": round(float(delta1), 4),
        "boundary_f1": round(float(np.mean(sharp)), 4) if sharp else None,
        "images": len(results),
        "skipped": skipped,
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
        report["depthrt-s"] = evaluate(folders, network_predictor(load_weights(options.weights)))
    if options.teacher:
        report["tcmonodepth-small"] = evaluate(folders, Teacher(options.data).predict)
    text = json.dumps(report, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
