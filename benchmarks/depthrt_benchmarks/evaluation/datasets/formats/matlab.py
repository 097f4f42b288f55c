"""MATLAB files: v7.3 by h5py, older ones by scipy, both of the extra ``bench``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from depthrt.errors import SourceError, UsageError
from depthrt.system.installation import install_command
from depthrt_benchmarks.evaluation.datasets.base import Pair


def h5py_module(path: Path) -> Any:
    """h5py.

    Raises:
        UsageError: it is not installed.
    """
    return _module("h5py", path)


def load_mat(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file before v7.3.

    Raises:
        SourceError: it cannot be read.
        UsageError: scipy is not installed.
    """
    io = _module("scipy.io", path)
    try:
        return dict(io.loadmat(path))
    except Exception as error:  # of a damaged file scipy raises what its parser met
        raise SourceError(f"{path} cannot be read as a MATLAB file ({error})") from error


def require_shapes(pair: Pair, path: Path) -> Pair:
    """A pair whose picture is H,W,3 and whose depth is h,w, as it was given.

    Raises:
        SourceError: it is not.
    """
    image, depth = pair.image.shape, pair.depth_m.shape
    if len(image) != 3 or image[2] != 3 or len(depth) != 2 or 0 in (*image, *depth):
        raise SourceError(f"{path} holds a picture of {image} and depth of {depth}")
    return pair


def _module(name: str, path: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UsageError(
            f"{path} needs {package}: {install_command('bench')}, or pip install {package}"
        ) from error
