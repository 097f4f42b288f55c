"""Which of several video streams is the picture: as ffmpeg's own tool chooses."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from depthrt import Selection, SourceError, UsageError, open_source, to_rgb
from depthrt.sources.decode import heif
from depthrt.sources.read_options import Reading
from depthrt.system.installation import install_command
from helpers.commands import Command
from helpers.files.clips import picture
from helpers.files.heic_photos import box, heic
from helpers.web.servers import served

MakeClip = Callable[..., Path]
Size = tuple[int, int]  # height and width

SMALL, LARGE = (48, 64), (96, 128)
_DEFAULT = 1


def write_tracks(path: Path, tracks: Sequence[tuple[Size, int]], frames: int = 5) -> Path:
    """A file of several video streams, each of a size and a disposition."""
    with av.open(str(path), "w") as container:
        streams: list[Any] = []
        for size, disposition in tracks:
            stream: Any = container.add_stream("libx264", 25, {"preset": "ultrafast"})
            stream.height, stream.width = size
            stream.pix_fmt = "yuv420p"
            stream.disposition = disposition
            streams.append(stream)
        for number in range(frames):
            for stream, (size, _) in zip(streams, tracks, strict=True):
                frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def choosing(number: int) -> Selection:
    return Selection(reading=Reading(video_stream=number))


@pytest.mark.parametrize(
    ("tracks", "chosen"),
    [
        ([(SMALL, 0), (LARGE, 0)], 1),
        ([(LARGE, 0), (SMALL, 0)], 0),
        ([(LARGE, 0), (SMALL, _DEFAULT)], 1),
        ([(SMALL, _DEFAULT), (LARGE, _DEFAULT)], 1),
        ([(SMALL, 0), (SMALL, 0)], 0),
    ],
)
def test_the_default_and_then_the_largest_is_taken_and_said(
    tmp_path: Path, tracks: list[tuple[Size, int]], chosen: int
) -> None:
    path = write_tracks(tmp_path / "clip.mkv", tracks)
    with av.open(str(path)) as container:
        assert [s.disposition.value for s in container.streams.video] == [d for _, d in tracks]
    source = open_source(path)
    assert source.info.size == tracks[chosen][0]
    (note,) = source.info.notes
    sizes = ", ".join(f"{n}: {w}x{h}" for n, ((h, w), _) in enumerate(tracks))
    assert note == (f"video stream {chosen} is taken, of {sizes}; --video-stream chooses another")
    assert [frame.index for frame in source.frames()] == list(range(5))


def test_another_stream_can_be_chosen(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "clip.mkv", [(SMALL, 0), (LARGE, 0)])
    source = open_source(path, choosing(0))
    assert (source.info.size, source.info.notes) == (SMALL, ())
    source.close()
    with pytest.raises(SourceError, match=r"no video stream 2: 0: 64x48, 1: 128x96$"):
        open_source(path, choosing(2))
    with pytest.raises(UsageError, match="--video-stream -1 is less than 0"):
        choosing(-1)


def test_the_command_takes_the_number_and_says_what_was_chosen(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    path = write_tracks(tmp_path / "clip.mkv", [(SMALL, 0), (LARGE, 0)])
    run = ("run", path, "-m", model_path, "--view", "side", "--json", "--overwrite")
    best = command(*run, "-o", tmp_path / "out.mp4")
    note = "video stream 1 is taken, of 0: 64x48, 1: 128x96; --video-stream chooses another"
    assert best.err.splitlines() == [f"depthrt: clip.mkv: {note}"]
    assert best.document["notes"] == [note]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].width == 2 * LARGE[1]
    chosen = command(*run, "-o", tmp_path / "out.mp4", "--video-stream", 0)
    assert (chosen.err, chosen.document["notes"]) == ("", [])
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].width == 2 * SMALL[1]


def test_what_is_no_video_says_that_the_number_is_not_used(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture(0, SMALL))
    source = open_source(tmp_path / "a.png", choosing(1))
    assert source.info.notes == ("it is no video, so --video-stream is not used",)


# Covers


def jpeg(size: Size) -> bytes:
    return cv2.imencode(".jpg", picture(0, size))[1].tobytes()


def with_cover(clip: Path, path: Path) -> Path:
    """An MP4 with a cover, whose tags come before its track: the cover is stream 0."""
    data = clip.read_bytes()
    cover = box(b"covr", box(b"data", struct.pack(">II", 13, 0), jpeg((200, 200))))
    handler = box(b"hdlr", bytes(8), b"mdirappl", bytes(9))
    tags = box(b"udta", box(b"meta", bytes(4), handler, box(b"ilst", cover)))
    begin = data.index(b"moov") - 4
    (size,) = struct.unpack(">I", data[begin : begin + 4])
    movie = data[begin : begin + size]
    head = 8 + struct.unpack(">I", movie[8:12])[0]  # the movie's header box comes first
    longer = bytearray(box(b"moov", movie[8:head], tags, movie[head:]))
    if begin < data.index(b"mdat"):
        offsets = longer.index(b"stco") + 8
        (count,) = struct.unpack(">I", longer[offsets : offsets + 4])
        for place in range(offsets + 4, offsets + 4 + 4 * count, 4):
            (offset,) = struct.unpack(">I", longer[place : place + 4])
            longer[place : place + 4] = struct.pack(">I", offset + len(tags))
    path.write_bytes(data[:begin] + longer + data[begin + size :])
    return path


def test_a_cover_is_not_the_picture(
    make_clip: MakeClip, command: Command, model_path: Path, tmp_path: Path
) -> None:
    path = with_cover(make_clip(frames=10), tmp_path / "cover.mp4")
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mjpeg"
    source = open_source(path)
    assert (source.info.size, source.info.frame_count) == (SMALL, 10)
    images = [to_rgb(frame.pixels).astype(int) for frame in source.frames()]
    assert [np.abs(image - picture(k, SMALL)).mean() < 3 for k, image in enumerate(images)] == (
        [True] * 10
    )
    assert open_source(path, choosing(0)).info.size == (200, 200)
    ended = command("run", path, "-m", model_path, "-o", tmp_path / "out.mp4", "--json")
    assert (ended.code, ended.document["frames"]) == (0, 10)


def test_music_with_a_cover_has_no_video(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mp3", 44100)
        for number in range(20):
            silence = np.zeros((1, 1152 * 2), np.int16)
            frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 44100, 1152 * number
            for converted in av.AudioResampler(stream.format, "stereo", 44100).resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    content = b"\0image/jpeg\0\x03\0" + jpeg((200, 200))
    tag = b"APIC" + struct.pack(">IH", len(content), 0) + content
    size = bytes(len(tag) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\0\0" + size + tag + path.read_bytes())
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    ended = command("run", path, "-m", model_path, "-o", tmp_path / "out.mp4")
    assert ended.code == 2
    assert ended.complaint == f"{path} has no video in it, only a cover"


# Variants of a network stream


def test_the_best_variant_of_a_stream_is_taken(tmp_path: Path) -> None:
    """The first is the poorest, as often, and the others are not downloaded."""
    lines = ["#EXTM3U"]
    for name, (height, width), rate in (("low", SMALL, 100_000), ("high", LARGE, 900_000)):
        playlist = tmp_path / f"{name}.m3u8"
        options = {"hls_list_size": "0", "hls_segment_filename": str(tmp_path / f"{name}%d.ts")}
        with av.open(str(playlist), "w", format="hls", options=options) as container:
            stream: Any = container.add_stream("libx264", 25, {"preset": "ultrafast"})
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            for number in range(10):
                image = picture(number, (height, width))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
        lines.append(f"#EXT-X-STREAM-INF:BANDWIDTH={rate},RESOLUTION={width}x{height}")
        lines.append(playlist.name)
    (tmp_path / "master.m3u8").write_text("\n".join(lines) + "\n")
    with served(tmp_path) as address:
        source = open_source(f"{address}/master.m3u8")
        assert source.info.size == LARGE
        (note,) = source.info.notes
        assert "video stream 1 is taken, of 0: 64x48, 1: 128x96" in note
        assert len(list(source.frames())) == 10
        poor = open_source(f"{address}/master.m3u8", choosing(0))
        assert poor.info.size == SMALL
        poor.close()


# Photos and animations


EXIF = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, 1, 0, 0)


@pytest.mark.parametrize("exif", [b"", EXIF])
def test_a_photo_of_one_picture_is_read(tmp_path: Path, exif: bytes) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(heic([picture(3, (96, 128))], exif=exif))
    (frame,) = open_source(path).frames()
    assert np.abs(to_rgb(frame.pixels).astype(int) - picture(3, (96, 128))).mean() < 4


def test_a_photo_in_tiles_needs_a_package(
    command: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heif, "_DECODERS", ())
    path = tmp_path / "photo.heic"
    path.write_bytes(heic([picture(k, (64, 96)) for k in range(6)], columns=3))
    ended = command("run", path, "-m", model_path, "-o", tmp_path / "out.png")
    assert ended.code == 2
    assert ended.complaint == (
        f"{path} is a photo in 6 tiles, which need the package pi-heif: "
        f"{install_command('heic')}; or convert it to JPEG or PNG first"
    )
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif", ".avif"])
def test_every_picture_of_an_animation_is_read(tmp_path: Path, suffix: str) -> None:
    pillow = pytest.importorskip("PIL.Image")
    if suffix == ".webp" and not hasattr(cv2, "imreadanimation"):
        pytest.skip("this OpenCV reads no animation")
    if suffix == ".avif" and not pytest.importorskip("PIL.features").check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    path = tmp_path / f"a{suffix}"
    images = [pillow.fromarray(picture(8 * number, SMALL)) for number in range(5)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=200, loop=0)
    source = open_source(path)
    assert (source.info.size, source.info.rate) == (SMALL, 5)
    frames = list(source.frames())
    assert [frame.exact_time_s for frame in frames] == [Fraction(number, 5) for number in range(5)]
    for number, frame in enumerate(frames):
        wanted = picture(8 * number, SMALL)
        tolerance = 8 if suffix == ".gif" else 4  # 256 colours
        assert np.abs(to_rgb(frame.pixels).astype(int) - wanted).mean() < tolerance


def test_a_still_png_and_webp_stay_images(tmp_path: Path) -> None:
    for suffix in (".png", ".webp"):
        path = tmp_path / f"a{suffix}"
        cv2.imwrite(str(path), picture(0, SMALL))
        source = open_source(path)
        assert (source.info.rate, source.info.notes) == (None, ())


def test_pages_that_are_left_out_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    cv2.imwritemulti(str(path), [picture(number, SMALL) for number in range(3)])
    source = open_source(path)
    assert source.info.notes == ("its first page of 3 is taken",)
    assert len(list(source.frames())) == 1


def test_animations_and_pages_in_a_folder_are_said(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    rate = "images have no times: 25/s is assumed; --source-fps sets it"
    images = [pillow.fromarray(picture(8 * number, SMALL)) for number in range(3)]
    images[0].save(tmp_path / "0.png")
    images[0].save(tmp_path / "1.webp", lossless=True)
    assert open_source(tmp_path).info.notes == (rate,)
    images[1].save(
        tmp_path / "2.webp", save_all=True, append_images=[images[2]], duration=200, lossless=True
    )
    source = open_source(tmp_path)
    assert source.info.notes == (rate, "2.webp holds several pictures: its first is taken")
    frames = list(source.frames())
    assert len(frames) == 3
    assert np.abs(frames[2].image.astype(int) - picture(8, SMALL)).mean() < 4
    images[0].save(tmp_path / "3.png", save_all=True, append_images=images[1:])
    cv2.imwritemulti(str(tmp_path / "4.TIF"), [picture(number, SMALL) for number in range(3)])
    said = open_source(tmp_path).info.notes[1]
    assert said == "3 files hold several pictures (2.webp, ...): their first is taken"
