"""CUDA, cuDNN and TensorRT from NVIDIA's pip packages, wherever on Python's path they are.

onnxruntime links to them by name and finds by itself only what the system's loader knows. Its own
``preload_dlls`` (from 1.21 on) looks for packages in its own folder alone, not in that of another
environment on the path (``--system-site-packages``, ``PYTHONPATH``), and prints what it misses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_DRIVER = "libcuda.so.1"
_CUDA = ("cudart", "cublasLt", "cublas", "nvrtc", "curand", "cufft", "cudnn")  # in order of need
_TENSORRT = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
_LIBRARIES = {"cuda": _CUDA, "tensorrt": (*_CUDA, *_TENSORRT)}  # by the provider's short name


def preload(provider: str) -> None:
    """Load what a provider, given by its short name, links to; what is not there is left out.

    Nothing is loaded without an NVIDIA driver: the libraries are large, and of no use then.
    """
    stems = _LIBRARIES.get(provider, ())
    if not stems or _failure(_DRIVER):
        return
    folders = list(library_folders())
    for stem in stems:
        for folder in folders:
            for file in sorted(folder.glob(f"lib{stem}.so.*")):
                if _failure(file.name):  # what the system has goes first
                    _failure(str(file))  # what that means, if anything, onnxruntime will say


def obstacle(provider: str) -> str:
    """What is missing here that a provider needs, where it needs NVIDIA's; empty if not known.

    onnxruntime itself only logs it, among pages of other things.
    """
    if provider not in _LIBRARIES:
        return ""
    if failure := _failure(_DRIVER):
        absent = "cannot open shared object" in failure
        return f"there is no NVIDIA driver ({_DRIVER})" if absent else failure
    failure = _failure(str(_own_folder() / f"libonnxruntime_providers_{provider}.so"))
    return failure if "cannot open shared object" in failure else ""


def library_folders() -> Iterator[Path]:
    """Folders of shared libraries that NVIDIA's pip packages brought."""
    for package, pattern in (("nvidia", "*/lib"), ("tensorrt_libs", ".")):
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            yield from (folder for folder in sorted(Path(place).glob(pattern)) if folder.is_dir())


def _own_folder() -> Path:
    """Where onnxruntime keeps the libraries of its providers."""
    spec = find_spec("onnxruntime")
    places = (spec and spec.submodule_search_locations) or ["."]
    return Path(next(iter(places)), "capi")


def _failure(name: str) -> str:
    """Load a library; why that failed, empty where it did not."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return str(error) or type(error).__name__
    return ""
