"""Pictures of high dynamic range, as a usual screen shows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import InputSpec, open_source, prepare, to_rgb
from depthrt.sources.decode.hdr_image import HdrImage, view_hdr
from depthrt.sources.decode.orientation import upright
from depthrt.sources.decode.tone_map import FULL_SIGNAL, HLG, PQ, tone_mapped
from helpers.commands import Command

MakeClip = Callable[..., Path]

WIDTH, HEIGHT = 320, 64
WHITE_CD_M2 = 203.0
MATRICES = {"bt2020": 9, "bt709": 1}


def pq(light_cd_m2: NDArray[np.float64]) -> NDArray[np.float64]:
    """The signal 0..1 of a displayed light (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = (light_cd_m2 / 10_000) ** m1
    return np.asarray(((c1 + c2 * y) / (1 + c3 * y)) ** m2)


def hlg(light_cd_m2: NDArray[np.float64]) -> NDArray[np.float64]:
    """The signal 0..1 of a displayed grey on a screen of 1000 cd/m2 (ITU-R BT.2100)."""
    scene = (light_cd_m2 / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    bright = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


SIGNALS = {PQ: pq, HLG: hlg}


def write_hdr(path: Path, luma: NDArray[np.float64], transfer: int, frames: int = 3) -> Path:
    """A clip of 10 bit whose columns are grey of these signals (w,)."""
    with av.open(str(path), "w") as container:
        options = {"x265-params": "log-level=none:crf=4:info=0"}
        stream: Any = container.add_stream("libx265", 25, options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc = 9, transfer
        context.colorspace, context.color_range = 9, 1
        for _ in range(frames):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p10le")
            for number, plane in enumerate(frame.planes):
                values = np.full((plane.height, plane.line_size // 2), 512, np.uint16)
                if number == 0:
                    values[:, :WIDTH] = np.rint(64 + 876 * luma)
                plane.update(values.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_white_is_white_and_grey_as_light_as_it_was(tmp_path: Path, transfer: int) -> None:
    signal = np.linspace(0, 1, WIDTH)  # of a usual screen, up to its white
    light = WHITE_CD_M2 * signal**2.4
    path = write_hdr(tmp_path / "clip.mp4", SIGNALS[transfer](light), transfer)
    source = open_source(path)
    (note,) = source.info.notes
    assert note.endswith("and are tone-mapped to the usual range")
    for frame in source.frames():
        row = to_rgb(frame.pixels)[HEIGHT // 2].astype(float)  # W,3
        assert row[-1] == pytest.approx([251] * 3, abs=4)
        below = signal < 0.96
        assert np.abs(row[below] - 255 * signal[below, None]).max() < 4


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_highlights_stay_apart_and_grow(transfer: int) -> None:
    light = np.array([203.0, 250, 320, 999])
    coded = np.rint(FULL_SIGNAL * SIGNALS[transfer](light)).astype(np.uint16)
    shown = tone_mapped(np.repeat(coded[None, :, None], 3, axis=2), transfer)[0, :, 0]
    assert shown[0] == pytest.approx(251, abs=1)
    assert shown[0] < shown[1] < shown[2] <= shown[3]


def test_colours_are_those_of_the_usual_range() -> None:
    """BT.709's own red, given in BT.2020 (ITU-R BT.2087), comes out as red."""
    to_bt2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    )
    light = WHITE_CD_M2 * 0.5**2.4 * np.eye(3) @ to_bt2020.T  # red, green, blue at half signal
    coded = np.rint(FULL_SIGNAL * pq(light)).astype(np.uint16)
    shown = tone_mapped(coded[None], PQ)[0].astype(int)
    assert np.abs(shown - 127.5 * np.eye(3)).max() < 4


def test_the_view_shows_what_the_network_sees(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    signal = np.linspace(0, 1, WIDTH)
    path = write_hdr(tmp_path / "clip.mp4", pq(WHITE_CD_M2 * signal**2.4), PQ)
    ended = command(
        *("run", path, "-m", model_path, "-o", tmp_path / "out.mp4", "--view", "side", "--json")
    )
    assert ended.code == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    (seen, *_) = open_source(path).frames()
    picture = to_rgb(seen.pixels).astype(int)
    assert np.abs(shown[:, :WIDTH].astype(int) - picture)[:, 8:-8].mean() < 4


def test_pictures_of_ten_bit_without_it_are_left_alone(make_clip: MakeClip) -> None:
    source = open_source(make_clip(codec="libx264", pix_fmt="yuv420p10le"))
    assert source.info.notes == ()


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_it_is_mapped_only_where_somebody_looks(tmp_path: Path, transfer: int) -> None:
    """The network's small picture and the whole one agree; no tone-mapped one is kept."""
    signal = np.linspace(0, 1, WIDTH)
    path = write_hdr(tmp_path / "clip.mp4", SIGNALS[transfer](WHITE_CD_M2 * signal**2.4), transfer)
    frame = next(open_source(path).frames())
    assert isinstance(frame.pixels, HdrImage)
    assert (frame.pixels.y.dtype, frame.pixels.y.shape) == (np.uint16, (HEIGHT, WIDTH))
    assert not frame.pixels.y.flags.owndata  # the decoder's own memory
    prepared = prepare(frame.pixels, InputSpec(32, 160))
    whole = prepare(frame.image, InputSpec(32, 160))
    assert np.abs(prepared.astype(int) - whole).mean() < 1
    assert prepared.min() < 8
    assert prepared.max() > 244


@pytest.mark.parametrize(("pix_fmt", "bits"), [("yuv422p10le", 10), ("yuv444p12le", 12)])
def test_bits_and_sampling_do_not_matter(pix_fmt: str, bits: int) -> None:
    frame = av.VideoFrame(64, 16, pix_fmt)
    luma = pq(np.array([WHITE_CD_M2 * 0.5**2.4]))[0]
    for number, plane in enumerate(frame.planes):
        code = (16 + 219 * luma if number == 0 else 128) * 2 ** (bits - 8)
        values = np.full((plane.height, plane.line_size // 2), round(code), np.uint16)
        plane.update(values.tobytes())
    image = view_hdr(frame, "bt2020", False, PQ)
    assert image is not None
    assert np.abs(to_rgb(image).astype(int) - 127).max() <= 2
    assert np.abs(np.asarray(upright(image, (0, 1, -1, 0))).astype(int) - 127).max() <= 2
    assert upright(image, (0, 1, -1, 0)).shape[:2] == (64, 16)
    assert view_hdr(av.VideoFrame(64, 16, "p010le"), "bt2020", False, PQ) is None


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("size", [(90, 160), (91, 161)])
def test_planes_for_views_show_what_rgb_shows(transfer: int, size: tuple[int, int]) -> None:
    """Grey ramps with fine lines are the same; smooth colours within the rounding of 4:2:0."""
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width]
    luma = 200 + 3 * columns + 150 * (rows % 3 == 0)
    chroma = np.mgrid[0 : (height + 1) // 2, 0 : (width + 1) // 2]
    grey = np.full(chroma[0].shape, 512, np.uint16)
    image = HdrImage(luma.astype(np.uint16), grey, grey, "bt2020", False, 10, transfer)
    shown, exact = to_rgb(image.on_screen()).astype(int), to_rgb(image).astype(int)
    assert np.abs(shown - exact).max() <= 2
    assert np.ptp(exact[:, 0, 0]) > 40  # the lines are there
    u, v = (512 + side // 2 for side in chroma)
    smooth = (300 + columns + rows).astype(np.uint16)
    image = HdrImage(
        smooth, u.astype(np.uint16), v.astype(np.uint16), "bt2020", False, 10, transfer
    )
    shown, exact = to_rgb(image.on_screen()).astype(int), to_rgb(image).astype(int)
    assert np.abs(shown - exact).mean() < 1.5
    assert image.on_screen().y.dtype == np.uint8
