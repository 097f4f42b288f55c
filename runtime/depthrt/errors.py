"""What can go wrong, one class per failure.

    DepthrtError
    ├── UsageError(ValueError)       2  options that contradict one another
    ├── SourceError(ValueError)      2  a source that is not there or cannot be read as pictures
    ├── ModelError(ValueError)       2  no depthrt model, a corrupt one, one from the future
    ├── TargetError(OSError)         2  an output that cannot be opened or would be overwritten
    ├── InferenceError(RuntimeError) 1  a model that failed or gave non-finite depth
    ├── WriteError(OSError)          1  an output that failed while running (a full disk)
    ├── AccuracyGateError            3  depth is no longer good enough
    ├── LatencyGateError             4  slower than allowed
    └── ProviderError(RuntimeError)  5  the execution provider asked for is not what was bound

The number is the exit code of the command line. Every message says what was wrong, with which file
or value, and what to do.
"""

from __future__ import annotations

from typing import ClassVar

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
    """A file that is no usable depthrt model."""

    exit_code = 2


class TargetError(DepthrtError, OSError):
    """An output place that cannot be written or would be overwritten."""

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
    """A provider that was asked for and cannot be had here."""

    exit_code = 5
