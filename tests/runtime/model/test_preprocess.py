"""The one preprocessing: sizes, layout, colours."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import InputSpec, UsageError, YuvImage, prepare, to_rgb
from depthrt.frame import Matrix
from depthrt.model.preprocess import PAD_VALUE, content_size, network_size

FFMPEG_MATRIX = {"bt601": 5, "bt709": 1, "bt2020": 9}


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """A smooth colourful picture."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    channels = [128 + 100 * np.sin(x / 17 + i) * np.cos(y / (13 + 5 * i)) for i in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def test_stretch_is_opencv_bilinear_in_channel_planes() -> None:
    image = picture(90, 160)
    expected = cv2.resize(image, (64, 48), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
    np.testing.assert_array_equal(prepare(image, InputSpec(48, 64)), expected)


def test_pad_keeps_the_aspect_at_the_top_left() -> None:
    spec = InputSpec(64, 64, resize="pad")
    image = picture(90, 180)
    prepared = prepare(image, spec)
    assert prepared.shape == (3, 64, 64)
    assert content_size((90, 180), spec) == (32, 64)
    expected = cv2.resize(image, (64, 32)).transpose(2, 0, 1)
    np.testing.assert_array_equal(prepared[:, :32], expected)
    assert (prepared[:, 32:] == PAD_VALUE).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    # By hand: the ratio nearer to 1 of 518/height and 518/width, sides rounded to 14.
    [((720, 1280), (518, 924)), ((480, 640), (518, 686)), ((1280, 720), (924, 518)),
     ((300, 400), (392, 518))],
)  # fmt: skip
def test_keep_aspect_follows_dpt(size: tuple[int, int], expected: tuple[int, int]) -> None:
    spec = InputSpec(518, 518, resize="keep_aspect", multiple_of=14)
    assert network_size(size, spec) == expected


def test_writes_into_a_given_array() -> None:
    out = np.zeros((3, 48, 64), np.uint8)
    assert prepare(picture(90, 160), InputSpec(48, 64), out=out) is out
    assert out.any()


def test_a_given_array_holds_the_same_and_padding() -> None:
    spec = InputSpec(48, 64, "pad")
    batch = np.zeros((2, 3, 48, 64), np.uint8)
    for image, out in zip((picture(90, 160), picture(160, 90)), batch, strict=True):
        prepare(image, spec, out=out)
        np.testing.assert_array_equal(out, prepare(image, spec))


@pytest.mark.parametrize(
    "out", [np.zeros((3, 48, 65), np.uint8), np.zeros((3, 48, 64), np.float32)]
)
def test_an_array_of_another_form_is_refused(out: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match=r"the input is uint8 \(3, 48, 64\)"):
        prepare(picture(90, 160), InputSpec(48, 64), out=out)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_image_is_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match="an image is a uint8 RGB array"):
        prepare(image, InputSpec(8, 8))


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_yuv_colours_equal_ffmpegs(matrix: Matrix, full_range: bool) -> None:
    rng = np.random.default_rng(0)
    low, high = (0, 255) if full_range else (16, 235)
    y, u, v = (rng.integers(low, high, (32, 32), dtype=np.uint8) for _ in range(3))
    frame = av.VideoFrame.from_ndarray(np.stack([y, u, v]), format="yuv444p")
    frame.colorspace = FFMPEG_MATRIX[matrix]
    frame.color_range = 2 if full_range else 1
    expected = frame.to_ndarray(format="rgb24").astype(int)
    got = to_rgb(YuvImage(y, u, v, matrix, full_range)).astype(int)
    assert np.abs(got - expected).max() <= 2


def test_yuv_and_rgb_of_one_picture_prepare_alike() -> None:
    image = picture(180, 320)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv444p")
    planes = frame.to_ndarray()
    yuv = YuvImage(planes[0], planes[1], planes[2], "bt601")
    spec = InputSpec(48, 64)
    difference = prepare(yuv, spec).astype(int) - prepare(image, spec).astype(int)
    assert np.abs(difference).max() <= 4  # 8-bit rounding there and back
    assert np.abs(difference).mean() < 1
