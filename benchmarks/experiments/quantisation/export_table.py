"""What `depthrt export` costs and gives for every depth family that transformers has.

Per family, by the command line as a user calls it, each in a process of its own:

- export time and peak memory of the whole command, file size, opset;
- the largest |ONNX - PyTorch| on real frames, as a share of the depth's 2-98 percentile spread;
- whether batch and size may vary: tried with `--dynamic`, which proves the file at other shapes
  and refuses it otherwise.

The networks are small with random weights (architectures as published); `--full-size` adds
Depth-Anything-V2-Small as published.

    python -m experiments.quantisation.export_table --frames photos/
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from depthrt_benchmarks.common.environment import write_result
from experiments.quantisation.depth_families import DEPTH_ANYTHING_V2_SMALL, FAMILIES, Family, save

RESULT = Path("benchmarks/results/export_families.json")
_COMMAND = (sys.executable, "-c", "from depthrt.cli import main; main()")


class ExportFailedError(RuntimeError):
    """`depthrt export` refused; the message is its one sentence."""


def export(folder: Path, target: Path, *options: str) -> dict[str, Any]:
    """Run `depthrt export` and read the document that `--json` prints.

    Raises:
        ExportFailedError: the command did not end with 0.
    """
    command = [*_COMMAND, "export", str(folder), "-o", str(target), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ExportFailedError(lines[-1].removeprefix("depthrt: "))
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def measure(name: str, family: Family, frames: list[str], work: Path) -> dict[str, Any]:
    """One row: the export as it is, then with batch and with size left open."""
    folder = save(family, work / name)
    target = work / f"{name}.onnx"
    size = ["--size", "x".join(map(str, family.size))] if family.size else []
    document = export(folder, target, *size, *frames)
    target.unlink()
    times_s: dict[str, float] = document["times_s"]
    spec = document["spec"]
    return {
        "family": name,
        "size": [spec["input"]["height"], spec["input"]["width"]],
        "kind": spec["kind"],
        "unit": spec["unit"],
        "export_s": round(sum(times_s.values()), 1),
        "times_s": times_s,
        "peak_memory_mb": round(document["peak_memory_bytes"] / 1e6),
        "file_mb": round(document["file_bytes"] / 1e6, 2),
        "worst_max_error": spec["measured"]["proof"]["worst_max_error"],
        "opset": spec["provenance"]["opset"],
        "changes": document["notes"],
        "varies": {
            vary: _try(folder, target, [*size, *frames, "--dynamic", vary])
            for vary in ("batch", "size")
        },
    }


def _try(folder: Path, target: Path, options: list[str]) -> str:
    """`yes`, or the sentence of the refusal."""
    try:
        export(folder, target, *options)
    except ExportFailedError as error:
        return f"no: {error}"
    target.unlink()
    return "yes"


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    head = "| family | size | export s | peak MB | file MB | error | opset | batch | size varies |"
    lines = [head, "| --- " * head.count(" | ") + "| --- |"]
    for row in rows:
        size = "x".join(map(str, row["size"]))
        varies = [row["varies"][vary].split(":")[0] for vary in ("batch", "size")]
        lines.append(
            f"| {row['family']} | {size} | {row['export_s']} | {row['peak_memory_mb']} "
            f"| {row['file_mb']} | {row['worst_max_error']:.1e} | {row['opset']} "
            f"| {' | '.join(varies)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", help="frames for the proof; depthrt's clip if not said")
    parser.add_argument("--family", choices=sorted(FAMILIES), action="append", help="only these")
    parser.add_argument("--full-size", action="store_true", help="add Depth-Anything-V2-Small")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    chosen = {name: FAMILIES[name] for name in arguments.family or FAMILIES}
    if arguments.full_size:
        chosen["depth-anything-v2-small"] = DEPTH_ANYTHING_V2_SMALL
    frames = ["--frames", arguments.frames] if arguments.frames else []
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for name, family in chosen.items():
            rows.append(measure(name, family, frames, Path(work)))
            print(table(rows[-1:]).splitlines()[-1], file=sys.stderr)  # noqa: T201
    write_result(arguments.output, {"provider": "CPUExecutionProvider", "families": rows})
    print(table(rows))  # noqa: T201


if __name__ == "__main__":
    main()
