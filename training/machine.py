"""What training asks of the machine that it runs on."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

HAS_BFLOAT16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""Without the instructions for it bfloat16 is emulated, and several times slower than float32."""


def keep_memory() -> None:
    """Have glibc keep what it is given back: a step is done in 0.7 of the time.

    Otherwise it returns every large tensor to the system, which clears the same pages for the next.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD in bytes
            mallopt(parameter, 2**31 - 1)


def device_name(device: torch.device) -> str:
    """As it stands in the figures."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {os.cpu_count()} cores"
