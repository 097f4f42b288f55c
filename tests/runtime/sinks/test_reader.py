"""Raw depth read back equals what the model gave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import Stats, stream
from depthrt.errors import SourceError
from depthrt.jobs.run import Job, execute
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.sinks.base import Sink
from depthrt.sinks.depth.codes import DepthCodes
from depthrt.sinks.open import open_sink
from depthrt.sinks.reader import read_depth
from depthrt.sources.base import Selection
from depthrt.sources.open import open_source
from depthrt.spec import InputSpec, Kind, ModelSpec, Unit
from helpers.files.write_results import write_into
from helpers.models.small_model import build_model, build_spec, expected_depth

MakeClip = Callable[..., Path]
FORMS = ["out.mkv", "out.npz", "out"]


def record(
    source: Path, target: Path, model: DepthModel, selection: Selection | None = None
) -> tuple[Sink, list[NDArray[np.float32]], list[float]]:
    """Run a source into a raw sink; what the model gave, and when."""
    opened = open_source(source, selection)
    sink = open_sink(target, opened.info, model.spec, "depth", "inferno")
    stats = Stats()
    write_into([sink], stream(opened, model, stats=stats), opened.info.name, stats)
    results = list(stream(source, model, selection=selection))
    start_s = float(results[0].frame.time_s) if selection and target.suffix == ".mkv" else 0.0
    times = [float(result.frame.time_s) - start_s for result in results]
    return sink, [result.depth.values for result in results], times


def step_of(path: Path) -> float:
    """The step that a 16-bit recording states."""
    if path.suffix == ".mkv":
        with av.open(str(path)) as container:
            return float(container.metadata["DEPTHRT_STEP"])
    return float(json.loads((path / "depth.json").read_text())["step"])


def model_with(
    folder: Path, gain: float, kind: Kind = "inverse_depth", unit: Unit | None = None
) -> DepthModel:
    """The tiny model with another scale and meaning."""
    spec = ModelSpec("other", kind, build_spec().input, unit=unit)
    return DepthModel.load(build_model(folder / "other.onnx", spec=spec, gain=gain))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    "form",
    [{}, {"frames": 5, "stamps": (0, 33, 100, 110, 250)}, {"size": (47, 63), "pix_fmt": "yuv444p"}],
    ids=["plain", "vfr", "odd"],
)
def test_what_is_read_back_is_what_the_model_gave(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel, name: str, form: dict[str, object]
) -> None:
    source, target = make_clip(**form), tmp_path / name
    _, depth, times = record(source, target, model)
    known = list(read_depth(target))
    assert [r.time_s for r in known] == pytest.approx(times, abs=0.0006)
    assert {(r.kind, r.unit) for r in known} == {("inverse_depth", None)}
    tolerance = 0.0 if name == "out.npz" else step_of(target) / 2
    for recorded, values in zip(known, depth, strict=True):
        assert recorded.values.dtype == np.float32
        assert np.abs(recorded.values - values).max() <= tolerance


def test_the_model_gave_the_weighted_sum_of_the_pixels(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel
) -> None:
    source, target = make_clip(), tmp_path / "out.npz"
    record(source, target, model)
    for frame, recorded in zip(open_source(source).frames(), read_depth(target), strict=True):
        expected = expected_depth(prepare(frame.pixels, model.spec.input)[None])[0]
        np.testing.assert_array_equal(recorded.values, expected)


@pytest.mark.parametrize("name", FORMS)
def test_a_selection_is_what_is_recorded(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel, name: str
) -> None:
    target = tmp_path / name
    selection = Selection(start_s=0.2, stride=2, max_frames=4)
    _, depth, times = record(make_clip(), target, model, selection)
    known = list(read_depth(target))
    assert len(known) == len(depth) == 4
    assert [r.time_s for r in known] == pytest.approx(times, abs=0.0006)


@pytest.mark.parametrize("name", FORMS)
def test_negative_values_survive(make_clip: MakeClip, tmp_path: Path, name: str) -> None:
    sink, depth, _ = record(make_clip(), tmp_path / name, model_with(tmp_path, -0.01))
    assert max(values.max() for values in depth) < 0
    assert sink.warnings().clamped == 0
    tolerance = 0.0 if name == "out.npz" else step_of(tmp_path / name) / 2
    for recorded, values in zip(read_depth(tmp_path / name), depth, strict=True):
        # Decoding rounds to float32, on top of half a step.
        assert np.abs(recorded.values - values).max() <= tolerance * (1 + 1e-4)


def test_inverse_metres_take_finer_steps() -> None:
    spec = ModelSpec("x", "inverse_depth", InputSpec(48, 64), unit="m", valid_range=(0.01, 2.0))
    codes = DepthCodes.choose(spec, np.ones((2, 2), np.float32))
    assert codes.step <= 2**-14
    far = np.full((1, 1), 1 / 80, np.float32)
    assert codes.decode(codes.encode(far)[0])[0, 0] == pytest.approx(1 / 80, rel=0.005)


@pytest.mark.parametrize("name", ["out.mkv", "out"])
@pytest.mark.parametrize(
    ("gain", "step", "clamps"),
    [(0.05, 0.001, False), (0.3, 1 / 256, False), (-0.05, 0.001, True)],
    ids=["room", "street", "impossible"],
)
def test_metres_take_the_steps_of_datasets(
    make_clip: MakeClip, tmp_path: Path, name: str, gain: float, step: float, clamps: bool
) -> None:
    target = tmp_path / name
    sink, depth, _ = record(make_clip(), target, model_with(tmp_path, gain, "depth", "m"))
    assert step_of(target) == step
    known = list(read_depth(target))
    assert {(r.kind, r.unit) for r in known} == {("depth", "m")}
    count = sum(values.size for values in depth)
    assert sink.warnings().clamped == (count if clamps else 0)
    if not clamps:
        for recorded, values in zip(known, depth, strict=True):
            assert np.abs(recorded.values - values).max() <= step / 2 + 1e-5


def test_codes_clamp_count_and_keep_zero_for_invalid() -> None:
    codes = DepthCodes(0.001, 0.0)
    values = np.array([[-1.0, 0.0, 0.001, 65.535, 65.536, 1e9]], np.float32)
    coded, clamped = codes.encode(values)
    assert clamped == 4
    assert coded.tolist() == [[1, 1, 1, 65535, 65535, 65535]]
    assert np.isnan(codes.decode(np.array([[0]], np.uint16))).all()


@pytest.mark.parametrize("low", [0.0, -3.0, 1e-9])
@pytest.mark.parametrize("high", [1e-9, 0.7, 3e4, 1e30])
def test_any_range_of_values_finds_a_step(low: float, high: float) -> None:
    first = np.linspace(low, high, 1000, dtype=np.float32)[None]
    codes = DepthCodes.choose(build_spec(), first)
    coded, clamped = codes.encode(first)
    assert clamped == 0
    error = np.abs(codes.decode(coded).astype(np.float64) - first)
    assert error.max() <= codes.step / 2 + 1e-6 * max(abs(low), abs(high))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no.npz", None),
        ("no.mkv", None),
        ("no", None),
        ("empty.npz", b""),
        ("empty.mkv", b""),
        ("text.npz", b"hello"),
        ("text.mkv", b"hello"),
        ("torn.npz", b"PK\x03\x04" + bytes(100)),
        ("folder/depth.json", b"[]"),
        ("folder/depth.json", b"{}"),
        ("folder/depth.json", b"{"),
        ("folder/depth.json", b'{"step": 1, "offset": 0, "kind": "depth"}'),
        ("folder/other.txt", b""),
    ],
)
def test_anything_else_is_one_sentence(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    target = path.parent if path.parent != tmp_path else path
    with pytest.raises(SourceError, match=r"is no depth recording of depthrt") as caught:
        read_depth(target)
    assert str(target) in str(caught.value)


def test_other_videos_and_arrays_are_refused(make_clip: MakeClip, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for path in (make_clip(), tmp_path / "other.npz"):
        with pytest.raises(SourceError, match="no depth recording"):
            read_depth(path)


def test_a_recording_that_was_cut_off_reads_up_to_there_and_says_so(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel
) -> None:
    target = tmp_path / "out.mkv"
    _, depth, _ = record(make_clip(), target, model)
    content = target.read_bytes()
    target.write_bytes(content[: int(0.6 * len(content))])
    known = []
    with pytest.raises(SourceError, match=r"out\.mkv is (damaged|cut off)"):
        known.extend(read_depth(target))
    assert 10 <= len(known) <= 17
    np.testing.assert_allclose(known[9].values, depth[9], atol=0.05)


def test_one_wrong_bit_is_no_depth(make_clip: MakeClip, tmp_path: Path, model: DepthModel) -> None:
    target = tmp_path / "out.mkv"
    _, depth, _ = record(make_clip(), target, model)
    with av.open(str(target)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[12]
    content = bytearray(target.read_bytes())
    content[position + size // 2] ^= 1
    target.write_bytes(content)
    known = []
    level = av.logging.get_level()
    with pytest.raises(SourceError, match=r"out\.mkv is damaged \(a checksum is wrong\)"):
        known.extend(read_depth(target))
    assert len(known) <= 12
    for each, values in zip(known, depth, strict=False):
        np.testing.assert_allclose(each.values, values, atol=step_of(target))
    assert av.logging.get_level() == level


def test_a_folder_that_lost_a_map_says_which(
    make_clip: MakeClip, tmp_path: Path, model: DepthModel
) -> None:
    record(make_clip(), tmp_path / "out", model)
    (tmp_path / "out" / "000003.png").unlink()
    maps = read_depth(tmp_path / "out")
    assert [next(maps).time_s for _ in range(3)] == pytest.approx([0, 0.04, 0.08])
    with pytest.raises(SourceError, match=r"000003\.png is missing"):
        next(maps)


@pytest.mark.parametrize("name", ["depth.mkv", "depth.npz", "depth"])
def test_maps_read_back_know_the_size_of_their_picture(
    make_clip: MakeClip, model_path: Path, tmp_path: Path, name: str
) -> None:
    clip, target = make_clip(frames=3, size=(72, 96)), tmp_path / name
    execute(Job(str(clip), target, str(model_path)))
    for recorded in read_depth(target):
        assert recorded.values.shape == (48, 64)
        assert (recorded.image_size, recorded.resize) == ((72, 96), "stretch")
        assert recorded.at_image_size().shape == (72, 96)
        assert recorded.larger_is == "nearer"
