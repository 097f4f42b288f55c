"""A short key of all that decides how a session runs here, for what is kept for a machine."""

from __future__ import annotations

import hashlib
import json
import platform
from types import ModuleType

from depthrt.system import cpu_features
from depthrt.system.cpu_cores import usable_cores


def machine_key(onnxruntime: ModuleType, *more: str) -> str:
    """16 hexadecimal digits of a hash of the CPU, its usable cores, onnxruntime and its providers.

    Args:
        onnxruntime: the module of that name.
        more: what else decides, such as the GPU and its driver.
    """
    # Virtual machines may share one CPU name: the instruction sets tell them apart.
    machine = [platform.machine(), cpu_features.name(), *sorted(cpu_features.flags())]
    providers = onnxruntime.get_available_providers()
    facts = [machine, usable_cores(), onnxruntime.__version__, providers, *more]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
