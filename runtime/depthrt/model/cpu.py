"""What this machine's processor is, and how it computes in 8-bit integers and 16-bit floats."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_X86 = ("x86_64", "amd64", "i386", "i686")


def name() -> str:
    """The processor's name from ``/proc/cpuinfo``; where that is missing, what Python knows."""
    return _entry("model name") or platform.processor() or platform.machine()


def flags() -> frozenset[str]:
    """Instruction sets by Linux' names, such as ``avx2``; empty without ``/proc/cpuinfo``."""
    return frozenset((_entry("flags") or _entry("Features")).split())


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


@cache
def _entry(key: str) -> str:
    """The first value of a key in ``/proc/cpuinfo``; empty if there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")
