"""What ``depthrt run`` has written, looked at as a user would."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np

import depthrt
from stress.case import Case, WrongError, expect

Indices = list[int]


def indices_of(case: Case, place: Path, origin: str, start: int = 0, stride: int = 1) -> Indices:
    """Check an output of a clip's frames from ``start`` on; the indices that it holds.

    Raises:
        WrongError: it is broken, or holds another frame than it should anywhere.
    """
    try:
        if place.suffix == ".mp4":
            return [start + stride * k for k in range(_playable(place))]
        maps = list(depthrt.read_depth(place))
    except (depthrt.DepthrtError, OSError, ValueError, av.error.FFmpegError) as error:
        raise WrongError(f"{place.name} is broken: {error}") from error
    indices = [start + stride * k for k in range(len(maps))]
    for index, recorded in zip(indices, maps, strict=True):
        right = case.kit.depth(origin, index, False, "bt601")
        slack = 0.0 if place.suffix == ".npz" else 1e-3 + float(np.ptp(right)) / 100
        off = float(np.max(np.abs(recorded.values - right)))
        expect(off <= slack, f"{place.name}: frame {index} is off by {off:g}")
        time_s = (index - start) / 25  # .mkv begins at 0 wherever the selection does
        seen_s = recorded.time_s - maps[0].time_s
        expect(abs(seen_s - time_s) < 2e-3, f"{place.name}: frame {index} is at {seen_s} s")
    return indices


def _playable(place: Path) -> int:
    with av.open(str(place)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    expect(times == sorted(set(times)), f"{place.name}: times are not in order")
    return len(times)


def whole_lines(place: Path) -> int:
    """The JSON lines in a file, all of which must be whole."""
    lines = place.read_text().splitlines()
    try:
        return len([json.loads(line) for line in lines])
    except ValueError as error:
        raise WrongError(f"{place.name} has a broken line: {error}") from error


def looks_whole(place: Path) -> int:
    """Count the frames of an output of whatever source, whose values are not known."""
    try:
        if place.suffix == ".jsonl":
            return whole_lines(place)
        if place.suffix == ".mp4":
            return _playable(place)
        return len(list(depthrt.read_depth(place)))
    except (depthrt.DepthrtError, OSError, ValueError, av.error.FFmpegError) as error:
        raise WrongError(f"{place.name} is broken: {error}") from error


def check_names(folder: Path, known: set[str], said: str) -> None:
    """Make sure that what lies in a folder was asked for or is named in what was said.

    Raises:
        WrongError: something lies there that nobody was told of.
    """
    for path in folder.iterdir():
        if path.name not in known and path.name not in said:
            raise WrongError(f"{path.name} was left and not named: {said.strip()[-300:]!r}")
