"""Where what a provider compiles is kept: a folder for each model file, provider and machine.

Another model file, machine, onnxruntime or GPU driver has another folder, so that nothing is taken
that does not fit. No run needs what is kept: where it cannot be written or read, the provider
compiles again. ``DEPTHRT_ENGINES=0`` keeps nothing.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from depthrt.files.file_hash import file_sha256
from depthrt.files.user_cache import user_cache
from depthrt.model.engines.engine_options import KEEPING, EngineOptions, engine_options
from depthrt.system.machine_key import machine_key

SWITCH = "DEPTHRT_ENGINES"
_DRIVER = Path("/proc/driver/nvidia")
_HASH_DIGITS = 32


@dataclass(frozen=True)
class Engines:
    """The folder of what a provider compiles of one model file, and the options that use it."""

    folder: Path
    options: EngineOptions

    def discard(self) -> None:
        """Remove what is kept: it cannot be used."""
        shutil.rmtree(self.folder, ignore_errors=True)


def engines_folder() -> Path:
    """The folder of all engines: ``$XDG_CACHE_HOME/depthrt/engines``, else below ``~/.cache``.

    Raises:
        RuntimeError: there is no home folder.
    """
    return user_cache("engines")


def find_engines(model: Path, provider: str, onnxruntime: ModuleType) -> Engines | None:
    """The engines of a model file with a provider; None where nothing can be kept.

    Args:
        model: the model file.
        provider: the provider's short name.
        onnxruntime: the module of that name.
    """
    if provider not in KEEPING or obstacle(provider, onnxruntime):
        return None
    try:
        key = machine_key(onnxruntime, *(_nvidia() if provider == "tensorrt" else ()))
        name = f"{file_sha256(model)[:_HASH_DIGITS]}-{provider}-{key}"
        folder, timings = engines_folder() / name, engines_folder() / f"timings-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        if provider == "tensorrt":
            timings.mkdir(exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None
    if not os.access(folder, os.W_OK | os.X_OK):
        return None
    return Engines(folder, engine_options(provider, folder, timings))


def obstacle(provider: str, onnxruntime: ModuleType) -> str:
    """Why nothing is kept of a provider, in a few words; empty if nothing stands against it."""
    if os.environ.get(SWITCH, "") == "0":
        return f"switched off by {SWITCH}=0"
    if provider == "openvino" and not _reads_back(Path(onnxruntime.__file__ or "").parent / "capi"):
        return "this onnxruntime-openvino lacks libopenvino_ir_frontend, which reads them back"
    return ""


def engines_line(providers: list[str], onnxruntime: ModuleType) -> str:
    """Where engines are kept and how large they are, or why they are not; for ``doctor``."""
    try:
        folder = engines_folder()
    except RuntimeError:
        return "not kept: there is no home folder"
    said = f"{folder}, {_size_bytes(folder) / 1e6:.1f} MB"
    if not _can_be_written(folder):
        said += ", which cannot be written: nothing more is kept"
    for provider in (each for each in providers if each in KEEPING):
        why = obstacle(provider, onnxruntime)
        said += f"; {provider}: not kept, {why}" if why else ""
    return f"switched off by {SWITCH}=0" if os.environ.get(SWITCH, "") == "0" else said


def _reads_back(libraries: Path) -> bool:
    """Whether OpenVINO can read what it has written.

    What its CPU plugin writes is a graph in OpenVINO's own format (IR), which a library of its own
    reads. The Linux wheels of onnxruntime-openvino 1.20 to 1.24.1 bring OpenVINO without it: each
    load then writes the file, fails to read it at the next, removes it and compiles again. An
    OpenVINO that is installed elsewhere is complete.
    """
    brought = any(libraries.glob("libopenvino.so*"))
    return not brought or any(libraries.glob("libopenvino_ir_frontend*"))


def _nvidia() -> tuple[str, ...]:
    """The NVIDIA driver and the GPUs, as Linux says them; empty where it does not."""
    files = [_DRIVER / "version", *sorted(_DRIVER.glob("gpus/*/information"))]
    lines: list[str] = []
    for file in files:
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        lines += [line for line in text.splitlines() if line.startswith(("NVRM", "Model"))]
    return tuple(lines)


def _can_be_written(folder: Path) -> bool:
    """Whether a folder, or the nearest one above it that exists, can be written."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _size_bytes(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size
            except OSError:  # a session in another process has just replaced it
                continue
    return total
