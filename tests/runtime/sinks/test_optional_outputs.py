"""What a model gives beside depth, in every output of `depthrt run` and read back from it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt import DepthModel, SourceError, read_depth, stream
from depthrt.sinks.depth import side_array
from depthrt.spec import InputSpec, ModelSpec
from helpers.commands import Command
from helpers.files.ply import read_ply
from helpers.models.full_model import BRIGHT, FOV_DEG, NORMAL, build_full_model
from helpers.models.small_model import SIZE, build_model, expected_depth

MakeClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def full_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_full_model(tmp_path_factory.mktemp("full") / "full.onnx")


@pytest.fixture(scope="module")
def metric_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = ModelSpec("metric", "depth", InputSpec(*SIZE), unit="m")
    path = tmp_path_factory.mktemp("metric") / "metric.onnx"
    return build_full_model(path, spec=spec, gain=0.02)


def half_sky() -> np.ndarray:
    """A picture whose upper half is sky: all red, and blue from BRIGHT on."""
    image = np.full((*SIZE, 3), 100, np.uint8)
    image[: SIZE[0] // 2, :, 2] = 255
    cv2.imwrite("in.png", image[..., ::-1])
    return image


def test_an_npz_holds_all_of_it_and_is_read_back(
    command: Command, make_clip: MakeClip, full_path: Path
) -> None:
    clip = make_clip()
    ended = command("run", clip, "-m", full_path, "-o", "all.npz", "--batch", 4)
    assert (ended.code, ended.err) == (0, "")
    model = DepthModel.load(full_path, provider="cpu")
    with stream(str(clip), model) as results:
        expected = [result.depth for result in results]
    with np.load("all.npz") as found:
        for name in ("confidence", "valid", "normals", "fov_deg"):
            np.testing.assert_array_equal(found[name], [getattr(d, name) for d in expected])
        assert found["valid"].dtype == np.bool_
        assert found["confidence"].dtype == found["normals"].dtype == np.float32
        assert found["normals"].shape == (25, 3, *SIZE)
        assert 0.02 < found["valid"].mean() < 0.98
    for depth, one in zip(read_depth("all.npz"), expected, strict=True):
        np.testing.assert_array_equal(depth.values, one.values)
        np.testing.assert_array_equal(depth.confidence, one.confidence)
        np.testing.assert_array_equal(depth.valid, one.valid)
        np.testing.assert_array_equal(depth.normals, one.normals)
        assert depth.fov_deg == FOV_DEG


def test_an_npz_at_the_size_of_the_picture(command: Command, full_path: Path) -> None:
    cv2.imwrite("in.png", np.full((96, 128, 3), 51, np.uint8))
    assert command("run", "in.png", "-m", full_path, "-o", "a.npz", "--size", "source").code == 0
    (depth,) = read_depth("a.npz")
    assert depth.values.shape == (96, 128)
    assert depth.confidence == pytest.approx(np.full((96, 128), 0.2))
    assert depth.valid is not None
    assert depth.valid.all()


def test_large_maps_are_moved_in_pieces(
    command: Command, make_clip: MakeClip, full_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_array, "_PIECE_BYTES", 10_000)  # less than one map
    assert command("run", make_clip(), "-m", full_path, "-o", "all.npz").code == 0
    depths = list(read_depth("all.npz"))
    assert len(depths) == 25
    np.testing.assert_array_equal(depths[-1].normals[0], np.full(SIZE, NORMAL[0], np.float32))


def test_a_full_disk_keeps_whole_frames(
    command: Command, make_clip: MakeClip, full_path: Path, small_disk: Callable[..., Path]
) -> None:
    disk = small_disk(1_000_000)  # a frame is 64 kB: 12 kB each of depth, confidence, 3, 36
    clip = make_clip(frames=50)
    ended = command("run", clip, "-m", full_path, "-o", disk / "all.npz")
    assert ended.code == 1
    assert "No space left on device" in ended.err
    assert list(disk.iterdir()) == [ended.kept]
    depths = list(read_depth(ended.kept))
    assert 5 <= len(depths) <= 15
    for depth in depths:
        assert depth.fov_deg == FOV_DEG
        assert depth.normals[2] == pytest.approx(np.full(SIZE, NORMAL[2]))


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("valid", np.ones((1, *SIZE), np.float32), "its valid is float32 of shape (1, 48, 64)"),
        ("confidence", np.ones((2, *SIZE), np.float32), "its confidence is float32 of shape (2,"),
        ("normals", np.ones((1, *SIZE), np.float32), "its normals is float32 of shape (1, 48"),
        ("fov_deg", np.ones((1, 1)), "its fov_deg is float64 of shape (1, 1)"),
    ],
)
def test_an_npz_that_contradicts_itself_is_refused(name: str, array: np.ndarray, says: str) -> None:
    arrays = {"depth": np.ones((1, *SIZE), np.float32), "time_s": np.zeros(1)}
    np.savez("bad.npz", **arrays, kind="depth", unit="", **{name: array})
    with pytest.raises(SourceError) as caught:
        next(read_depth("bad.npz"))
    assert says in str(caught.value)


def test_json_lines_have_a_number_of_each(command: Command, full_path: Path) -> None:
    image = half_sky()
    ended = command("run", "in.png", "-m", full_path, "--jsonl", "-")
    line = json.loads(ended.out)
    assert line["fov_deg"] == FOV_DEG
    assert line["valid_share"] == 0.5
    assert line["mean_confidence"] == pytest.approx(100 / 255, rel=1e-5)
    below = expected_depth(image[-1:].transpose(2, 0, 1)[None])
    assert line["depth"]["min"] == line["depth"]["max"] == pytest.approx(float(below[0, 0, 0]))


def test_json_lines_of_a_picture_without_a_valid_pixel(command: Command, full_path: Path) -> None:
    cv2.imwrite("sky.png", np.full((*SIZE, 3), 255, np.uint8))
    line = json.loads(command("run", "sky.png", "-m", full_path, "--jsonl", "-").out)
    assert line["depth"] == {"min": None, "p5": None, "p50": None, "p95": None, "max": None}
    assert (line["valid_share"], line["mean_confidence"]) == (0.0, None)


def test_json_lines_of_other_models_stay_as_they_are(command: Command, tmp_path: Path) -> None:
    half_sky()
    model = build_model(tmp_path / "plain.onnx")
    line = json.loads(command("run", "in.png", "-m", model, "--jsonl", "-").out)
    assert not {"fov_deg", "valid_share", "mean_confidence"} & set(line)


def test_points_take_the_networks_view_and_leave_out_what_is_not_valid(
    command: Command, metric_path: Path
) -> None:
    half_sky()
    ended = command("run", "in.png", "-m", metric_path, "-o", "own.ply")
    assert ended.code == 0
    assert "take the network's own angle of view, 73.5 degrees" in ended.complaint
    cloud = read_ply(Path("own.ply"))
    assert len(cloud.xyz) == SIZE[0] * SIZE[1] // 2
    across = np.rad2deg(2 * np.arctan(cloud.xyz[:, 0].max() / cloud.xyz[0, 2] * 64 / 63))
    assert across == pytest.approx(FOV_DEG, abs=0.01)
    assert cloud.normals == pytest.approx(np.tile(NORMAL, (len(cloud.xyz), 1)))
    assert "left out as not valid: 1536 pixels" in cloud.comments
    assert "angle of view 73.50 degrees, as the network says" in cloud.comments


def test_points_take_the_view_that_is_given(command: Command, metric_path: Path) -> None:
    half_sky()
    ended = command("run", "in.png", "-m", metric_path, "-o", "given.ply", "--fov", 90)
    assert (ended.code, ended.err) == (0, "")
    cloud = read_ply(Path("given.ply"))
    assert cloud.xyz[:, 0].max() / cloud.xyz[0, 2] == pytest.approx(63 / 64)
    assert not [line for line in cloud.comments if "network says" in line]


@pytest.mark.parametrize("target", ["depth.mkv", "depth"])
def test_16_bit_depth_is_invalid_where_the_model_says_so(
    command: Command, full_path: Path, target: str
) -> None:
    image = half_sky()
    assert command("run", "in.png", "-m", full_path, "-o", target).code == 0
    (depth,) = read_depth(target)
    np.testing.assert_array_equal(np.isnan(depth.values), image[..., 2] >= BRIGHT)


def test_raw_floats_are_nan_where_depth_is_not_valid(full_path: Path) -> None:
    image = half_sky()
    code = "from depthrt.cli import main; main()"
    run = ["run", "in.png", "-m", str(full_path), "-o", "-", "--format", "grayf32le"]
    done = subprocess.run([sys.executable, "-c", code, *run], capture_output=True, check=True)
    values = np.frombuffer(done.stdout, "<f4").reshape(SIZE)
    np.testing.assert_array_equal(np.isnan(values), image[..., 2] >= BRIGHT)


def test_what_is_not_valid_is_grey(command: Command, full_path: Path) -> None:
    half_sky()
    assert command("run", "in.png", "-m", full_path, "-o", "seen.png").code == 0
    seen = cv2.imread("seen.png")
    assert np.abs(seen[:20].astype(int) - 128).max() <= 4
    assert np.abs(seen[-20:].astype(int) - 128).max() > 60
