"""Properties and settings of the machine that trains."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

HAS_BFLOAT16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""Whether the CPU has bfloat16 instructions; emulated, it is several times slower than float32."""


def keep_memory() -> None:
    """Make glibc keep freed memory for the next step: a step then takes 0.7 of the time.

    By default it returns every large tensor to the system, which must clear the pages again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD in bytes
            mallopt(parameter, 2**31 - 1)


def device_name(device: torch.device) -> str:
    """The device's name, as the figures file records it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {os.cpu_count()} cores"
