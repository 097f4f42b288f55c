"""What sources give: every frame, once, upright, at its exact time."""

from __future__ import annotations

import gc
import shutil
import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from depthrt.errors import UsageError
from depthrt.frame import YuvImage, to_rgb
from depthrt.sources.base import Selection, SourceInfo
from depthrt.sources.open import open_source
from helpers.files.clips import cut, join, picture, pictures, probe

VFR = (0, 33, 100, 110, 250, 400, 1400, 2400, 2420)
FORMS: dict[str, dict[str, object]] = {
    "plain": {},
    "ntsc": {"rate": Fraction(30000, 1001)},
    "vfr": {"frames": len(VFR), "stamps": VFR},
    "10 bit": {"pix_fmt": "yuv420p10le"},
    "4:4:4": {"pix_fmt": "yuv444p"},
    "odd": {"pix_fmt": "yuv444p", "size": (47, 63)},
    "full range": {"colours": (1, 2)},
    "full range, bt601": {"colours": (6, 2)},
    "bt709": {"colours": (1, 1)},
    "bt601": {"colours": (6, 1)},
    "10 bit, bt709": {"colours": (1, 1), "pix_fmt": "yuv420p10le"},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_every_frame_comes_at_its_time_and_looks_like_itself(
    make_clip: Callable[..., Path], form: dict[str, object]
) -> None:
    path = make_clip(**form)
    source = open_source(path)
    frames = list(source.frames())
    known = probe(path)
    assert [frame.exact_time_s for frame in frames] == known.times_s
    assert [frame.index for frame in frames] == list(range(len(known.times_s)))
    assert source.info.rate == known.rate
    assert source.info.size == known.size
    assert source.info.frame_count == len(frames)
    assert source.losses.sentence() == ""
    for frame in frames[::7]:
        seen = to_rgb(frame.pixels).astype(int)
        difference = np.abs(seen - picture(frame.index, known.size).astype(int))
        assert difference.mean() < 3, form
        assert np.percentile(difference, 99) < 14, form


@pytest.mark.parametrize(
    ("suffix", "form"),
    [(".mkv", {"codec": "ffv1", "pix_fmt": "gray"}), (".mkv", {"codec": "ffv1", "size": (47, 63)})],
    ids=["gray", "odd 4:2:0"],
)
def test_rarer_layouts_decode_as_pyav_shows_them(
    make_clip: Callable[..., Path], suffix: str, form: dict[str, object]
) -> None:
    path = make_clip(suffix, frames=3, **form)
    for frame, expected in zip(open_source(path).frames(), pictures(path), strict=True):
        assert np.abs(to_rgb(frame.pixels).astype(int) - expected.astype(int)).mean() < 3


@pytest.mark.parametrize("pix_fmt", ["yuv444p10le", "yuv420p10le", "yuv422p12le"])
@pytest.mark.parametrize("size", [(720, 1280), (48, 64)])
def test_video_without_a_tag_has_one_rule_whatever_its_bits(
    make_clip: Callable[..., Path], pix_fmt: str, size: tuple[int, int]
) -> None:
    # FFV1 keeps the samples: what is seen is the conversion alone.
    deep = make_clip(".mkv", codec="ffv1", frames=1, size=size, pix_fmt=pix_fmt)
    flat = {"codec": "ffv1", "frames": 1, "size": size, "pix_fmt": pix_fmt[:7]}
    eight = make_clip(".mkv", **flat)
    seen, expected = (
        to_rgb(next(iter(open_source(path).frames())).pixels).astype(int) for path in (deep, eight)
    )
    assert np.abs(seen - expected).mean() < 2.5  # FFmpeg's conversion rounds down
    assert np.percentile(np.abs(seen - expected), 99) <= 6


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotated_video_is_upright(make_clip: Callable[..., Path], degrees: int) -> None:
    path = make_clip(frames=2, rotation=degrees)
    source = open_source(path)
    (frame, _) = source.frames()
    # The display matrix turns the coded picture; np.rot90 turns counter-clockwise as FFmpeg counts.
    shown = np.rot90(picture(0, (48, 64)), degrees // 90)
    assert source.info.size == shown.shape[:2]
    assert np.abs(to_rgb(frame.pixels).astype(int) - shown.astype(int)).mean() < 3


# Matrices of ISO 14496-12 in signs (a, b, c, d), and what each shows of a picture.
MIRRORED = {
    "left and right": ((-1, 0, 0, 1), lambda shown: shown[:, ::-1]),
    "up and down": ((1, 0, 0, -1), lambda shown: shown[::-1]),
    "transposed": ((0, 1, 1, 0), lambda shown: shown.transpose(1, 0, 2)),
    "transposed and turned": ((0, -1, -1, 0), lambda shown: shown[::-1, ::-1].transpose(1, 0, 2)),
}


@pytest.mark.parametrize("case", MIRRORED.values(), ids=list(MIRRORED))
def test_mirrored_video_is_as_it_was_meant(
    make_clip: Callable[..., Path],
    tmp_path: Path,
    case: tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]],
) -> None:
    (a, b, c, d), shown = case
    content = bytearray(make_clip(frames=2).read_bytes())
    one = 1 << 16
    matrix = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    track = content.index(b"tkhd")
    begin = content.index(matrix, track)
    content[begin : begin + 36] = struct.pack(
        ">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30
    )
    path = tmp_path / "mirrored.mp4"
    path.write_bytes(content)
    source = open_source(path)
    frame = next(iter(source.frames()))
    expected = shown(picture(0, (48, 64)))
    assert source.info.size == expected.shape[:2]
    assert np.abs(to_rgb(frame.pixels).astype(int) - expected.astype(int)).mean() < 3


@pytest.mark.parametrize("b_frames", [1, 2, 3])
@pytest.mark.parametrize("start_s", [0.0, 0.8])
def test_an_avi_has_times_of_packets_only_and_loses_no_frame(
    make_clip: Callable[..., Path], b_frames: int, start_s: float
) -> None:
    path = make_clip(".avi", frames=60, b_frames=b_frames)
    source = open_source(path, Selection(start_s=start_s))
    frames = list(source.frames())
    first = round(25 * start_s)
    assert [frame.exact_time_s for frame in frames] == [Fraction(k, 25) for k in range(first, 60)]
    assert source.losses.sentence() == ""
    for frame in frames[::7]:
        expected = picture(round(25 * frame.exact_time_s), (48, 64)).astype(int)
        assert np.abs(to_rgb(frame.pixels).astype(int) - expected).mean() < 3


def test_a_repeated_time_costs_no_frame(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "twice.mkv"
    with av.open(str(make_clip())) as read, av.open(str(path), "w") as written:
        stream = read.streams.video[0]
        target = written.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in read.demux(stream) if p.size):
            packet.stream = target
            packet.dts = (number - 2) * 512
            packet.pts = (number - (number in (7, 8))) * 512
            written.mux(packet)
    assert len(set(probe(path).times_s)) < 25  # the file is as meant
    times = [frame.exact_time_s for frame in open_source(path).frames()]
    assert len(times) == 25
    assert all(a < b for a, b in pairwise(times))


def test_pixels_that_are_not_square_are_said(make_clip: Callable[..., Path]) -> None:
    assert open_source(make_clip()).info.pixel_aspect == 1
    wide = {"frames": 2, "pixel_aspect": Fraction(4, 3)}
    assert open_source(make_clip(**wide)).info.pixel_aspect == Fraction(4, 3)
    assert open_source(make_clip(**wide, rotation=90)).info.pixel_aspect == Fraction(3, 4)


def test_a_rate_fits_into_what_ffmpeg_counts_with() -> None:
    odd = SourceInfo("x", (2, 2), Fraction(1200000000, 299751601), selection=Selection(stride=11))
    assert max(odd.selected_rate.numerator, odd.selected_rate.denominator) < 1 << 31
    assert float(odd.selected_rate) == pytest.approx(1200000000 / 299751601 / 11, rel=1e-6)
    ntsc = SourceInfo("x", (2, 2), Fraction(30000, 1001), selection=Selection(stride=7))
    assert ntsc.selected_rate == Fraction(30000, 7007)


def test_a_colon_in_a_name_is_no_protocol(
    make_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "2024-05-01T12:30:00.mp4"
    shutil.copy(make_clip(), name)
    assert len(list(open_source(name).frames())) == 25


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi", ".ts", ".flv"])
@pytest.mark.parametrize("start_s", [0.04, 0.4, 1.0, 1.56])
def test_start_gives_the_same_frames_in_every_container(
    make_clip: Callable[..., Path], suffix: str, start_s: float
) -> None:
    path = make_clip(suffix, frames=45)
    every = list(open_source(path).frames())
    source = open_source(path, Selection(start_s=start_s))
    times = [frame.exact_time_s for frame in source.frames()]
    assert times == [f.exact_time_s for f in every if f.exact_time_s >= Fraction(str(start_s))]
    assert source.losses.sentence() == ""


def test_a_selection_is_half_open_and_exact(make_clip: Callable[..., Path]) -> None:
    selection = Selection(start_s=0.08, end_s=0.8, stride=3, max_frames=5)
    source = open_source(make_clip(), selection)
    assert [frame.index for frame in source.frames()] == [2, 5, 8, 11, 14]
    assert source.info.frame_count == 5


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("start_s", [0.0, 1.0])
def test_a_variable_frame_rate_is_no_loss(
    make_clip: Callable[..., Path], suffix: str, start_s: float
) -> None:
    stamps = (*range(0, 1000, 10), *range(1000, 11000, 1000))
    source = open_source(
        make_clip(suffix, frames=len(stamps), stamps=stamps), Selection(start_s=start_s)
    )
    expected = [Fraction(stamp, 1000) for stamp in stamps if stamp >= 1000 * start_s]
    assert [frame.exact_time_s for frame in source.frames()] == expected
    assert source.losses.sentence() == ""


@pytest.mark.parametrize("suffix", [".h264", ".ts"])
def test_a_size_that_changes_midway_gives_all_frames_in_order(
    make_clip: Callable[..., Path], tmp_path: Path, suffix: str
) -> None:
    parts = [make_clip(suffix), make_clip(suffix, size=(96, 80))]
    frames = list(open_source(join(tmp_path / f"two{suffix}", parts)).frames())
    assert [frame.pixels.shape[:2] for frame in frames] == [(48, 64)] * 25 + [(96, 80)] * 25
    times = [frame.exact_time_s for frame in frames]
    assert {b - a for a, b in pairwise(times)} == {Fraction(1, 25)}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("start_s", [0.0, 0.4])
def test_a_truncated_video_gives_what_decodes_and_says_what_is_lost(
    make_clip: Callable[..., Path], tmp_path: Path, suffix: str, start_s: float
) -> None:
    muxing = (("movflags", "+faststart"),) if suffix == ".mp4" else ()
    whole = make_clip(suffix, frames=50, muxing=muxing)
    source = open_source(cut(tmp_path / f"cut{suffix}", whole, 0.5), Selection(start_s=start_s))
    count = len(list(source.frames()))
    first = round(25 * start_s)
    assert 15 <= count + first <= 32
    if (
        suffix == ".ts"
    ):  # a transport stream does not say how long it is, but the last frame is torn
        assert source.losses.sentence() == "1 frame damaged"
    else:
        assert source.losses.missing_frames == 50 - first - count
        # A decoder with one thread also tells of the torn packet; one with several drops it.
        assert source.losses.sentence().startswith(f"{50 - first - count} frames missing")


@pytest.mark.parametrize(
    ("suffix", "codec", "tail_s"),
    [(".mkv", "pcm_s16le", 0.5), (".flv", "aac", 4.0), (".nut", "pcm_s16le", 4.0)],
)
def test_sound_that_outlasts_the_picture_is_no_loss(
    make_clip: Callable[..., Path], suffix: str, codec: str, tail_s: float
) -> None:
    source = open_source(make_clip(suffix, sound=codec, sound_tail_s=tail_s))
    assert len(list(source.frames())) == 25
    assert source.losses.sentence() == ""


def test_a_cut_off_file_with_sound_that_says_only_its_whole_length(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    whole = make_clip(".flv", frames=100, sound="aac")
    source = open_source(cut(tmp_path / "cut.flv", whole, 0.4))
    count = len(list(source.frames()))
    assert count < 60
    assert 10 <= source.losses.missing_frames <= 100 - count


def test_closing_early_releases_the_file(make_clip: Callable[..., Path]) -> None:
    frames = open_source(make_clip()).frames()
    first = next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert isinstance(first.pixels, YuvImage)
    assert list(frames) == []


@pytest.mark.parametrize("fields", [{"start_s": float("inf")}, {"start_s": float("nan")},
    {"start_s": -1.0}, {"end_s": float("nan")}, {"end_s": 0.0}, {"start_s": 2.0, "end_s": 1.0},
    {"stride": 0}, {"max_frames": 0}])  # fmt: skip
def test_a_selection_that_means_nothing_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--"):
        Selection(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("rotation", [0, 90])
def test_decoded_pictures_are_let_go_of_at_once(
    make_clip: Callable[..., Path], rotation: int
) -> None:
    """Not only once the garbage collector comes by: at 1080p that took 450 MB."""
    source = open_source(make_clip(frames=30, rotation=rotation))
    gc.collect()
    others = {id(o) for o in gc.get_objects() if issubclass(type(o), av.VideoFrame)}
    gc.disable()
    try:
        assert sum(1 for _ in source.frames()) == 30
        frames = [o for o in gc.get_objects() if issubclass(type(o), av.VideoFrame)]
        kept = [frame for frame in frames if id(frame) not in others]
    finally:
        gc.enable()
    assert len(kept) <= 3  # the first one of each time that the file was opened
