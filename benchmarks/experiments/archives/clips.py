"""Clips made of the demo clip, and what two outputs have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from depthrt.model.catalogue.registry import DEMO_CLIP


def _pictures() -> Iterator[av.VideoFrame]:
    """The pictures of the demo clip, over and over."""
    while True:
        with av.open(str(DEMO_CLIP)) as demo:
            yield from demo.decode(video=0)


def encode(path: Path, frames: int, *, gop: int, size: tuple[int, int] = (640, 360)) -> Path:
    """A clip of so many frames at 24/s with B-frames and a key frame every ``gop``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"bf": "2", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = gop
        pictures = _pictures()
        for number in range(frames):
            frame = next(pictures).reformat(*size, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def facts(path: Path) -> Any:
    """Bytes of an output; of a video its pictures and times."""
    if path.is_dir():
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(path.iterdir())}
    if path.suffix not in (".mp4", ".mkv"):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    form = "gray16le" if path.suffix == ".mkv" else "yuv420p"
    with av.open(str(path)) as container:
        return [
            (f.pts, f.duration, hashlib.sha256(f.to_ndarray(format=form).tobytes()).hexdigest())
            for f in container.decode(video=0)
        ]
