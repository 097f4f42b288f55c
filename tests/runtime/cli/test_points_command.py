"""Point clouds from the command line: the right geometry, the right refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.spec import InputSpec, ModelSpec
from helpers.commands import Command
from helpers.files.ply import read_ply
from helpers.models.small_model import SIZE, build_model

MakeClip = Callable[..., Path]
GAIN = 0.02  # of the metric model: its depth is 0.01 m for each step of red


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def metric_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = ModelSpec("metric", "depth", InputSpec(*SIZE), unit="m")
    return build_model(tmp_path_factory.mktemp("metric") / "metric.onnx", spec=spec, gain=GAIN)


def wall() -> np.ndarray:
    """A picture whose red is, for the metric model, a wall that turns away to the right.

    Seen by fx = 50, cx = 31.5 it is z = 1 + 0.5 x, so that z = 1 / (1 - 0.5 (column - cx) / fx).
    """
    across = (np.arange(SIZE[1]) - 31.5) / 50
    image = np.zeros((*SIZE, 3), np.uint8)
    image[..., 0] = np.rint(100 / (1 - 0.5 * across))
    return image


def test_a_wall_is_where_it_was(command: Command, metric_path: Path) -> None:
    cv2.imwrite("in.png", wall()[..., ::-1])
    ended = command(
        "run", "in.png", "-m", metric_path, "-o", "w.ply", "--intrinsics", "50,40,31.5,20"
    )
    assert (ended.code, ended.err) == (0, "")
    cloud = read_ply(Path("w.ply"))
    assert cloud.xyz.shape == (SIZE[0] * SIZE[1], 3)
    x, y, z = cloud.xyz.T
    assert z == pytest.approx(1 + 0.5 * x, abs=0.01)  # 8-bit red: to half a step
    rows = np.repeat(np.arange(SIZE[0]), SIZE[1])
    assert y == pytest.approx((rows - 20) / 40 * z, abs=1e-4)
    np.testing.assert_array_equal(cloud.rgb, wall().reshape(-1, 3))
    assert "metres" in cloud.comments


def test_relative_depth_says_what_it_assumes(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    cv2.imwrite("in.png", wall()[..., ::-1])
    guessed = command("run", "in.png", "-m", model_path, "-o", "guess.ply")
    assert guessed.code == 0
    assert "assume a view 60 degrees wide" in guessed.complaint
    assert "no scale or shift" in guessed.complaint
    told = command(
        "run", "in.png", "-m", model_path, "-o", "told.ply",
        "--fov", 90, "--near", 2, "--far", 6,
    )  # fmt: skip
    assert (told.code, told.err) == (0, "")
    z = read_ply(Path("told.ply")).xyz[:, 2]
    assert (z.min(), z.max()) == pytest.approx((2, 6))


def test_a_clip_becomes_a_folder_of_clouds(
    command: Command, make_clip: MakeClip, model_path: Path
) -> None:
    source = make_clip()
    run = [
        "run", source, "-m", model_path, "-o", "clouds", "--format", "ply",
        "--fov", 60, "--near", 1, "--far", 5, "--stride", 10,
    ]  # fmt: skip
    ended = command(*run)
    assert (ended.code, ended.err) == (0, "")
    folder = Path("clouds") / f"{source.stem}_depth"
    about = json.loads((folder / "points.json").read_text())
    assert [frame["index"] for frame in about["frames"]] == [0, 10, 20]
    assert [frame["time_s"] for frame in about["frames"]] == [0.0, 0.4, 0.8]
    for frame in about["frames"]:
        assert len(read_ply(folder / frame["file"]).xyz) == SIZE[0] * SIZE[1]
    assert len(list(folder.iterdir())) == 4
    assert command(*run).code == 2
    assert command(*run, "--overwrite").code == 0


def test_a_full_disk_keeps_the_clouds_that_fitted(
    command: Command, make_clip: MakeClip, model_path: Path, small_disk: Callable[..., Path]
) -> None:
    disk = small_disk(500_000)  # a cloud is 46 kB
    ended = command(
        "run", make_clip(), "-m", model_path, "-o", disk, "--format", "ply",
        "--fov", 60, "--near", 1, "--far", 5,
    )  # fmt: skip
    assert ended.code == 1
    assert "No space left on device" in ended.err
    (folder,) = disk.iterdir()
    assert ".partial" in folder.name
    about = json.loads((folder / "points.json").read_text())
    assert 5 <= len(about["frames"]) <= 10
    for frame in about["frames"]:
        assert len(read_ply(folder / frame["file"]).xyz) == SIZE[0] * SIZE[1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-o", "c.ply", "--fov", 190], "--fov 190 is no angle between 0 and 180 degrees"),
        (["-o", "c.ply", "--fov", 60, "--intrinsics", "1,1,1,1"], "give one"),
        (["-o", "c.ply", "--intrinsics", "1,1,1"], "is not four numbers"),
        (["-o", "c.ply", "--near", 1], "--near and --far go together"),
        (["-o", "c.ply", "--near", 3, "--far", 2], "near < far"),
        (["-o", "c.mp4", "--fov", 60], "for point clouds"),
        (["-o", "c.ply"], "holds one cloud"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    command: Command, make_clip: MakeClip, model_path: Path, options: list[object], sentence: str
) -> None:
    ended = command("run", make_clip(), "-m", model_path, *options)
    assert sentence in ended.complaint
    assert ended.code == 2
    assert list(Path.cwd().iterdir()) == []
