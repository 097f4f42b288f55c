"""Everything that can go wrong: one class per kind of failure.

    DepthrtError
    ├── UsageError(ValueError)       2  options that contradict one another
    ├── SourceError(ValueError)      2  a source that is missing or cannot be read as pictures
    ├── ModelError(ValueError)       2  not a depthrt model, a corrupt one, or a newer version
    ├── TargetError(OSError)         2  an output that cannot be opened or would be overwritten
    ├── InferenceError(RuntimeError) 1  a model that failed or gave non-finite depth
    ├── WriteError(OSError)          1  an output that failed while running (a full disk)
    ├── AccuracyGateError            3  the model lost more accuracy than allowed
    ├── LatencyGateError             4  the model is slower than allowed
    └── ProviderError(RuntimeError)  5  the requested execution provider is not available

The number is the exit code of the command line. Every message says what was wrong, with which file
or value, and what to do.
"""

from __future__ import annotations

import re
from typing import ClassVar

_CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")

EXIT_DONE = 0
EXIT_INTERRUPTED = 130


class DepthrtError(Exception):
    """Base of every error that depthrt raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(DepthrtError, ValueError):
    """Options or arguments that contradict one another or lie outside their range."""

    exit_code = 2


class SourceError(DepthrtError, ValueError):
    """A source that is missing, empty or not readable as an image or a video."""

    exit_code = 2


class ModelError(DepthrtError, ValueError):
    """A file that is not a usable depthrt model."""

    exit_code = 2


class TargetError(DepthrtError, OSError):
    """An output that cannot be opened, or would overwrite something."""

    exit_code = 2


class InferenceError(DepthrtError, RuntimeError):
    """A session that failed on a frame, or a depth map with non-finite values."""


class WriteError(DepthrtError, OSError):
    """An output that failed while it was being written."""


class AccuracyGateError(DepthrtError):
    """A model that lost more accuracy than allowed."""

    exit_code = 3


class LatencyGateError(DepthrtError):
    """A model that became slower than allowed."""

    exit_code = 4


class ProviderError(DepthrtError, RuntimeError):
    """A requested execution provider that is not available on this machine."""

    exit_code = 5


def reason_of(error: BaseException) -> str:
    """The first line of an error of onnxruntime without its code, or the error's class."""
    text = str(error).strip()
    return _CODE.sub("", text.splitlines()[0]) if text else type(error).__name__
