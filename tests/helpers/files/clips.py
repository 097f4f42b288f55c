"""Small real clips that the tests encode for themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

SOUND_RATE = 48000
_TONE_HZ = 1000


@dataclass(frozen=True)
class Clip:
    """What a clip is made of.

    - ``size``: height and width;
    - ``rate``: frames per second, exact;
    - ``stamps``: time stamps in units of 1/1000 s instead of a constant rate;
    - ``sound``: an audio codec; the sound is silence up to ``event_s`` and a tone from then on;
    - ``sound_tail_s``: how much longer the sound is than the picture;
    - ``event_s``: from this time on the picture is white;
    - ``colours``: matrix and range as FFmpeg numbers, untagged when None;
    - ``rotation``: the display matrix, degrees counter-clockwise;
    - ``pixel_aspect``: width over height of a pixel;
    - ``b_frames``: how many B-frames stand between two others, so that packets are out of order.
    """

    frames: int = 25
    size: tuple[int, int] = (48, 64)
    rate: Fraction = Fraction(25)
    stamps: tuple[int, ...] | None = None
    pix_fmt: str = "yuv420p"
    codec: str = "libx264"
    sound: str | None = None
    sound_tail_s: float = 0.0
    event_s: float | None = None
    colours: tuple[int, int] | None = None
    rotation: int = 0
    pixel_aspect: Fraction | None = None
    b_frames: int = 0
    muxing: tuple[tuple[str, str], ...] = ()


def picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """An RGB picture (H,W,3) that is smooth, has no symmetry, and moves with its number."""
    rows, columns = np.mgrid[0.0 : 1.0 : size[0] * 1j, 0.0 : 1.0 : size[1] * 1j]
    red = 40 + 160 * columns
    green = 30 + 120 * (1 - rows)
    blue = 128 + 60 * np.sin(2 * np.pi * (columns + number / 40))
    return np.rint(np.stack([red, green, blue], axis=-1)).astype(np.uint8)


def write_clip(path: Path, clip: Clip) -> Path:
    """Encode a clip; the container follows from the name."""
    with av.open(str(path), "w", options=dict(clip.muxing)) as container:
        options = {"crf": "4", "preset": "ultrafast"} if clip.codec == "libx264" else {}
        if clip.b_frames:
            options |= {"bf": str(clip.b_frames), "x264-params": "b-adapt=0"}
        stream: Any = container.add_stream(clip.codec, clip.rate, options)
        stream.height, stream.width = clip.size
        stream.pix_fmt = clip.pix_fmt
        stream.codec_context.gop_size = 10
        if clip.stamps is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if clip.colours is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = clip.colours
        if clip.pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = clip.pixel_aspect
        if not clip.frames:
            container.start_encoding()
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        sound: Any = container.add_stream(clip.sound, SOUND_RATE) if clip.sound else None
        if clip.sound == "vorbis":
            sound.codec_context.options = {"strict": "experimental"}
        for number in range(clip.frames):
            container.mux(stream.encode(_frame(clip, number)))
        container.mux(stream.encode(None))
        if sound is not None:
            _write_sound(container, sound, clip)
    return path


def _frame(clip: Clip, number: int) -> av.VideoFrame:
    time_s = clip.stamps[number] / 1000 if clip.stamps is not None else number / float(clip.rate)
    image = picture(number, clip.size)
    if clip.event_s is not None:
        image = np.full_like(image, 255 if time_s >= clip.event_s - 1e-9 else 16)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    if clip.colours is not None:
        space, colour_range = clip.colours
        frame = frame.reformat(
            format=clip.pix_fmt, dst_colorspace=space, dst_color_range=colour_range
        )
    if clip.stamps is not None:
        frame.pts, frame.time_base = clip.stamps[number], Fraction(1, 1000)
    else:
        frame.pts, frame.time_base = number, 1 / clip.rate
    return frame


def _write_sound(container: Any, stream: Any, clip: Clip) -> None:
    samples = round(SOUND_RATE * (clip.frames / clip.rate + Fraction(str(clip.sound_tail_s))))
    time_s = np.arange(samples) / SOUND_RATE
    loud = time_s >= (clip.event_s or 0.0)
    wave = (loud * 0.5 * np.sin(2 * np.pi * _TONE_HZ * time_s)).astype(np.float32)
    for begin in range(0, samples, 1024):
        part = np.ascontiguousarray(np.stack([wave[begin : begin + 1024]] * 2))
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = SOUND_RATE, begin
        frame.time_base = Fraction(1, SOUND_RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def join(path: Path, parts: Sequence[Path]) -> Path:
    """Files one after the other in one file: MPEG-TS and raw H.264 stay playable."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def cut(path: Path, source: Path, share: float) -> Path:
    """The first part of a file."""
    content = source.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


class Probe(NamedTuple):
    """What a player sees of a video file."""

    times_s: list[Fraction]
    rate: Fraction | None
    duration_s: Fraction
    size: tuple[int, int]
    codec: str
    pix_fmt: str


def probe(path: Path) -> Probe:
    """Decode the whole video track of a file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [
            Fraction(frame.pts) * Fraction(frame.time_base) for frame in container.decode(stream)
        ]
        context = stream.codec_context
        duration = Fraction(stream.duration or 0) * Fraction(stream.time_base or 1)
        return Probe(
            times,
            stream.average_rate,
            duration,
            (context.height, context.width),
            context.name,
            str(context.pix_fmt),
        )


def planes(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video as YUV 4:2:0 arrays (H*3/2,W)."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    """The frames of a video as RGB (H,W,3)."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]


def sound_packets(path: Path) -> list[bytes]:
    """The packets of the first sound track."""
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(container.streams.audio[0]) if p.size]


def sound_onset_s(path: Path) -> float:
    """When the sound of a clip with an event becomes loud, in seconds."""
    first = _first(path, lambda wave: np.flatnonzero(np.abs(wave) > 0.2))
    if first is None:
        raise ValueError(f"{path} stays silent")
    return first


def _first(path: Path, find: Callable[[NDArray[Any]], NDArray[Any]]) -> float | None:
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            wave = frame.to_ndarray().astype(np.float64)
            if frame.format.name.startswith("s16"):
                wave = wave / 32768
            channels = 1 if frame.format.is_planar else len(frame.layout.channels)
            hits = find(wave[0]) // channels
            if len(hits):
                return float(frame.pts * frame.time_base) + float(hits[0]) / frame.sample_rate
    return None


def sound_duration_s(path: Path) -> float:
    """How long the sound is, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return float((stream.duration or 0) * (stream.time_base or 1))
