"""Which of a file's video streams is its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from depthrt.errors import SourceError
from depthrt.system.installation import install_command

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

MAX_PIXELS = 16384 * 16384

# FFmpeg's numbers (AV_DISPOSITION_...), for PyAV does not name all of them.
_DEFAULT, _COVER, _THUMBNAILS, _DEPENDENT = 1, 1 << 10, 1 << 11, 1 << 19
_MOST_LISTED = 8


def choose_video(
    container: InputContainer, shown: str, number: int | None = None
) -> tuple[VideoStream, str]:
    """The stream to decode, and in words what was chosen among several; empty where there is one.

    As ffmpeg's own tool chooses: no cover and no thumbnails, then streams that are marked as the
    default, then the largest picture; among equals the one of the highest bit rate, then the one of
    the most frames.

    Args:
        container: what was opened.
        shown: what it is called in messages.
        number: the user's choice, counted from 0 among the video streams.

    Raises:
        SourceError: there is no video, none of this number, one that cannot be decoded, or a
            picture in tiles.
    """
    streams = list(container.streams.video)
    pictures = [stream for stream in streams if not _is_cover(stream)]
    if number is None:
        tiles = [s for s in pictures if s.disposition.value & _DEPENDENT and s.frames == 1]
        if len(tiles) > 1:
            raise SourceError(
                f"{shown} is a photo in {len(tiles)} tiles, which need the package pi-heif: "
                f"{install_command('heic')}; or convert it to JPEG or PNG first"
            )
        if not pictures:
            raise SourceError(f"{shown} has no video in it" + (", only a cover" if streams else ""))
        chosen = max(pictures, key=_worth)
    else:
        if number >= len(streams):
            raise SourceError(
                f"{shown} has no video stream {number}: {_list(streams) or 'it has none at all'}"
            )
        chosen = streams[number]
    context = chosen.codec_context
    if context is None or context.width * context.height > MAX_PIXELS:
        raise SourceError(f"{shown}: its video codec is unknown here, or its frames are too large")
    if number is not None or len(streams) == 1:
        return chosen, ""
    return chosen, (
        f"video stream {streams.index(chosen)} is taken, of {_list(streams)}; "
        "--video-stream chooses another"
    )


def read_only(container: InputContainer, wanted: VideoStream) -> None:
    """Have FFmpeg skip the other video streams: variants that nobody reads are not downloaded."""
    from av import stream as module

    if not hasattr(module, "Discard"):
        return  # this PyAV cannot say it
    for stream in container.streams.video:
        if stream.index != wanted.index:
            stream.discard = module.Discard.all


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition.value & (_COVER | _THUMBNAILS))


def _worth(stream: VideoStream) -> tuple[bool, bool, bool, int, int, int, int]:
    """What makes a stream the better choice, what counts most first."""
    disposition, context = stream.disposition.value, stream.codec_context
    decodable = context is not None
    area = context.width * context.height if decodable else 0
    variant = stream.metadata.get("variant_bitrate", "")  # of HLS and DASH
    bit_rate = int(variant) if variant.isdecimal() else (context.bit_rate or 0) if decodable else 0
    return (
        decodable,
        not disposition & _DEPENDENT,
        bool(disposition & _DEFAULT),
        area,
        bit_rate,
        stream.frames,
        -stream.index,
    )


def _list(streams: list[VideoStream]) -> str:
    """Number and size of each, as `0: 160x90, 1: 640x360`."""
    said = []
    for number, stream in enumerate(streams[:_MOST_LISTED]):
        context = stream.codec_context
        size = f"{context.width}x{context.height}" if context is not None else "unknown codec"
        said.append(f"{number}: {size}{' (cover)' if _is_cover(stream) else ''}")
    more = len(streams) - _MOST_LISTED
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")
