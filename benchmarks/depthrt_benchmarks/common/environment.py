"""Where and with what a figure was measured."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from depthrt.errors import ProviderError
from depthrt.files.json_file import write_json
from depthrt.model.session import import_onnxruntime
from depthrt.system import cpu_features
from depthrt.system.cpu_cores import usable_cores

PACKAGES = ("depthrt", "numpy", "opencv-python", "opencv-python-headless", "av", "onnxruntime",
            "onnxruntime-gpu", "onnxruntime-openvino", "onnx", "onnxscript", "torch",
            "transformers")  # fmt: skip

UNKNOWN_COMMIT = "unknown"
"""Of an installed package, which is no checkout."""

INSTRUCTIONS = (
    "avx2",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "asimddp",
    "i8mm",
)
"""What decides how fast, and how exactly, int8 runs; by Linux' names."""


def environment(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Machine, versions and commit, for the head of every result."""
    return {
        "machine": {
            "processor": cpu_features.name(),
            "instructions": [name for name in INSTRUCTIONS if name in cpu_features.flags()],
            "cores": usable_cores(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version(), **_versions(packages)},
        "commit": _commit(Path(__file__)),
    }


def write_result(path: Path, content: dict[str, Any]) -> None:
    """Write a result of this project's own with its environment as JSON; an earlier is replaced.

    Raises:
        WriteError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {**environment(), **content}, overwrite=True)


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if "onnxruntime" in packages and not any(name.startswith("onnxruntime") for name in found):
        with suppress(ProviderError):  # a wheel of yet another name: the module knows
            found["onnxruntime"] = import_onnxruntime().__version__
    return found


@cache
def _commit(file: Path) -> str:
    """The commit of the checkout that a file belongs to, marked when there are changes on top.

    Unknown where it is installed, also in an environment inside another repository. It is asked
    for once in a process, which goes on running the code that it began with.
    """
    folder = file.parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", file.name)
        head = _git(folder, "rev-parse", "--short", "HEAD")
        # Results written one after the other are no change of what is measured.
        paths = (":/", ":(top,exclude)benchmarks/results")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *paths)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN_COMMIT
    return f"{head}+changes" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
