"""Videos to look at: every frame at its time, the right colours, the sound in step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from depthrt import Stats, stream
from depthrt.model.depth_model import DepthModel
from depthrt.render.views import VIEWS, View
from depthrt.sinks.open import open_sink
from depthrt.sources.base import Selection
from depthrt.sources.open import open_source
from depthrt.spec import Kind, ModelSpec
from helpers.files.clips import (
    join,
    picture,
    pictures,
    planes,
    probe,
    sound_duration_s,
    sound_onset_s,
    sound_packets,
)
from helpers.files.write_results import write_into

MakeClip = Callable[..., Path]


def write(
    source: Path,
    target: Path,
    model: DepthModel,
    view: View = "depth",
    selection: Selection | None = None,
    colormap: str = "inferno",
) -> Path:
    """Run a source into a sink."""
    opened = open_source(source, selection)
    sink = open_sink(target, opened.info, model.spec, view, colormap)
    stats = Stats()
    assert not write_into([sink], stream(opened, model, stats=stats), opened.info.name, stats)
    assert not list(target.parent.glob("*.partial*"))
    return target


@pytest.mark.parametrize(
    ("suffix", "form"),
    [
        (".mp4", {}),
        (".mp4", {"rate": Fraction(30000, 1001), "frames": 61}),
        (".mp4", {"rate": Fraction(24000, 1001), "frames": 49}),
        (".mp4", {"rate": Fraction(60), "frames": 61}),
        (".mp4", {"frames": 8, "stamps": (0, 33, 100, 110, 250, 400, 1400, 2400)}),
        (".mkv", {"frames": 8, "stamps": (0, 33, 100, 110, 250, 400, 1400, 2400)}),
        (".mkv", {}),
        (".ts", {}),
        (".h264", {}),
        (".avi", {}),
    ],
    ids=lambda value: str(value),
)
def test_frames_times_rate_and_duration_are_the_sources(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel, suffix: str, form: dict[str, object]
) -> None:
    source = make_clip(suffix, **form)
    info = open_source(source).info
    written = probe(write(source, tmp_path / "out.mp4", model))
    expected = [frame.exact_time_s for frame in open_source(source).frames()]
    assert written.times_s == expected
    if suffix == ".mp4":
        assert written.rate == info.rate
        assert written.duration_s == probe(source).duration_s
    assert (written.codec, written.pix_fmt, written.size) == ("h264", "yuv420p", (48, 64))


@pytest.mark.parametrize(
    ("form", "size"),
    [
        ({"size": (47, 63), "pix_fmt": "yuv444p"}, (48, 64)),
        ({"pix_fmt": "yuv420p10le"}, (48, 64)),
        ({"rotation": 90}, (64, 48)),
        ({"colours": (6, 2)}, (48, 64)),
    ],
    ids=["odd", "10 bit", "rotated", "full range"],
)
@pytest.mark.parametrize("view", VIEWS)
def test_every_form_and_view_plays(
    make_clip: MakeClip,
    tmp_path: Path,
    model: DepthModel,
    form: dict[str, object],
    size: tuple[int, int],
    view: View,
) -> None:
    written = probe(write(make_clip(frames=5, **form), tmp_path / "out.mp4", model, view))
    assert len(written.times_s) == 5
    assert written.size == (size[0], size[1] * (2 if view == "side" else 1))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 1), (1, 40), (30, 31)])
@pytest.mark.parametrize("view", VIEWS)
def test_images_of_any_size_become_a_picture(
    tmp_path: Path, model: DepthModel, size: tuple[int, int], view: View
) -> None:
    import cv2

    source = tmp_path / "in.png"
    cv2.imwrite(str(source), picture(0, size))
    for name in ("out.png", "out.mp4"):
        write(source, tmp_path / name, model, view)
    height, width = (side + side % 2 for side in size)
    (seen,) = pictures(tmp_path / "out.png")
    assert seen.shape[:2] == (height, width * (2 if view == "side" else 1))
    assert len(probe(tmp_path / "out.mp4").times_s) == 1


@pytest.mark.parametrize("colours", [None, (1, 1), (6, 1), (1, 2)])
def test_the_left_half_of_a_side_view_is_the_source(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel, colours: tuple[int, int] | None
) -> None:
    source = make_clip(colours=colours)
    written = write(source, tmp_path / "out.mp4", model, "side")
    for ours, theirs in zip(planes(written), planes(source), strict=True):
        assert np.abs(ours[:48, :64].astype(int) - theirs[:48].astype(int)).mean() < 2.5
    for ours, theirs in zip(pictures(written), pictures(source), strict=True):
        assert np.abs(ours[:, :64].astype(int) - theirs.astype(int)).mean() < 6


@pytest.mark.parametrize(
    ("colours", "tags"), [((1, 1), (1, 1)), ((6, 1), (6, 1)), ((6, 2), (6, 2)), (None, (6, 1))]
)
def test_colours_are_tagged(
    make_clip: MakeClip,
    tmp_path: Path,
    model: DepthModel,
    colours: tuple[int, int] | None,
    tags: tuple[int, int],
) -> None:
    written = write(make_clip(frames=2, colours=colours), tmp_path / "out.mp4", model)
    with av.open(str(written)) as container:
        frame = next(container.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == tags


@pytest.mark.parametrize("kind", ["inverse_depth", "depth"])
def test_near_is_bright(make_clip: MakeClip, tmp_path: Path, model: DepthModel, kind: Kind) -> None:
    spec = ModelSpec("tiny", kind, model.spec.input)
    other = DepthModel(model.session, spec, model.path)
    source = make_clip()
    written = write(source, tmp_path / "out.mp4", other, colormap="gray")
    depth = [result.depth.values for result in stream(source, other)]
    for seen, values in zip(planes(written), depth, strict=True):
        likeness = float(np.corrcoef(seen[:48].ravel(), values.ravel())[0, 1])
        assert likeness > 0.98 if kind == "inverse_depth" else likeness < -0.98


def test_the_colours_are_those_of_the_map(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel
) -> None:
    from depthrt.render.views import colourise

    source = make_clip()
    written = pictures(write(source, tmp_path / "out.mp4", model, colormap="turbo"))
    for seen, result in zip(written, stream(source, model), strict=True):
        expected = colourise(result.depth, result.display_range, "turbo").astype(int)
        assert np.abs(seen.astype(int) - expected).mean() < 8


@pytest.mark.parametrize(
    ("suffix", "sound"),
    [
        (".mp4", "aac"),
        (".mp4", "libmp3lame"),
        (".mkv", "libopus"),
        (".mkv", "flac"),
        (".mkv", "ac3"),
    ],
)
def test_sound_that_mp4_can_hold_is_copied(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel, suffix: str, sound: str
) -> None:
    source = make_clip(suffix, sound=sound, event_s=0.4)
    written = write(source, tmp_path / "out.mp4", model)
    assert sound_packets(written) == sound_packets(source)
    assert sound_onset_s(written) == pytest.approx(sound_onset_s(source), abs=0.003)
    if suffix == ".mp4":
        assert sound_duration_s(written) == pytest.approx(sound_duration_s(source), abs=0.01)


@pytest.mark.parametrize(
    ("suffix", "sound"), [(".mkv", "vorbis"), (".mkv", "pcm_s16le"), (".ts", "mp2"), (".ts", "aac")]
)
def test_other_sound_becomes_aac_in_step(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel, suffix: str, sound: str
) -> None:
    source = make_clip(suffix, sound=sound, event_s=0.4)
    first = probe(source).times_s[0]
    written = write(source, tmp_path / "out.mp4", model)
    with av.open(str(written)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    lag_s = sound_onset_s(source) - float(first)
    shown = float(probe(written).times_s[0])
    assert sound_onset_s(written) - shown == pytest.approx(lag_s, abs=0.03)
    assert sound_duration_s(written) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize(("suffix", "sound"), [(".mp4", "aac"), (".mkv", "pcm_s16le")])
@pytest.mark.parametrize(
    ("selection", "lasts_s"),
    [
        (Selection(start_s=0.8), 2.2),
        (Selection(start_s=0.84, end_s=2.0), 1.16),
        (Selection(stride=3), 3.0),
        (Selection(start_s=0.4, stride=2, max_frames=20), 1.6),
    ],
    ids=["start", "start and end", "stride", "all of them"],
)
def test_a_selection_keeps_the_sound_in_step(
    make_clip: MakeClip,
    tmp_path: Path,
    model: DepthModel,
    suffix: str,
    sound: str,
    selection: Selection,
    lasts_s: float,
) -> None:
    source = make_clip(suffix, frames=75, sound=sound, event_s=1.2)
    written = write(source, tmp_path / "out.mp4", model, "side", selection)
    known = probe(written)
    white = next(
        float(time)
        for time, seen in zip(known.times_s, planes(written), strict=True)
        if seen[:48, :64].mean() > 128
    )
    # The picture turns white with the first chosen frame from 1.2 s on.
    step_s = selection.stride / 25
    assert sound_onset_s(written) == pytest.approx(1.2 - selection.start_s, abs=0.03)
    assert 0 <= white - (1.2 - selection.start_s) < step_s + 1e-9
    assert float(known.duration_s) == pytest.approx(lasts_s, abs=0.04 * selection.stride)
    assert sound_duration_s(written) == pytest.approx(lasts_s, abs=0.04 * selection.stride + 0.03)


@pytest.mark.parametrize("suffix", [".h264", ".ts"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_size_that_changes_midway_keeps_the_first(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel, suffix: str, view: View
) -> None:
    sound = {"sound": "aac"} if suffix == ".ts" else {}
    parts = [
        make_clip(suffix, **sound),
        make_clip(suffix, size=(97, 81), pix_fmt="yuv444p", **sound),
    ]
    source = join(tmp_path / f"two{suffix}", parts)
    written = write(source, tmp_path / "out.mp4", model, view)
    known = probe(written)
    assert len(known.times_s) == 50
    assert known.size == (48, 128 if view == "side" else 64)
    if sound:
        assert sound_duration_s(written) == pytest.approx(2.0, abs=0.1)


def test_sound_that_nothing_here_can_decode_is_left_out(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel
) -> None:
    content = make_clip(".mkv", sound="pcm_s16le").read_bytes()
    assert b"A_PCM/INT/LIT" in content
    strange = tmp_path / "strange.mkv"
    strange.write_bytes(content.replace(b"A_PCM/INT/LIT", b"A_XYZ/INT/LIT"))
    written = write(strange, tmp_path / "out.mp4", model)
    assert len(probe(written).times_s) == 25


def test_damaged_sound_does_not_stop_the_picture(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel
) -> None:
    source = make_clip(".mkv", sound="vorbis")
    content = bytearray(source.read_bytes())
    for packet in sound_packets(source)[5:30]:
        begin = content.find(packet)
        content[begin : begin + len(packet)] = b"\xff" * len(packet)
    damaged = tmp_path / "damaged.mkv"
    damaged.write_bytes(content)
    assert len(probe(write(damaged, tmp_path / "out.mp4", model)).times_s) == 25


def test_pixels_keep_their_shape(make_clip: MakeClip, tmp_path: Path, model: DepthModel) -> None:
    source = make_clip(frames=3, pixel_aspect=Fraction(4, 3))
    for view in VIEWS:
        target = write(source, tmp_path / f"{view}.mp4", model, view)
        with av.open(str(target)) as container:
            assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_rate_of_large_numbers_and_a_colon_in_the_name(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel, suffix: str
) -> None:
    opened = open_source(make_clip(), Selection(stride=11))
    info = replace(opened.info, rate=Fraction(1200000000, 299751601))
    target = tmp_path / f"12:30{suffix}"
    sink = open_sink(target, info, model.spec, "depth", "inferno")
    for result in stream(opened, model):
        sink.write(result)
    assert sink.close(complete=True) == target
    with av.open(str(target)) as container:
        assert len(list(container.decode(video=0))) == 3
