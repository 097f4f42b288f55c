"""One JSON line for each frame: time, latency, range and distribution of its depth."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from depthrt.depth import Depth
from depthrt.errors import DepthrtError, TargetError
from depthrt.files.atomic_write import FileDraft, real_target
from depthrt.result import Result
from depthrt.sinks.base import BINARY, Sink, write_error

_PERCENTILES = (5, 50, 95)


def record(result: Result, dropped: int) -> dict[str, Any]:
    """The JSON object of a frame.

    - ``stream``, ``index``, ``time_s``: which frame it is;
    - ``latency_ms``: from capture to result for a live source, else None;
    - ``kind``, ``unit``: what the depth values mean;
    - ``range``: the low and the high value to colour by, smoothed over time;
    - ``depth``: smallest, 5th, 50th and 95th percentile, and largest value of the depth map, where
      it is valid; None where it is nowhere;
    - ``fov_deg``: the network's horizontal angle of view, ``valid_share``: the share of valid
      pixels (0..1), ``mean_confidence``: over the valid pixels (None without any): each only if the
      network gives it;
    - ``scene_cut``: whether a new scene begins with it;
    - ``reused``: whether the depth is that of an earlier frame;
    - ``inferred``: whether the network saw the frame; ``audit_error``, if it was looked at: how far
      off its depth would have been without, over the depth's spread; ``keyframe_age_s``, of a live
      frame that it did not see: how much older the depth is that was carried over to it;
    - ``dropped``: how many frames of this stream were dropped so far.
    """
    frame, depth = result.frame, result.depth
    return {
        "stream": frame.stream,
        "index": frame.index,
        "time_s": round(frame.time_s, 6),
        "latency_ms": _rounded_ms(result.latency_s),
        "kind": depth.kind,
        "unit": depth.unit,
        "range": [_significant(value) for value in result.display_range],
        "depth": _distribution(depth),
        **_beside(depth),
        "scene_cut": result.scene_cut,
        "reused": result.reused,
        "inferred": not (result.reused or result.interpolated),
        **_keyframe_facts(result),
        "dropped": dropped,
    }


def _keyframe_facts(result: Result) -> dict[str, float]:
    """What is known of a frame between keyframes, as far as it is known."""
    facts = {"audit_error": result.audit_error, "keyframe_age_s": result.keyframe_age_s}
    return {name: _significant(value) for name, value in facts.items() if value is not None}


class JsonlSink(Sink):
    """One JSON line for each frame, which can be read as soon as the frame is done.

    A file is made at its target with the first line, and can be followed while it grows. If the
    disk becomes full in the middle of a line, the lines before it stay.

    Args:
        target: a file, a named pipe, a device such as ``/dev/stderr``, or None: standard output.
        dropped: gives how many frames of a stream were dropped so far; called for every line.
        overwrite: an existing target may be replaced.
    """

    def __init__(
        self, target: Path | None, dropped: Callable[[str], int], *, overwrite: bool = False
    ) -> None:
        self._target, self._dropped, self._overwrite = target, dropped, overwrite
        self._file: int | None = None
        self._written = 0

    def write(self, result: Result) -> bool:
        """Write one line; False once the reader of a pipe has gone."""
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
    """Open the target for writing; gives a file descriptor.

    Raises:
        TargetError: something came to the target meanwhile.
        OSError: it cannot be opened.
    """
    if target is None:
        return 1
    real = real_target(target)
    if real.exists() and not real.is_file():  # a named pipe or a device
        return os.open(real, os.O_WRONLY | BINARY)
    draft = FileDraft(target, overwrite=overwrite)
    file = os.open(draft.create(), os.O_WRONLY | BINARY)
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


def _distribution(depth: Depth) -> dict[str, float | None]:
    values = depth.values
    step = max(1, min(values.shape) // 48)  # as many values as the display range is computed from
    sample = values[::step, ::step]
    known = depth.known_values
    if depth.valid is not None:
        sample = sample[depth.valid[::step, ::step]]
        sample = sample if sample.size else known
    if not known.size:
        return dict.fromkeys(("min", *(f"p{share}" for share in _PERCENTILES), "max"))
    middle = {
        f"p{share}": _significant(value)
        for share, value in zip(_PERCENTILES, np.percentile(sample, _PERCENTILES), strict=True)
    }
    return {"min": _significant(known.min()), **middle, "max": _significant(known.max())}


def _beside(depth: Depth) -> dict[str, float | None]:
    """What the network gives beside depth, as one number of each."""
    found: dict[str, float | None] = {}
    if depth.fov_deg is not None:
        found["fov_deg"] = _significant(depth.fov_deg)
    if depth.valid is not None:
        found["valid_share"] = _significant(depth.valid.mean())
    if depth.confidence is not None:
        known = depth.confidence if depth.valid is None else depth.confidence[depth.valid]
        known = known[np.isfinite(known)]
        found["mean_confidence"] = _significant(known.mean()) if known.size else None
    return found


def _significant(value: Any) -> float:
    return float(f"{float(value):.6g}")


def _rounded_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1e3 * seconds, 3)
