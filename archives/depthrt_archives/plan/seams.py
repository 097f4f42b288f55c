"""Where a long video is cut: at key frames of its codec, at times that a file alone decides."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from depthrt.errors import DepthrtError
from depthrt.sources.containers import open_input
from depthrt.sources.decode.timing import is_bare, start_s
from depthrt.sources.decode.video_stream import choose_video, read_only

_CLOCK_RESTART_S = Fraction(1, 2)
_IN_DECODING_ORDER = ("avi",)  # whose times are those of packets, not of pictures


def find_seams(path: Path, segment_s: float) -> tuple[list[Fraction], str]:
    """Times in seconds at which segments after the first begin, and why there are none.

    Each is that of the first key frame at or after a multiple of ``segment_s``; what would be left
    of less than half a segment belongs to the one before it. Packets are read, nothing is decoded.

    Args:
        path: a file; what is no video has no seams.
        segment_s: how long segments are at least, in seconds.
    """
    try:
        container = open_input(str(path.absolute()), path.name)
    except DepthrtError:
        return [], ""
    with container:
        try:
            stream, _ = choose_video(container, path.name)
        except DepthrtError:
            return [], ""
        length_s = Fraction(container.duration or 0, 1_000_000)
        if length_s and length_s < Fraction(3, 2) * Fraction(segment_s):
            return [], ""
        if is_bare(container) or container.format.name in _IN_DECODING_ORDER:
            return [], f"it is not cut: {container.format.name} has no times of pictures"
        read_only(container, stream)
        tick_s, origin_s = Fraction(stream.time_base or Fraction(1, 90000)), start_s(container)
        stamps: set[int] = set()
        keys: list[Fraction] = []
        latest = None
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.pts is None or packet.pts in stamps:
                return [], "it is not cut: its pictures lack times, or share them"
            if latest is not None and (latest - packet.pts) * tick_s > _CLOCK_RESTART_S:
                return [], "it is not cut: its clock starts anew in the middle"
            latest = packet.pts if latest is None else max(latest, packet.pts)
            stamps.add(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts * tick_s - origin_s)
    if latest is None:
        return [], ""
    return _chosen(sorted(keys), latest * tick_s - origin_s, Fraction(segment_s)), ""


def _chosen(keys: list[Fraction], end_s: Fraction, segment_s: Fraction) -> list[Fraction]:
    seams: list[Fraction] = []
    wanted_s = segment_s
    for key_s in keys:
        if key_s >= wanted_s and key_s > 0 and end_s - key_s >= segment_s / 2:
            seams.append(key_s)
            wanted_s = (key_s // segment_s + 1) * segment_s
    return seams
