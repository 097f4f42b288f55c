"""The files that the README's table is measured on, made once into a folder."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from depthrt.errors import DepthrtError
from depthrt.files.atomic_write import write_text
from depthrt.model.catalogue.registry import find_model
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from experiments.quantisation.search import COMMAND, cases, export

_CONVERT = Path(__file__).parents[1] / "peers" / "litert_engine.py"


@dataclass(frozen=True)
class Made:
    """A network's source, its float32 file and others; why those are lacking that are.

    ``others``: ``int8``, ``tflite``, and ``auto``, what a search picks and `depthrt tune` tunes in
    an environment with OpenVINO.
    """

    source: str
    said: dict[str, Any]
    trained: bool
    huggingface: bool
    float32: Path
    others: Mapping[str, Path]
    lacking: Mapping[str, str]

    def file(self, kind: str) -> Path:
        """One of the files.

        Raises:
            DepthrtError: it could not be made.
        """
        if kind == "float32":
            return self.float32
        if kind in self.others:
            return self.others[kind]
        raise DepthrtError(f"none: {self.lacking.get(kind, 'it was not asked for')}")


def make(
    name: str, data: Path | None, work: Path, litert: str | None, provider: str | None
) -> Made | None:
    """Export what is not there yet; None where the network's weights are not at hand.

    Args:
        litert, provider: Pythons of an environment with LiteRT, and with depthrt[openvino,export].

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
    others: dict[str, Path] = {}
    lacking: dict[str, str] = {}
    said = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(told).items()}

    def attempt(kind: str, place: Path, create: Callable[[Path], str]) -> None:
        told_before = folder / f"{kind}.txt"
        if not place.is_file() and not told_before.is_file():
            write_text(told_before, create(place), overwrite=False)
        if place.is_file():
            others[kind] = place
        else:  # delete the text to try again
            lacking[kind] = told_before.read_text()

    def int8(place: Path) -> str:
        try:
            build(source, place, told, replace(options, precision="int8"), Phases(quiet=True))
        except DepthrtError as error:
            return str(error)
        return ""

    if name == "depthrt-s":
        others["int8"] = find_model(None)
    else:
        attempt("int8", folder / "int8.onnx", int8)
    if litert is not None:
        order = {"source": source, "said": said}
        attempt("tflite", folder / "float32.tflite", lambda p: _convert(order, folder, p, litert))
    if provider is not None:
        attempt("auto", folder / "auto.onnx", lambda p: _search(float32, p, frames, provider))
    return Made(source, said, case.trained, Path(source).is_dir(), float32, others, lacking)


def _search(float32: Path, place: Path, frames: str | None, python: str) -> str:
    """What a user does: search, then tune; why it failed, empty where it did not."""
    shown = [] if frames is None else ["--frames", frames]
    try:
        export(str(float32), place, "--precision", "auto", "--overwrite", *shown, python=python)
        subprocess.run([python, *COMMAND, "tune", str(place)], capture_output=True, check=True)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        return str(error)
    return ""


def _convert(order: dict[str, Any], folder: Path, tflite: Path, python: str) -> str:
    """Why it failed; empty where it did not."""
    place = folder / "order.json"
    write_text(place, json.dumps(order), overwrite=True)
    command = [python, str(_CONVERT), str(place), str(tflite)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if tflite.is_file() else (done.stderr.strip().splitlines() or ["no reason given"])[-1]
