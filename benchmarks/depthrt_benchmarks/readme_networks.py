"""The files that the README's table is measured on, made once into a folder."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from depthrt.errors import DepthrtError
from depthrt.models import find_model
from depthrt_benchmarks.quantisation import cases
from depthrt_export.build import build
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.phases import Phases

_CONVERT = Path(__file__).parent / "peers" / "litert_engine.py"


@dataclass(frozen=True)
class Made:
    """A network's source and files; None where one could not be made, and why."""

    source: str
    said: dict[str, Any]
    trained: bool
    huggingface: bool
    float32: Path
    int8: Path | None
    int8_refused: str
    tflite: Path | None
    tflite_refused: str


def make(name: str, data: Path | None, work: Path, litert: str | None) -> Made | None:
    """Export what is not there yet; None where the network's weights are not at hand.

    Raises:
        DepthrtError: the float32 export failed.
    """
    case = cases(data).get(name)
    if case is None:
        return None
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    source, float32 = case.source(folder), folder / "float32.onnx"
    told = SourceOptions(**case.said)
    pictures = None if data is None else data / "images"
    frames = str(pictures) if pictures is not None and pictures.is_dir() else None
    options = ExportOptions(overwrite=True, max_error=0.5, frames=frames)
    if not float32.is_file():
        build(source, float32, told, options, Phases(quiet=True))
    int8, refused = folder / "int8.onnx", _reason(folder / "int8.txt")
    if name == "depthrt-s":
        int8 = find_model(None)
    elif not int8.is_file() and not refused:
        try:
            build(source, int8, told, replace(options, precision="int8"), Phases(quiet=True))
        except DepthrtError as error:
            refused = str(error)
            (folder / "int8.txt").write_text(refused)
    said = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(told).items()}
    tflite, failure = folder / "float32.tflite", _reason(folder / "tflite.txt")
    if litert is not None and not tflite.is_file() and not failure:
        failure = _convert({"source": source, "said": said}, folder, tflite, litert)
        (folder / "tflite.txt").write_text(failure)
    return Made(
        source,
        said,
        name in ("depthrt-s", "tcmonodepth-small"),
        Path(source).is_dir(),
        float32,
        int8 if int8.is_file() else None,
        refused,
        tflite if tflite.is_file() else None,
        failure,
    )


def _reason(place: Path) -> str:
    """Why a file could not be made the last time; delete the text to try again."""
    return place.read_text() if place.is_file() else ""


def _convert(order: dict[str, Any], folder: Path, tflite: Path, python: str) -> str:
    """Why it failed; empty where it did not."""
    place = folder / "order.json"
    place.write_text(json.dumps(order))
    command = [python, str(_CONVERT), str(place), str(tflite)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if tflite.is_file() else (done.stderr.strip().splitlines() or ["no reason given"])[-1]
