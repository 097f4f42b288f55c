"""Facts about this machine and this installation, for `depthrt doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from depthrt.errors import ProviderError
from depthrt.model.catalogue.registry import built_in_models
from depthrt.model.session import import_onnxruntime, offered_providers
from depthrt.model.tuning_cache import cache_folder, find_tuning
from depthrt.system import cpu_features
from depthrt.system.cpu_cores import quota_cores, usable_cores
from depthrt.system.installation import install_command

_FEATURES = (
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8",
    "amx_bf16", "asimd", "asimddp", "asimdhp", "i8mm", "sve",
)  # fmt: skip
_EXTRAS = {"export": ("torch", "onnx", "onnxscript"), "bench": ("jinja2", "matplotlib"),
           "hub": ("huggingface_hub",), "track": ("mlflow",)}  # fmt: skip
_SMI = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
_SMI_TIMEOUT_S = 10


def system() -> str:
    """Operating system, processor architecture and C library."""
    return platform.platform()


def python() -> str:
    """The interpreter's version and file."""
    return f"{platform.python_version()} ({sys.executable})"


def cores() -> dict[str, int | None]:
    """How many cores there are, may be run on, and are allowed by a container's quota."""
    mask = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "usable": usable_cores(), "of": os.cpu_count(), "mask": mask, "quota": quota_cores()
    }  # fmt: skip


def cores_line(found: dict[str, int | None]) -> str:
    """The same in words."""
    why = []
    if found["mask"] is not None and found["mask"] != found["of"]:
        why.append(f"{found['mask']} by the affinity mask")
    if found["quota"] is not None:
        why.append(f"{found['quota']} by the container's quota")
    said = f" ({', '.join(why)})" if why else ""
    return f"cores: {found['usable']} usable of {found['of']}{said}"


def processor_features() -> list[str]:
    """Instruction sets that matter for speed; empty where they are not known."""
    return [name for name in _FEATURES if name in cpu_features.flags()]


def memory_gb() -> float | None:
    """Physical memory in GB; None where the system does not say."""
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    return None


def gpus() -> list[str]:
    """NVIDIA GPUs with driver and memory; empty where there is none, or no driver for it."""
    if shutil.which(_SMI[0]) is None:
        return []
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            _SMI, capture_output=True, text=True, check=True, timeout=_SMI_TIMEOUT_S
        )
        return [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return []


def ffmpeg() -> str:
    """The version of FFmpeg that PyAV brings; of an old PyAV that of its libavcodec."""
    import av

    codecs = ".".join(map(str, av.library_versions["libavcodec"]))
    return str(getattr(av, "ffmpeg_version_info", f"libavcodec {codecs}"))


def extras() -> dict[str, str]:
    """Of each extra: ``yes``, or what is missing and how it is installed."""
    found = {}
    for extra, packages in _EXTRAS.items():
        missing = [name for name in packages if find_spec(name) is None]
        advice = f"no {', '.join(missing)}: {install_command(extra)}"
        found[extra] = advice if missing else "yes"
    return found


def place() -> str:
    """The folder that depthrt is imported from."""
    import depthrt

    return str(Path(depthrt.__file__).parent)


def engines() -> str:
    """Where what providers compile is kept and how large it is, or why it is not."""
    from depthrt.model.engines.engine_cache import engines_line

    try:
        return engines_line(offered_providers(), import_onnxruntime())
    except ProviderError:
        return "not kept: there is no onnxruntime"


def tunings() -> str:
    """Where `depthrt tune` keeps what it finds, and for which built-in models it has."""
    tuned = [name for name, path in built_in_models().items() if find_tuning(path) is not None]
    return f"{cache_folder()}, of built-in models: {', '.join(tuned) or 'none'}"
