"""What this machine's processor is, and what it can do with 8-bit integers."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_X86 = ("x86_64", "amd64", "i386", "i686")


def name() -> str:
    """The processor's name, as Linux says it; elsewhere what Python knows."""
    return _entry("model name") or platform.processor() or platform.machine()


def flags() -> frozenset[str]:
    """The instruction sets by Linux' names, such as ``avx2``; empty where nobody says them."""
    return frozenset((_entry("flags") or _entry("Features")).split())


def sums_saturate() -> bool:
    """Whether uint8 times int8 is summed in 16 bits here, which may be too few.

    x86 without VNNI adds pairs of products in 16 bits (``vpmaddubsw``): 2 x 255 x 127 is twice what
    they hold, and the sum is cut off without a word. Weights of 7 bits always fit.
    """
    if platform.machine().lower() not in _X86:
        return False
    return not flags() & {"avx512_vnni", "avx_vnni"}


def half_type() -> str:
    """The 16-bit float type that this processor multiplies by itself, by OpenVINO's name.

    Empty where it has none, or nobody says so: what it is told to compute in one then takes longer.
    """
    if flags() & {"avx512_bf16", "amx_bf16"}:
        return "bf16"
    return "f16" if flags() & {"asimdhp", "avx512_fp16"} else ""


@cache
def _entry(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")
