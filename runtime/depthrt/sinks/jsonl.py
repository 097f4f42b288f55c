"""What is known of every frame, as JSON lines."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import DepthrtError, TargetError
from depthrt.files.atomic_write import FileDraft, real_target
from depthrt.result import Result
from depthrt.sinks.video.container import write_error

_PERCENTILES = (5, 50, 95)


def record(result: Result, dropped: int) -> dict[str, Any]:
    """A frame's line: JSON of numbers, names, None and booleans.

    - ``stream``, ``index``, ``time_s``: which frame;
    - ``latency_ms``: from its capture to its result, of live sources, else None;
    - ``kind``, ``unit``: what the numbers below mean;
    - ``range``: low and high value to colour it by, smoothed over time;
    - ``depth``: smallest, 5th, 50th and 95th percentile, and largest value of the depth map;
    - ``scene_cut``, ``reused``: whether a scene begins, and whether the depth is a former frame's;
    - ``dropped``: frames of this stream that were dropped so far.
    """
    frame, depth = result.frame, result.depth
    return {
        "stream": frame.stream,
        "index": frame.index,
        "time_s": round(float(frame.time_s), 6),
        "latency_ms": _rounded_ms(result.latency_s),
        "kind": depth.kind,
        "unit": depth.unit,
        "range": [_significant(value) for value in result.display_range],
        "depth": _distribution(depth.values),
        "scene_cut": result.scene_cut,
        "reused": result.reused,
        "dropped": dropped,
    }


class JsonlSink:
    """One JSON line a frame, there for a reader as soon as the frame is done.

    A file is put in its place empty, at the first line: it is whole after every line and can be
    followed while it grows. A disk that fills up in the middle of a line leaves those before it.

    Args:
        target: a file, a named pipe, a device such as ``/dev/stderr``, or None: standard output.
        dropped: how many frames of a stream were dropped so far, asked for every line.
        overwrite: a file that stands at the target may be replaced.
    """

    def __init__(
        self, target: Path | None, dropped: Callable[[str], int], *, overwrite: bool = False
    ) -> None:
        self._target, self._dropped, self._overwrite = target, dropped, overwrite
        self._file: int | None = None
        self._written = 0

    def write(self, result: Result) -> bool:
        """Write one line; False when nobody reads any more."""
        line = json.dumps(record(result, self._dropped(result.frame.stream)), allow_nan=False)
        try:
            if self._file is None:
                self._file = _open(self._target, overwrite=self._overwrite)
            self._append(self._file, line.encode() + b"\n")
        except BrokenPipeError:
            return False
        except DepthrtError:
            raise
        except OSError as error:
            raise write_error(self._target or "standard output", error) from error
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None and self._target is not None:
            try:
                os.close(file)
            except OSError as error:
                raise write_error(self._target, error) from error
        return self._target if self._written else None

    def _append(self, file: int, line: bytes) -> None:
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            if len(left) < len(line) and stat.S_ISREG(os.fstat(file).st_mode):
                end = os.lseek(file, 0, os.SEEK_CUR) - (len(line) - len(left))
                os.ftruncate(file, end)
            raise
        self._written += 1


def _open(target: Path | None, *, overwrite: bool) -> int:
    """A descriptor to write lines to.

    Raises:
        TargetError: a file came to the target meanwhile.
        OSError: it cannot be opened.
    """
    if target is None:
        return 1
    real = real_target(target)
    if real.exists() and not real.is_file():  # a named pipe or a device
        return os.open(real, os.O_WRONLY)
    draft = FileDraft(target, overwrite=overwrite)
    file = os.open(draft.create(), os.O_WRONLY)
    try:
        draft.place()
    except BaseException as error:
        os.close(file)
        draft.discard()
        if isinstance(error, TargetError):
            reason = "was made by somebody else meanwhile and is left as it is"
            raise TargetError(f"{target} {reason}: give another name") from error
        raise
    return file


def _distribution(values: NDArray[np.float32]) -> dict[str, float]:
    step = max(1, min(values.shape) // 48)  # the display range looks at as many
    sample = np.percentile(values[::step, ::step], _PERCENTILES)
    middle = {
        f"p{share}": _significant(value) for share, value in zip(_PERCENTILES, sample, strict=True)
    }
    low, high = _significant(values.min()), _significant(values.max())
    return {"min": low, **middle, "max": high}


def _significant(value: Any) -> float:
    return float(f"{float(value):.6g}")


def _rounded_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1e3 * seconds, 3)
