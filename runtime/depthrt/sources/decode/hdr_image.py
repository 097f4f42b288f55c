"""HDR pictures as they are decoded; they are tone-mapped where somebody looks, at the size wanted.

Tone-mapping a whole 1080p picture takes as long as a small network. The network sees fewer pixels,
and where only depth is shown nobody sees the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.frame import Matrix, Plane, RgbImage, YuvImage, rgb_matrix
from depthrt.sources.decode.tone_map import FULL_SIGNAL, PQ, tone_mapped

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_BITS = {
    f"yuv{sampling}p{bits}le": bits for sampling in (420, 422, 444) for bits in (10, 12)
}  # of each sample of a format, in 16


@dataclass(frozen=True, eq=False)
class HdrImage(YuvImage):
    """Planar YUV of 10 or 12 bits in 16; ``transfer`` is FFmpeg's number, PQ or HLG."""

    bits: int = 10
    transfer: int = PQ

    for_screens: ClassVar[bool] = False

    def rgb_of(self, planes: Sequence[Plane]) -> RgbImage:
        """Y, U and V of one size as uint8 RGB (h,w,3), tone-mapped."""
        matrix = rgb_matrix(self.matrix, self.full_range)  # of 8 bits
        matrix[:, :3] *= FULL_SIGNAL / 255 / (1 << (self.bits - 8))
        matrix[:, 3] *= FULL_SIGNAL / 255
        signal = np.asarray(cv2.transform(cv2.merge(planes), matrix), np.uint16)
        return tone_mapped(signal, self.transfer)

    def on_screen(self) -> YuvImage:
        """Planes of 8 bits in BT.709 as a usual screen shows them.

        Colours are mapped at the size of the chroma, 4:2:0 at a quarter of the pixels. Luma takes
        from there how it differs from the luma of a grey as light, which varies as slowly: exact
        for greys, and within a few of 255 at edges of strong colours.
        """
        height, width = self.u.shape
        resized = cv2.resize(self.y, (width, height), interpolation=cv2.INTER_AREA)
        small = np.asarray(resized, np.uint16)
        colours = self.rgb_of((small, self.u, self.v))
        luma, u, v = cv2.split(cv2.transform(colours, _to_yuv()))
        grey = self._grey_luma()
        differs = cv2.subtract(luma, np.take(grey, small, mode="clip"), dtype=cv2.CV_16S)
        differs = cv2.resize(differs, self.shape[::-1])
        y = cv2.add(np.take(grey, self.y, mode="clip"), differs, dtype=cv2.CV_8U)
        return YuvImage(y, u, v, "bt709", full_range=False)

    def _grey_luma(self) -> NDArray[np.uint8]:
        """8-bit luma of a grey, by its code."""
        codes = np.arange(1 << self.bits, dtype=np.uint16)[None]
        neutral = np.full_like(codes, 1 << (self.bits - 1))
        grey = self.rgb_of((codes, neutral, neutral))
        return np.asarray(cv2.transform(grey, _to_yuv()), np.uint8)[0, :, 0]


def _to_yuv() -> NDArray[np.float64]:
    """The 3x4 affine map from 8-bit R,G,B to 8-bit Y,U,V of BT.709 in limited range."""
    to_rgb = rgb_matrix("bt709", full_range=False)
    linear = np.linalg.inv(to_rgb[:, :3])
    return np.hstack([linear, -linear @ to_rgb[:, 3:]])


def view_hdr(
    decoded: VideoFrame, matrix: Matrix, full_range: bool, transfer: int
) -> HdrImage | None:
    """A decoder's frame as an image that shares its memory; None of a format that has no such."""
    bits = _BITS.get(decoded.format.name)
    if bits is None:
        return None
    y, u, v = (_samples(decoded, number) for number in range(3))
    return HdrImage(y, u, v, matrix, full_range, bits, transfer)


def _samples(decoded: VideoFrame, index: int) -> NDArray[np.uint16]:
    plane = decoded.planes[index]
    samples = np.frombuffer(memoryview(plane), "<u2")
    return samples.reshape(-1, plane.line_size // 2)[: plane.height, : plane.width]
