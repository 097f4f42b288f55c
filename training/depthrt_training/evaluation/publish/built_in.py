"""Make the files of the built-in models from their released weights: `depthrt-s` and `depthrt-xs`.

    python -m depthrt_training.evaluation.publish.built_in --data DATA --work WORK

Exported to WORK as int8 for any processor (7-bit weights), ranges from photographs, judged on the
demo clip. Golden frames are of the demo clip, never of photographs, whose licence is not ours. The
files carry no reference of drift: one of photographs would call every camera's pictures unusual;
`depthrt run --metrics` learns one instead. Each file is verified before it replaces that of the
package.

The time over float32's that a file quotes is measured here: let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import onnx

from depthrt.model.catalogue.registry import DATA, DEMO_CLIP
from depthrt.model.depth_model import DepthModel
from depthrt_export.model_file import put_in_place
from depthrt_training.evaluation.golden import renew
from depthrt_training.model.weights_file import size_of, size_text
from depthrt_training.recipe import WEIGHTS, Command, StepError, run

NAMES = ("depthrt-s", "depthrt-xs")
NETWORK = Path(__file__).parents[2] / "model" / "network.py"
COMMAND = ("-c", "from depthrt.cli import main; main()")


def depthrt(*arguments: str | Path) -> Command:
    """The command line of `depthrt` in this environment."""
    return [sys.executable, *COMMAND, *map(str, arguments)]


def exporting(name: str, weights: Path, out: Path, *more: str | Path) -> Command:
    """The export at the size that the weights are for."""
    return depthrt(
        "export", f"{NETWORK}:depthrt_s", "--checkpoint", weights, "--name", name,
        "--size", size_text(size_of(weights)), "--dynamic", "batch", "--licence", "Apache-2.0",
        "--mean", "116,116,116", "--std", "58,58,58", "--scale", "1", "--kind", "inverse-depth",
        "--overwrite", "-o", out, *more,
    )  # fmt: skip


def settle(file: Path) -> None:
    """Leave out what the exporter assumed of a network that is our own, and the drift reference."""
    spec = DepthModel.load(file, provider="cpu", verify=False).spec
    known = {key: value for key, value in spec.provenance.items() if key != "assumed"}
    put_in_place(onnx.load(file), replace(spec, provenance=known), file, overwrite=True)
    renew(file)  # golden frames


def make(name: str, weights: Path, data: Path, work: Path) -> Path:
    """Export, verify; return the file.

    Raises:
        StepError: a step failed.
    """
    file = work / f"{name}.onnx"
    int8 = ("--precision", "int8", "--target", "x86-avx2", "--calibration", data / "images",
            "--validate", DEMO_CLIP)  # fmt: skip
    run([exporting(name, weights, file, *int8)], 1)
    settle(file)
    run([depthrt("verify", file)], 1)
    return file


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weights", type=Path, default=WEIGHTS.parent, help="their folder")
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=DATA, help="default: the package's folder")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    try:
        files = [
            make(name, options.weights / f"{name}.safetensors", Path(options.data), work)
            for name in NAMES
        ]
    except StepError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    for file in files:
        shutil.copyfile(file, options.out / f"{file.name}.new")
        (options.out / f"{file.name}.new").replace(options.out / file.name)
        print(options.out / file.name)


if __name__ == "__main__":
    main()
