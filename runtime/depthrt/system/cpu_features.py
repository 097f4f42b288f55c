"""What this machine's processor is, and how it computes in 8-bit integers and 16-bit floats."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import import_module
from pathlib import Path

_X86 = ("x86_64", "amd64", "i386", "i686")
_LINUX_NAMES = {
    "AVX2": "avx2", "AVX512F": "avx512f", "AVX512VNNI": "avx512_vnni", "AVX512_CLX": "avx512_vnni",
    "AVX512BF16": "avx512_bf16", "AVX512FP16": "avx512_fp16", "ASIMD": "asimd",
    "ASIMDHP": "asimdhp", "ASIMDDP": "asimddp", "SVE": "sve",
}  # fmt: skip
"""NumPy's names of instruction sets, and those of Linux."""


def name() -> str:
    """The processor's name from ``/proc/cpuinfo``; where that is missing, what Python knows."""
    return _entry("model name") or _apple_name() or platform.processor() or platform.machine()


def flags() -> frozenset[str]:
    """Instruction sets by Linux' names, such as ``avx2``; those NumPy knows without ``/proc``."""
    listed = (_entry("flags") or _entry("Features")).split()
    return frozenset(listed) if listed else _numpy_flags()


def sums_saturate() -> bool:
    """Whether this processor sums products of uint8 and int8 in 16 bits, which can saturate.

    x86 without VNNI adds pairs of products in 16 bits (``vpmaddubsw``). The largest pair, 2 x 255 x
    127, is twice what they hold, and the sum saturates silently. Weights of 7 bits always fit.
    """
    if platform.machine().lower() not in _X86:
        return False
    return not flags() & {"avx512_vnni", "avx_vnni"}


def half_type() -> str:
    """The 16-bit float type that this processor has instructions for, by OpenVINO's name.

    Empty if it has none or none is known: computing in such a type then takes longer than float32.
    """
    if flags() & {"avx512_bf16", "amx_bf16"}:
        return "bf16"
    return "f16" if flags() & {"asimdhp", "avx512_fp16"} else ""


def multiplies_bfloat16() -> bool:
    """Whether onnxruntime's CPU provider can multiply float32 matrices in bfloat16 here.

    It has such kernels for 64-bit Arm on Linux, for processors with bfloat16 instructions.
    """
    return platform.machine().lower() in ("aarch64", "arm64") and "bf16" in flags()


def _text(file: Path) -> str:
    """What a file of the system says; empty where there is none."""
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""


def _numpy_flags() -> frozenset[str]:
    """Instruction sets that NumPy has found, as on Windows and macOS; it knows no AVX-VNNI."""
    try:  # it is NumPy's own, and may go
        found = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):
        return frozenset()
    return frozenset(flag for name, flag in _LINUX_NAMES.items() if found.get(name))


@cache
def _apple_name() -> str:
    """The processor's name on macOS, such as ``Apple M2``; empty elsewhere."""
    if platform.system() != "Darwin":
        return ""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


@cache
def _entry(key: str) -> str:
    """The first value of a key in ``/proc/cpuinfo``; empty if there is none."""
    lines = _text(Path("/proc/cpuinfo")).splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")
