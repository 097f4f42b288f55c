"""Pictures whose data carry EXIF: they run, and are turned as cameras and FFmpeg's tool mean it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import DepthModel, open_source, stream, stream_many, to_rgb
from helpers.commands import Command
from helpers.files.clips import picture
from helpers.web.servers import SIZE, HttpVideo

ORIENTATIONS = range(1, 9)


def jpeg(number: int, orientation: int, size: tuple[int, int] = SIZE) -> bytes:
    """A JPEG picture with an EXIF orientation, as phones and camera apps write it."""
    bgr = cv2.cvtColor(picture(number, size), cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])
    tags = struct.pack("<HHHIHH", 1, 274, 3, 1, orientation, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + tags + bytes(4)
    head = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return head + content.tobytes()[2:]


def as_mjpeg(path: Path, pictures: list[bytes]) -> Path:
    path.write_bytes(b"".join(pictures))
    return path


def as_avi(path: Path, pictures: list[bytes]) -> Path:
    with av.open(str(path), "w") as container:
        track = container.add_stream("mjpeg", 10)
        track.height, track.width, track.pix_fmt = *SIZE, "yuvj420p"
        for number, content in enumerate(pictures):
            packet = av.Packet(content)
            packet.stream, packet.is_keyframe = track, True
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1, 10)
            container.mux(packet)
    return path


def as_opencv_shows(content: bytes) -> NDArray[np.uint8]:
    """RGB, turned by an independent reader of EXIF."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("write", [as_mjpeg, as_avi])
def test_video_with_exif_is_read_and_turned(
    tmp_path: Path, write: Callable[[Path, list[bytes]], Path], orientation: int
) -> None:
    contents = [jpeg(number, orientation) for number in range(5)]
    source = open_source(write(tmp_path / f"clip.{write.__name__[3:]}", contents))
    images = [to_rgb(frame.pixels) for frame in source.frames()]
    assert len(images) == 5
    for image, content in zip(images, contents, strict=True):
        wanted = as_opencv_shows(content)
        assert image.shape == wanted.shape
        assert np.abs(image.astype(int) - wanted).mean() < 1


def test_a_mirror_that_comes_in_the_middle_is_seen(tmp_path: Path) -> None:
    """The rotation is 0 degrees in both: only the matrix tells them apart."""
    contents = [jpeg(0, 1), jpeg(0, 4)]
    upright, mirrored = open_source(as_mjpeg(tmp_path / "clip.mjpeg", contents)).frames()
    first, second = (to_rgb(frame.pixels).astype(int) for frame in (upright, mirrored))
    assert np.abs(first[::-1] - second).mean() < 1
    assert np.abs(first - second).mean() > 20


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_without_a_readable_matrix_the_rotation_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    """As where a kind of side data that PyAV cannot name comes before the matrix."""
    monkeypatch.setattr("depthrt.sources.decode.orientation._matrices", lambda decoded: iter(()))
    content = jpeg(0, orientation)
    (frame,) = open_source(as_mjpeg(tmp_path / "clip.mjpeg", [content])).frames()
    image, wanted = to_rgb(frame.pixels), as_opencv_shows(content)
    assert image.shape == wanted.shape
    assert np.abs(image.astype(int) - wanted).mean() < 1


@pytest.mark.parametrize("orientation", [1, 2, 6])
def test_an_avif_photo_with_exif_is_read(tmp_path: Path, orientation: int) -> None:
    pillow = pytest.importorskip("PIL.Image")
    if not pytest.importorskip("PIL.features").check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    if orientation > 1 and av.library_versions["libavcodec"] < (62,):
        pytest.skip("FFmpeg before 8 does not say how an AVIF picture is turned")
    exif = pillow.Exif()
    exif[274] = orientation
    path = tmp_path / "photo.avif"
    pillow.fromarray(picture(3, SIZE)).save(path, exif=exif, quality=95)
    (frame,) = open_source(path).frames()
    wanted = {
        1: picture(3, SIZE),
        2: picture(3, SIZE)[:, ::-1],
        6: np.rot90(picture(3, SIZE), -1),
    }[orientation]
    image = to_rgb(frame.pixels)
    assert image.shape == wanted.shape
    assert np.abs(image.astype(int) - wanted).mean() < 3


class ExifVideo(HttpVideo):
    """Motion JPEG of a phone's camera app that is held upright."""

    def _jpegs(self) -> Iterator[bytes]:
        number = 0
        while True:
            content = jpeg(number, 6)
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
            yield head.encode() + content + b"\r\n"
            number += 1


def test_a_camera_app_with_exif_is_live(model: DepthModel) -> None:
    server = ExifVideo()
    try:
        results = stream(f"{server.address}/live.mjpg", model)
        sizes = [next(results).frame.pixels.shape[:2] for _ in range(3)]
        results.close()
    finally:
        server.kill()
    assert sizes == [SIZE[::-1]] * 3


def test_streams_beside_one_with_exif_go_on(
    tmp_path: Path, make_clip: Callable[..., Path], model: DepthModel
) -> None:
    exif = as_avi(tmp_path / "exif.avi", [jpeg(number, 1) for number in range(10)])
    seen = [result.frame.stream for result in stream_many([exif, make_clip()], model)]
    assert (seen.count("exif.avi"), len(seen)) == (10, 35)


def test_a_recording_with_exif_runs(command: Command, tmp_path: Path, model_path: Path) -> None:
    exif = as_avi(tmp_path / "exif.avi", [jpeg(number, 1) for number in range(10)])
    ended = command("run", exif, "-m", model_path, "-o", tmp_path / "out.mp4", "--json")
    assert (ended.code, ended.err, ended.document["frames"]) == (0, "", 10)
