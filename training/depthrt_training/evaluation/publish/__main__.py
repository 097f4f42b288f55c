"""From new weights to the released files, and to the figures and pictures that tell of them.

    python -m depthrt_training.evaluation.publish WEIGHTS --data DATA --work WORK \\
        --config training/configs/by_place.toml --note "the mean of ..."
    python -m depthrt_training.evaluation.publish WEIGHTS --work WORK --only pictures --only card

Steps, in order: the weights with their figures; the built-in files; accuracy and flicker by
`depthrt eval`, beside the float file and TCMonoDepth-small; renders of a seed that nothing was
trained on; pictures; the tables of the card. What is written lies in this checkout: look at it and
commit it. README.md, *Release new weights*, says what is left to do by hand.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from depthrt.model.catalogue.registry import DATA as PACKAGE_DATA
from depthrt_training.config import CONFIGS
from depthrt_training.evaluation.publish.built_in import depthrt, exporting
from depthrt_training.evaluation.publish.card import KINDS
from depthrt_training.recipe import WEIGHTS, Command, StepError, module, run

ROOT = Path(__file__).parents[4]
RESULTS = ROOT / "benchmarks" / "results"
BUILT_IN = PACKAGE_DATA / "depthrt-s.onnx"
TEACHER = ROOT / "tests" / "networks" / "tcmonodepth_small.py"
LABELLED = ("aims_lab", "box_on_floor", "phone_lidar_desk", "realsense_desk", "tum_fr1_rpy")
SEED, SCENES = 7, 48
"""Of the renders whose textures are no photographs; fewer scenes would lack a kind of place."""


def weights(options: argparse.Namespace) -> list[Command]:
    """training/weights: the tensors and their figures."""
    said = ("--config", options.config, *(("--note", options.note) if options.note else ()))
    common = ("--data", options.data, "--weights")
    commands = [module("evaluation.release", *common, options.weights, *said)]
    if options.smaller:
        said = ("--name", "depthrt-xs", "--config", CONFIGS / "xs.toml")
        commands.append(module("evaluation.release", *common, options.smaller, *said))
    return commands


def files(options: argparse.Namespace) -> list[Command]:
    """runtime/depthrt/data: the int8 files."""
    return [module("evaluation.publish.built_in", "--data", options.data, "--work", options.work)]


def accuracy(options: argparse.Namespace) -> list[Command]:
    """accuracy.json and flicker.json."""
    float32, teacher = options.work / "depthrt-s-float32.onnx", options.work / "tcmonodepth.onnx"
    checkpoint = options.data / "models" / "tcmonodepth_small" / "checkpoint.pt.tar"
    sets = [options.data / "rgbd" / name for name in LABELLED]
    return [
        exporting("depthrt-s", WEIGHTS, float32),
        depthrt("export", f"{TEACHER}:tcmonodepth_small", "--checkpoint", checkpoint,
                "--name", "tcmonodepth-small", "--overwrite", "-o", teacher),
        depthrt("eval", BUILT_IN, *sets, "--compare", float32, "--compare", teacher,
                "--compare", BUILT_IN.with_name("depthrt-xs.onnx"), "--no-video",
                "--provider", "cpu", "--overwrite", "-o", RESULTS / "accuracy.json"),
        depthrt("eval", BUILT_IN, *sorted((options.data / "video").glob("*.mp4")), "--compare",
                teacher, "--provider", "cpu", "--overwrite", "-o", RESULTS / "flicker.json"),
    ]  # fmt: skip


def renders(options: argparse.Namespace) -> list[Command]:
    """rendered_seed7.json: scenes that nothing was trained on, of all kinds."""
    fresh = options.work / f"seed{SEED}"
    scenes = ("--seed", str(SEED), "--scenes", str(SCENES))
    kinds = [word for kind in KINDS.values() for word in ("--set", fresh / kind)]
    return [
        module("rendered.generate", "--out", fresh, *scenes),
        module("evaluation.evaluate", BUILT_IN, "--data", options.data, "--teacher", *kinds,
               "--out", RESULTS / f"rendered_seed{SEED}.json"),
    ]  # fmt: skip


def pictures(options: argparse.Namespace) -> list[Command]:
    """README's picture, and the sheet of the card where `renders` has drawn scenes."""
    clip = options.work / "demo_depth.mp4"
    fresh = sorted(file.parent for file in (options.work / f"seed{SEED}").glob("*/dataset.json"))
    commands = [
        depthrt("run", "demo", "-m", BUILT_IN, "--view", "side", "--overwrite", "-o", clip),
        module("evaluation.publish.demo_picture", clip, "--out", ROOT / ".github" / "demo.jpg"),
    ]
    if fresh:
        sheet = ROOT / "training" / "worst.jpg"
        commands.append(module("evaluation.worst_pictures", BUILT_IN, *fresh, "--out", sheet))
    return commands


def card(options: argparse.Namespace) -> list[Command]:
    """The tables of MODEL_CARD.md and FIGURES.md."""
    return [module("evaluation.publish.card")]


STEPS: dict[str, Callable[[argparse.Namespace], list[Command]]] = {
    "weights": weights,
    "files": files,
    "accuracy": accuracy,
    "renders": renders,
    "pictures": pictures,
    "card": card,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("weights", type=Path, help="a .safetensors file")
    parser.add_argument("--smaller", type=Path, help="weights of depthrt-xs, if it has new ones")
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--config", type=Path, default=CONFIGS / "depthrt-s.toml", help="what they learned from"
    )
    parser.add_argument("--note", help="what the configuration does not say of the run")
    parser.add_argument("--only", choices=STEPS, action="append", help="repeatable; default: all")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    if not options.weights.is_file():
        parser.error(f"no such file: {options.weights}")
    options.data = Path(options.data)
    options.work.mkdir(parents=True, exist_ok=True)
    try:
        for name in options.only or STEPS:
            print(f"-- {name}", flush=True)
            for command in STEPS[name](options):
                run([command], 1)
    except StepError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
