"""How a stream's pictures are to be seen, and the pictures that need more than a look at planes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.frame import Image, Matrix, view_planes
from depthrt.sources.containers import reason_of
from depthrt.sources.decode.hdr_image import view_hdr
from depthrt.sources.decode.interlace import deinterlaced, full_height
from depthrt.sources.decode.orientation import UPRIGHT, display_matrix, upright
from depthrt.sources.decode.tone_map import HLG, NAMES, PQ, tone_mapped

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

PLANAR_8_BIT = {
    "yuv420p", "yuvj420p", "yuva420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "yuv411p",
}  # fmt: skip
_MATRIX: dict[int, Matrix] = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
_FULL_RANGE = 2


@dataclass(frozen=True)
class Look:
    """How the pictures of a stream are to be seen, from one key frame to the next.

    - ``plain``: 8-bit planes that are shown as they are, unless a frame is interlaced;
    - ``matrix``, ``full_range``: their colour coding;
    - ``orientation``: the display matrix, of :func:`display_matrix`;
    - ``transfer``: FFmpeg's number of the transfer function;
    - ``interlaced``: the key frame is; the frames after it say so themselves;
    - ``by_field``: an interlaced frame of the decoder is a single field, of half the height (HEVC).
    """

    plain: bool
    matrix: Matrix
    full_range: bool
    orientation: tuple[int, int, int, int]
    transfer: int
    interlaced: bool
    by_field: bool = False

    @classmethod
    def of(cls, decoded: VideoFrame, stream: VideoStream) -> Look:
        """The look of a stream at one of its frames."""
        name = decoded.format.name
        # Untagged video: players take BT.709 for HD and BT.601 below it.
        hd = decoded.height > 576 or decoded.width >= 1280
        orientation = display_matrix(decoded)
        transfer = int(stream.codec_context.color_trc)
        planar = name in PLANAR_8_BIT and transfer not in (PQ, HLG)
        return cls(
            plain=planar and orientation == UPRIGHT,
            matrix=_MATRIX.get(int(decoded.colorspace), "bt709" if hd else "bt601"),
            full_range=decoded.color_range == _FULL_RANGE or name.startswith("yuvj"),
            orientation=orientation,
            transfer=transfer,
            interlaced=decoded.interlaced_frame,
            by_field=stream.codec_context.codec.canonical_name == "hevc",
        )

    @property
    def notes(self) -> list[str]:
        """What is done to pictures that are not as screens show them, in sentences."""
        name = NAMES.get(self.transfer)
        mapped = f"its pictures are {name} and are tone-mapped to the usual range" if name else ""
        lines = "its pictures are interlaced and are deinterlaced" if self.interlaced else ""
        if lines and self.by_field:
            lines = "it is coded field by field: each field becomes a picture of full height"
        return [note for note in (mapped, lines) if note]


def picture(decoded: VideoFrame, look: Look) -> Image:
    """A decoded frame as it is to be seen: without combs, upright, HDR ready to be tone-mapped.

    Raises:
        SourceError: FFmpeg cannot convert its pixel format.
    """
    import av

    name = decoded.format.name
    image: Image
    try:
        if look.transfer in (PQ, HLG):
            image = _hdr(decoded, look)
        elif name in PLANAR_8_BIT:
            image = view_planes(decoded, look.matrix, look.full_range)
        else:
            image = _rgb(decoded, look)
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise SourceError(
            f"its pictures of the format {name} cannot be converted ({reason_of(error)})"
        ) from error
    if decoded.interlaced_frame:
        image = full_height(image) if look.by_field else deinterlaced(image)
    return image if look.orientation == UPRIGHT else upright(image, look.orientation)


def _hdr(decoded: VideoFrame, look: Look) -> Image:
    """Its own planes, which are tone-mapped once somebody looks, or else RGB."""
    planes = view_hdr(decoded, look.matrix, look.full_range, look.transfer)
    if planes is not None:
        return planes
    signal = np.asarray(decoded.to_ndarray(format="rgb48le"), np.uint16)
    return tone_mapped(signal, look.transfer)


def _rgb(decoded: VideoFrame, look: Look) -> NDArray[np.uint8]:
    """RGB by FFmpeg, which would take BT.601 for all video that is not tagged."""
    if int(decoded.colorspace) in _MATRIX or not decoded.format.name.startswith(("yuv", "p0")):
        return np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8)
    from av.video.reformatter import Colorspace

    space = Colorspace.ITU709 if look.matrix == "bt709" else Colorspace.ITU601
    reformatted = decoded.reformat(format="rgb24", src_colorspace=space)
    return np.asarray(reformatted.to_ndarray(), np.uint8)
