"""Export every file of the matrix as a user does, and write down what came of it.

    python -m experiments.foreign_onnx.matrix

Every file is accepted, with the error of its worst frame over the depth's spread, or refused in a
sentence. Files of float16 arithmetic are proven within its rounding, so theirs is the only error
that may exceed 1e-4.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import typer

from depthrt.errors import DepthrtError
from depthrt_benchmarks.common.environment import write_result
from depthrt_export.cli import app
from experiments.foreign_onnx.cases import REFUSED, accepted, options
from experiments.foreign_onnx.make import save
from experiments.foreign_onnx.variant import Variant

RESULT = Path("benchmarks/results/foreign_onnx.json")
LARGEST_ERROR = 1e-4


def export(variant: Variant, folder: Path) -> dict[str, Any]:
    """What `depthrt export` made of the file of a variant, or said of it."""
    source, target = folder / "file.onnx", folder / "made.onnx"
    save(variant, source)
    arguments = [str(source), "-o", str(target), "--json", *options(variant)]
    said = {"file": variant.name, "opset": variant.opset, "options": list(options(variant))}
    document = io.StringIO()
    try:
        with contextlib.redirect_stdout(document):
            typer.main.get_command(app).main(arguments, standalone_mode=False)
    except DepthrtError as error:
        return {**said, "exit_code": error.exit_code, "refused": _without(folder, str(error))}
    return {**said, **_facts(json.loads(document.getvalue()))}


def _without(folder: Path, text: str) -> str:
    """A sentence without the path of a temporary folder."""
    return text.replace(f"{folder}/", "")


def _facts(document: dict[str, Any]) -> dict[str, Any]:
    """The parts of the JSON of an export that the matrix keeps."""
    spec = document["spec"]
    proof = spec["measured"].get("float16") or spec["measured"]["proof"]
    return {
        "exit_code": 0,
        "precision": spec["precision"],
        "made_opset": spec["provenance"]["opset"],
        "mean_error": proof["worst_mean_error"],
        "max_error": proof["worst_max_error"],
        "changes": spec["provenance"]["changes"],
        "said": document["assumed"],
    }


def main() -> None:
    """Run the matrix; exit code 1 where a file is treated wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="files whose name holds this")
    parser.add_argument("--result", type=Path, default=RESULT)
    arguments = parser.parse_args()
    wanted = [(v, "") for v in accepted()] + [*REFUSED.items()]
    rows, wrong = [], []
    for variant, sentence in wanted:
        if arguments.only not in variant.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            row = export(variant, Path(folder))
        rows.append(row)
        if not as_wanted(row, sentence, variant):
            wrong.append(variant.name)
        typer.echo(f"{variant.name}: {row.get('refused') or row['mean_error']}")
    summary = summarised(rows, wrong)
    typer.echo(json.dumps(summary, indent=1))
    if not arguments.only:
        write_result(arguments.result, {"summary": summary, "files": rows})
    sys.exit(bool(wrong))


def summarised(rows: list[dict[str, Any]], wrong: list[str]) -> dict[str, Any]:
    """How many were accepted and refused, and the worst errors, those of float16 apart."""
    taken = [row for row in rows if row["exit_code"] == 0]
    errors: dict[bool, list[float]] = {True: [], False: []}
    for row in taken:
        errors[row["file"].startswith("float16")].append(row["mean_error"])
    return {
        "files": len(rows),
        "accepted": len(taken),
        "refused": len(rows) - len(taken),
        "worst_error": max(errors[False], default=None),
        "worst_error_of_float16_files": max(errors[True], default=None),
        "treated_wrongly": wrong,
    }


def as_wanted(row: dict[str, Any], sentence: str, variant: Variant) -> bool:
    """Whether a file was accepted and is near enough, or refused in the right sentence."""
    if sentence:
        return row["exit_code"] == 2 and sentence in row["refused"]
    return row["exit_code"] == 0 and (variant.half or row["mean_error"] <= LARGEST_ERROR)


if __name__ == "__main__":
    main()
