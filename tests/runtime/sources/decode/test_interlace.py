"""Interlaced video: no combs where something moves, and no less detail where nothing does."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import open_source, to_rgb
from depthrt.frame import YuvImage
from depthrt.sources.decode.interlace import deinterlaced

MakeClip = Callable[..., Path]

HEIGHT, WIDTH = 96, 160


def field(number: int) -> NDArray[np.uint8]:
    """A bar that moves by four pixels from field to field, on grey."""
    image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    image[:, 10 + 4 * number : 40 + 4 * number] = 200
    return image


def combed(number: int) -> NDArray[np.uint8]:
    """A frame of two fields."""
    image = field(2 * number)
    image[1::2] = field(2 * number + 1)[1::2]
    return image


def write_interlaced(path: Path, codec: str, pix_fmt: str, options: dict[str, str]) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, 25, options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pix_fmt
        if codec == "mpeg2video":
            stream.codec_context.flags |= (1 << 18) | (1 << 29)  # interlaced transform and motion
            stream.bit_rate = 8_000_000
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(combed(number), format="rgb24")
            frame = frame.reformat(format=pix_fmt, interpolation="POINT")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def comb(luma: NDArray[Any]) -> float:
    """Mean difference of a line and those above and below it, grey levels of 255."""
    values = luma.astype(float)
    return float(np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2).mean())


@pytest.mark.parametrize(
    ("codec", "suffix", "pix_fmt", "options"),
    [
        ("libx264", ".mp4", "yuv420p", {"x264-params": "tff=1:interlaced=1", "crf": "4"}),
        ("libx264", ".ts", "yuv422p10le", {"x264-params": "tff=1:interlaced=1", "crf": "4"}),
        ("mpeg2video", ".ts", "yuv420p", {}),
    ],
)
def test_what_moves_has_no_combs(
    tmp_path: Path, codec: str, suffix: str, pix_fmt: str, options: dict[str, str]
) -> None:
    path = write_interlaced(tmp_path / f"clip{suffix}", codec, pix_fmt, options)
    with av.open(str(path)) as container:
        decoded = next(container.decode(video=0))
        assert decoded.interlaced_frame
        assert comb(decoded.to_ndarray(format="gray")) > 5
    source = open_source(path)
    assert source.info.notes == ("its pictures are interlaced and are deinterlaced",)
    for number, frame in enumerate(source.frames()):
        seen = to_rgb(frame.pixels)[..., 1]
        assert comb(seen) < 1.5
        assert np.abs(seen.astype(int) - field(2 * number)[..., 1]).mean() < 4


def test_what_stands_still_keeps_its_lines() -> None:
    """Slopes and edges of a picture without motion are the same after it, above the last line."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    image = np.stack([rows * 2, columns, 200 * (rows > 47)], axis=-1).astype(np.uint8)
    done_rgb = deinterlaced(image)
    assert isinstance(done_rgb, np.ndarray)
    np.testing.assert_array_equal(done_rgb[:-1], image[:-1])
    planes = YuvImage(image[..., 0], image[::2, ::2, 1], image[::2, ::2, 2])
    done = deinterlaced(planes)
    assert isinstance(done, YuvImage)
    for plane, before in ((done.y, planes.y), (done.u, planes.u), (done.v, planes.v)):
        np.testing.assert_array_equal(plane[:-1], before[:-1])


@pytest.mark.parametrize("height", [1, 2, 3, 5, 6])
def test_any_height_is_filtered(height: int) -> None:
    image = np.arange(height * 4 * 3, dtype=np.uint8).reshape(height, 4, 3)
    image[1::2] = 255
    done = deinterlaced(image)
    assert isinstance(done, np.ndarray)
    assert done.shape == image.shape
    np.testing.assert_array_equal(done[::2], image[::2])
    assert height == 1 or done[1::2].max() < 255


def test_progressive_video_is_not_touched(make_clip: MakeClip) -> None:
    source = open_source(make_clip())
    assert source.info.notes == ()
    frame = next(source.frames())
    assert isinstance(frame.pixels, YuvImage)
    assert not frame.pixels.y.flags.owndata  # the decoder's own memory


def test_fields_that_are_coded_one_by_one_become_pictures_of_full_height(tmp_path: Path) -> None:
    """HEVC has no interlaced frames; its decoder gives fields as pictures of half the height."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        options = {"x265-params": "log-level=none:interlace=tff:crf=4"}
        stream: Any = container.add_stream("libx265", 50, options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT // 2, WIDTH, "yuv420p"
        for number in range(6):
            lines = np.ascontiguousarray(field(number)[number % 2 :: 2])
            frame = av.VideoFrame.from_ndarray(lines, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 50)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_source(path)
    assert source.info.notes == (
        "it is coded field by field: each field becomes a picture of full height",
    )
    assert (source.info.size, source.info.rate) == ((HEIGHT, WIDTH), 50)
    frames = list(source.frames())
    assert len(frames) == 6
    for number, frame in enumerate(frames):
        assert frame.image.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(frame.image[..., 1].astype(int) - field(number)[..., 1]).mean() < 3
