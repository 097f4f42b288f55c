"""Frames on standard output, for FFmpeg and other programs that read video from a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from depthrt.depth import Depth
from depthrt.errors import TargetError, UsageError, WriteError
from depthrt.render.views import Canvas, Planes, View, compose
from depthrt.result import Result
from depthrt.sinks.base import Sink, SinkWarnings, write_error
from depthrt.sinks.depth.codes import DepthCodes, MapSize, sized
from depthrt.sinks.image import to_bgr
from depthrt.sources.base import SourceInfo
from depthrt.spec import ModelSpec

PipeFormat = Literal["y4m", "rgb24", "gray16le", "grayf32le"]
PIPE_FORMATS: tuple[PipeFormat, ...] = ("y4m", "rgb24", "gray16le", "grayf32le")
STANDARD_OUTPUT = "standard output"
_STDOUT = 1


class PipeSink(Sink):
    """Frames in a row on standard output; the run ends when the reader goes away.

    - ``y4m``: the view as YUV4MPEG2, which states its size and rate;
    - ``rgb24``: the view as raw pixels, without a header;
    - ``gray16le``: raw 16-bit codes of the depth, at the size that is asked for;
    - ``grayf32le``: raw float32 depth, at the network's size exactly as the model gave it, NaN
      where the model says that it is not valid.

    Before the first frame a line on standard error says the FFmpeg command that reads them.

    A frame is written as soon as it is ready, without a time stamp: a variable frame rate becomes
    its mean. Y4M has no field for the colour matrix either; it is that of the source.
    """

    def __init__(
        self,
        form: PipeFormat,
        info: SourceInfo,
        spec: ModelSpec,
        view: View,
        colormap: str,
        size: MapSize = "network",
    ) -> None:
        self._form, self._info, self._spec = form, info, spec
        self._view, self._colormap, self._size = view, colormap, size
        self._canvas: Canvas | None = None
        _keep_line_ends()
        self._codes: DepthCodes | None = None
        self._shape: tuple[int, ...] | None = None
        self._clamped = 0

    def write(self, result: Result) -> bool:
        """Write one frame; False once the reader has gone."""
        try:
            for part in self._parts(result):
                _write_all(part)
        except BrokenPipeError:
            return False
        except WriteError:
            raise
        except OSError as error:
            raise write_error(STANDARD_OUTPUT, error) from error
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Do nothing: every frame was written already."""
        return None

    def warnings(self) -> SinkWarnings:
        """How many values the codes could not hold."""
        return SinkWarnings(clamped=self._clamped)

    def _parts(self, result: Result) -> Iterator[bytes | memoryview]:
        if self._form in ("gray16le", "grayf32le"):
            depth = sized(result.depth, self._size)
            values = depth.values
            if self._shape not in (None, values.shape):
                raise WriteError(
                    f"the depth map's size changed from {self._shape} to {values.shape}, which a "
                    "reader of bare frames cannot see: write PNG files instead"
                )
            if self._shape is None:
                self._shape = values.shape
                self._codes = DepthCodes.choose(self._spec, depth.known_values)
                self._announce(values.shape, self._meaning(self._codes))
            yield self._numbers(depth, self._codes)
            return
        canvas = self._canvas
        if canvas is None:
            canvas = self._canvas = Canvas.of(result.frame.pixels, self._view, self._colormap)
            self._announce(canvas.size, "")
            if self._form == "y4m":
                yield y4m_head(canvas, self._info.selected_rate, self._info.pixel_aspect)
        if self._form == "y4m":
            yield b"FRAME\n"
        planes = _planes(result, canvas)
        if self._form == "y4m":
            for plane in planes:
                yield plane.data
        else:
            picture = to_bgr(planes, canvas)
            yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8).data

    def _numbers(self, depth: Depth, codes: DepthCodes | None) -> memoryview | bytes:
        if self._form == "grayf32le" or codes is None:
            return np.ascontiguousarray(depth.values_or_nan, "<f4").data
        numbers, clamped = codes.encode(depth.values, depth.valid)
        self._clamped += clamped
        return np.ascontiguousarray(numbers, "<u2").data

    def _meaning(self, codes: DepthCodes) -> str:
        what = f"{self._spec.kind}{f' in {self._spec.unit}' if self._spec.unit else ''}"
        if self._form == "grayf32le":
            return f"; values are {what}"
        return f"; {what} = {codes.offset!r} + {codes.step!r} * code, code 0 is invalid"

    def _announce(self, size: tuple[int, ...], meaning: str) -> None:
        """Say on standard error how FFmpeg reads what follows."""
        rate = self._info.selected_rate
        picture = f"{size[1]}x{size[0]}"
        if self._form == "y4m":
            how = f"ffmpeg -f yuv4mpegpipe -i - ({picture}, {rate} frames/s, yuv420p)"
        else:
            how = (
                f"ffmpeg -f rawvideo -pixel_format {self._form} -video_size {picture} "
                f"-framerate {rate} -i -"
            )
        sys.stderr.write(f"depthrt: {STANDARD_OUTPUT} is for {how}{meaning}\n")


def check_standard_output(*, frames: bool = True) -> None:
    """Refuse a standard output that cannot be written to.

    Args:
        frames: frames are to be written, which a terminal cannot show; else lines of text.

    Raises:
        UsageError: it is a terminal, and frames are to be written.
        TargetError: it is closed.
    """
    if sys.stdout is None:  # another file may have its descriptor by now
        raise TargetError(f"{STANDARD_OUTPUT} is closed, and that is where to write")
    if frames and os.isatty(_STDOUT):
        raise UsageError(
            f"{STANDARD_OUTPUT} is a terminal: pipe the frames on, as in "
            "`depthrt run clip.mp4 -o - | ffplay -`, or write a file"
        )


def y4m_head(canvas: Canvas, rate: Fraction, pixel_aspect: Fraction = Fraction(1)) -> bytes:
    """The header of a YUV4MPEG2 stream (mjpegtools, yuv4mpeg(5)); XCOLORRANGE is FFmpeg's."""
    height, width = canvas.size
    colours = "420jpeg XCOLORRANGE=FULL" if canvas.full_range else "420mpeg2 XCOLORRANGE=LIMITED"
    frames = f"F{rate.numerator}:{rate.denominator}"
    pixels = f"A{pixel_aspect.numerator}:{pixel_aspect.denominator}"
    head = f"YUV4MPEG2 W{width} H{height} {frames} Ip {pixels} C{colours}\n"
    return head.encode("ascii")


def _planes(result: Result, canvas: Canvas) -> Planes:
    height, width = canvas.size
    chroma = (height // 2, width // 2)
    y, u, v = (
        np.empty((height, width), np.uint8),
        np.empty(chroma, np.uint8),
        np.empty(chroma, np.uint8),
    )
    compose(result.frame.pixels, result.depth, result.display_range, canvas, (y, u, v))
    return y, u, v


def _keep_line_ends() -> None:
    """Let standard output take bytes as they are; Windows would change those of value 10."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(_STDOUT, os.O_BINARY)


def _write_all(content: bytes | memoryview) -> None:
    """Write to the descriptor itself: no buffer is left to flush when the reader goes away."""
    left = memoryview(content).cast("B")
    while left:
        left = left[os.write(_STDOUT, left) :]
