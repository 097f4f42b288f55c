"""Finds CUDA, cuDNN and TensorRT in NVIDIA's pip packages, wherever they are on Python's path.

onnxruntime links to these libraries by name, and finds only those that the system's loader knows.
Its ``preload_dlls`` (from 1.21 on) looks only into the site-packages folder that it is in itself,
not into that of another environment on the path (``--system-site-packages``, ``PYTHONPATH``), and
prints what it does not find.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_DRIVER = "libcuda.so.1"
_CUDA = (
    "cudart",
    "cublasLt",
    "cublas",
    "nvrtc",
    "curand",
    "cufft",
    "cudnn",
)  # a library after those it needs
_TENSORRT = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
_LIBRARIES = {"cuda": _CUDA, "tensorrt": (*_CUDA, *_TENSORRT)}  # by the provider's short name


def preload(provider: str) -> None:
    """Load the libraries that a provider, given by its short name, links to, if they are there.

    Nothing is loaded without an NVIDIA driver: the libraries are large, and then useless.
    """
    stems = _LIBRARIES.get(provider, ())
    if not stems or _failure(_DRIVER):
        return
    folders = list(library_folders())
    for stem in stems:
        for folder in folders:
            for file in sorted(folder.glob(f"lib{stem}.so.*")):
                if _failure(file.name):  # the system's own library goes first
                    _failure(str(file))  # if this fails and matters, onnxruntime fails later


def obstacle(provider: str) -> str:
    """The NVIDIA library that a provider lacks here; empty if none is known to be missing.

    onnxruntime only logs it, among pages of other lines.
    """
    if provider not in _LIBRARIES:
        return ""
    if failure := _failure(_DRIVER):
        absent = "cannot open shared object" in failure
        return f"there is no NVIDIA driver ({_DRIVER})" if absent else failure
    failure = _failure(str(_own_folder() / f"libonnxruntime_providers_{provider}.so"))
    return failure if "cannot open shared object" in failure else ""


def library_folders() -> Iterator[Path]:
    """Folders of shared libraries in NVIDIA's pip packages."""
    for package, pattern in (("nvidia", "*/lib"), ("tensorrt_libs", ".")):
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            yield from (folder for folder in sorted(Path(place).glob(pattern)) if folder.is_dir())


def _own_folder() -> Path:
    """onnxruntime's folder of provider libraries."""
    spec = find_spec("onnxruntime")
    places = (spec and spec.submodule_search_locations) or ["."]
    return Path(next(iter(places)), "capi")


def _failure(name: str) -> str:
    """Load a library; return why that failed, or an empty text."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return str(error) or type(error).__name__
    return ""
