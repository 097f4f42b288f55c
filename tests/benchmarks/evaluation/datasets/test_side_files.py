"""What else decides figures: lists, poses, masks, cameras, units, two files of one name."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from depthrt.errors import SourceError
from depthrt.model.depth_model import DepthModel
from depthrt_benchmarks.evaluation.datasets.base import Dataset, ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from depthrt_benchmarks.evaluation.job import Job, execute, quiet
from depthrt_benchmarks.evaluation.protocol.protocol import Choices, Protocol
from depthrt_benchmarks.evaluation.scoring import evaluate as running
from depthrt_benchmarks.evaluation.scoring import sequences
from depthrt_benchmarks.evaluation.scoring.predict import Prediction
from depthrt_benchmarks.evaluation.scoring.resume_file import resume_key
from helpers.commands import Command
from helpers.files.labelled import grey_picture, write_picture, write_png16, write_set
from helpers.models.small_model import SIZE

PROTOCOL = Protocol("disparity-lsq", "none", 0.1, 10.0, "half-pixel")
CODES = np.full(SIZE, 9000, np.uint16)
CAMERA = {"fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48}


def only(place: Path) -> Dataset:
    (found,) = open_datasets(place, None, ReadOptions())
    return found


def write_tum(folder: Path) -> Path:
    for kind in ("rgb", "depth"):
        (folder / f"{kind}.txt").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{kind}.txt").write_text(f"1.0 {kind}/1.0.png\n2.0 {kind}/2.0.png\n")
    for time in ("1.0", "2.0"):
        write_picture(folder / f"rgb/{time}.png", grey_picture(0))
        write_png16(folder / f"depth/{time}.png", CODES)
    (folder / "groundtruth.txt").write_text("1.0 0 0 0 0 0 0 1\n2.0 0 0 0 0 0 0 1\n")
    return folder


def write_gta(folder: Path) -> Path:
    write_picture(folder / "rgba/1.png", grey_picture(0))
    (folder / "depth").mkdir()
    np.save(folder / "depth/1.npy", np.full(SIZE, 0.1, np.float32))
    return folder


def write_sintel(folder: Path) -> Path:
    write_picture(folder / "training/final/alley/frame_0001.png", grey_picture(0))
    place = folder / "training/depth/alley/frame_0001.dpt"
    place.parent.mkdir(parents=True)
    head = np.float32(202021.25).tobytes() + np.array(SIZE[::-1], "<i4").tobytes()
    place.write_bytes(head + np.ones(SIZE, "<f4").tobytes())
    return folder


def write_cam(path: Path, first: float = 1.0) -> Path:
    numbers = np.concatenate([np.eye(3).ravel(), np.eye(4)[:3].ravel()])
    numbers[9] = first
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.float32(202021.25).tobytes() + numbers.tobytes())
    return path


def write_ibims(folder: Path) -> Path:
    (folder / "ibims1_core_raw").mkdir(parents=True)
    (folder / "imagelist.txt").write_text("office_02\n")
    write_picture(folder / "ibims1_core_raw/rgb/office_02.png", grey_picture(0))
    write_png16(folder / "ibims1_core_raw/depth/office_02.png", CODES)
    return folder


@pytest.mark.parametrize(
    ("write", "file"),
    [
        (lambda p: write_set(p, 2), "dataset.json"),
        (lambda p: write_set(p, 2), "poses.txt"),
        (write_tum, "groundtruth.txt"),
        (write_gta, "camera.json"),
        (write_sintel, "training/camdata_left/alley/frame_0001.cam"),
        (write_ibims, "ibims1_core_raw/mask_invalid/office_02.png"),
        (write_ibims, "ibims1_core_raw/mask_transp/office_02.png"),
    ],
)
def test_a_side_file_that_changes_is_another_measurement(
    model_path: Path, tmp_path: Path, write: object, file: str
) -> None:
    folder = write(tmp_path / "set")  # type: ignore[operator]
    model = DepthModel.load(model_path, provider="cpu", threads=1)

    def key() -> str:
        return resume_key(model, 1, only(folder), PROTOCOL, [])

    keys = [key()]
    place = folder / file
    before = place.read_bytes() if place.is_file() else None
    place.parent.mkdir(parents=True, exist_ok=True)
    if file.endswith(".cam"):
        write_cam(place)
    elif file.endswith(".png"):
        write_png16(place, CODES)
    else:
        place.write_bytes((before or b"{}" * file.endswith(".json")) + b"\n")
    keys.append(key())
    os.utime(place, ns=(1, 1))
    keys.append(key())
    assert len(set(keys)) == 3


def test_figures_of_another_unit_are_not_mixed(
    command: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_set(tmp_path / "desk", 4)
    score, calls = running.score, []

    def stopping(name: str, *rest: object) -> object:
        calls.append(name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "score", stopping)
    assert command("eval", model_path, folder).code == 130
    facts = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**facts, "depth_unit_m": 2e-4}))
    done = command("eval", model_path, folder, "--json")
    assert done.code == 0, done.err
    assert calls[3:] == [f"{n:06d}" for n in range(4)]  # none of them is taken from before


def test_poses_that_are_none_are_said_and_left_out(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 4, fps=10, intrinsics=CAMERA)
    lines = ["0 0 0 0 0 0 1", "nan nan nan nan nan nan nan", "0 0 0 0 0 0 0", "1 0 0 0 0 0 1"]
    (folder / "poses.txt").write_text("\n".join(f"{i:06d} {x}" for i, x in enumerate(lines)))
    found = only(folder)
    assert [item.pose is None for item in found.items] == [False, True, True, False]
    (warning,) = found.warnings
    assert "poses of 2 of 4 frames" in warning
    assert "first: 000001" in warning
    walk = write_tum(tmp_path / "walk")
    (walk / "groundtruth.txt").write_text("1.0 nan 0 0 0 0 0 1\n2.0 0 0 0 0 0 0 1\n")
    found = only(walk)
    assert [item.pose is None for item in found.items] == [True, False]
    assert "poses of 1 of 2 frames" in found.warnings[0]
    (walk / "groundtruth.txt").write_text("1.0 x 0 0 0 0 0 1\n")
    with pytest.raises(SourceError, match="no pose in 'x 0 0"):
        only(walk)
    film = write_sintel(tmp_path / "film")
    write_cam(film / "training/camdata_left/alley/frame_0001.cam", first=np.nan)
    found = only(film)
    assert (found.items[0].pose, found.items[0].camera is None) == (None, False)
    assert "poses of 1 of 1 frames" in found.warnings[0]


def test_frames_that_share_nothing_have_no_tae(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk", 3, fps=10, intrinsics=CAMERA)
    lines = [f"{i:06d} {500 * i} 0 0 0 0 0 1" for i in range(3)]
    (folder / "poses.txt").write_text("\n".join(lines))
    (found,) = command("eval", model_path, folder, "--json").document["evaluations"]
    assert "tae_percent" not in found["video"]


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 12, fps=10)
    for part in ("rgb", "depth"):
        for number in range(12):
            (folder / part / f"{number:06d}.png").rename(folder / part / f"f{number + 1}.png")
    assert [item.name for item in only(folder).items] == [f"f{n}" for n in range(1, 13)]


def test_tae_of_a_cut_picture_uses_the_cut_camera(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ground plane that a camera moves over agrees with itself, however the picture is cut."""
    height, width, focal, middle = 375, 1242, 725.0, (620.5, 187.0)
    rows = np.arange(height)[:, None] * np.ones((1, width))
    depth_m = np.where(rows > middle[1] + 16, 1.65 * focal / np.maximum(rows - middle[1], 1), 0)
    camera = {"fx": focal, "fy": focal, "cx": middle[0], "cy": middle[1]}
    facts = {"depth_unit_m": 1 / 256, "min_depth_m": 1e-3, "max_depth_m": 80, "fps": 10}
    for number in range(2):
        write_picture(tmp_path / f"road/rgb/{number}.png", np.zeros((height, width, 3), np.uint8))
        write_png16(tmp_path / f"road/depth/{number}.png", np.rint(depth_m * 256).astype(np.uint16))
    (tmp_path / "road/dataset.json").write_text(json.dumps({**facts, "intrinsics": camera}))
    (tmp_path / "road/poses.txt").write_text("0 0 0 0 0 0 0 1\n1 0 0 1 0 0 0 1\n")

    def perfect(model: object, image: np.ndarray, flip: bool) -> Prediction:
        seen = depth_m if image.shape[0] == height else depth_m[height - 352 :, 13 : 13 + 1216]
        values = np.where(seen > 0, 1 / np.maximum(seen, 1), 1 / 80).astype(np.float32)
        return Prediction(values, values.size, 0)

    monkeypatch.setattr(running, "predict", perfect)
    monkeypatch.setattr(sequences, "predict", perfect)
    found = {}
    for crop in ("none", "kitti-benchmark"):
        job = Job(str(model_path), [str(tmp_path / "road")], choices=Choices("none", crop))
        (evaluation,) = execute(job, quiet).evaluations
        found[crop] = evaluation.tae_percent["road"]
    assert found["none"] < 1.5  # rounding to pixels
    assert found["kitti-benchmark"] == pytest.approx(found["none"], abs=0.3)


def test_two_pictures_of_one_name_count_once(tmp_path: Path) -> None:
    write_picture(tmp_path / "pairs/rgb/a.jpg", grey_picture(0))
    write_picture(tmp_path / "pairs/rgb/a.png", grey_picture(1))
    write_png16(tmp_path / "pairs/depth/a.png", CODES)
    desk = write_set(tmp_path / "desk", 2)
    write_picture(desk / "rgb/000001.jpg", grey_picture(0))
    gta = write_gta(tmp_path / "gta")
    write_picture(gta / "rgba/1.jpg", grey_picture(0))
    for folder, names, word in (
        (tmp_path / "pairs", ["a"], "first: a.png, beside a.jpg"),
        (desk, ["000000", "000001"], "first: 000001.png, beside 000001.jpg"),
        (gta, ["1"], "first: 1.png, beside 1.jpg"),
    ):
        found = only(folder)
        assert [item.name for item in found.items] == names
        assert f"1 of {len(names) + 1} pictures has the name of another" in found.warnings[0]
        assert word in found.warnings[0]


def ibims_mat(folder: Path, name: str) -> Path:
    good = np.ones(SIZE, np.uint8)
    depth = np.random.default_rng(0).random(SIZE) + 1
    data = {"rgb": grey_picture(0), "depth": depth, "mask_invalid": good, "mask_transp": good}
    path = folder / "ibims1_core_mat" / f"{name}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"data": data}, do_compression=True)
    return path


@pytest.mark.parametrize("error", [zlib.error("bad"), IndexError("list"), KeyError(3)])
def test_whatever_a_damaged_mat_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    ibims_mat(tmp_path, "a")
    (tmp_path / "imagelist.txt").write_text("a\n")

    def failing(path: Path) -> None:
        raise error

    monkeypatch.setattr(scipy.io, "loadmat", failing)
    with pytest.raises(SourceError, match=r"a\.mat cannot be read as a MATLAB file"):
        only(tmp_path).items[0].read()


@pytest.mark.parametrize("damage", ["half", "head", "empty", "wrong"])
def test_one_damaged_mat_is_one_image_less(
    command: Command, model_path: Path, tmp_path: Path, damage: str
) -> None:
    ibims_mat(tmp_path / "ibims", "a")
    path = ibims_mat(tmp_path / "ibims", "b")
    whole = bytearray(path.read_bytes())
    whole[400:420] = b"\xff" * 20
    broken = {"half": whole[: len(whole) // 2], "head": whole[:60], "empty": b"", "wrong": whole}
    path.write_bytes(bytes(broken[damage]))
    (tmp_path / "ibims/imagelist.txt").write_text("a\nb\n")
    done = command("eval", model_path, tmp_path / "ibims", "--json")
    assert done.code == 0, done.err
    (found,) = done.document["evaluations"]
    assert (found["images"], found["skipped"]) == (1, 1)
    assert "1 of 2 images could not be used" in done.complaint


def test_one_damaged_image_of_nyus_mat(tmp_path: Path) -> None:
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    depths = np.random.default_rng(0).random((2, 64, 48)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((2, 3, 64, 48), np.uint8)
        chunks = file.create_dataset("depths", data=depths, chunks=(1, 64, 48), compression="gzip")
        offset = chunks.id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 5 : offset + 60] = bytes(55)
    path.write_bytes(content)
    first, second = only(tmp_path).items
    assert first.read().depth_m.shape == (48, 64)
    with pytest.raises(SourceError, match="cannot be read at image 2"):
        second.read()
    scipy.io.savemat(tmp_path / "splits.mat", {"other": np.array([1])})
    with pytest.raises(SourceError, match="no testNdxs"):
        only(tmp_path)


def test_exr_says_what_was_tried(tmp_path: Path) -> None:
    write_picture(tmp_path / "rgb/a.png", grey_picture(0))
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth/a.exr").write_bytes(b"\x76\x2f\x31\x01" + bytes(60))
    with pytest.raises(SourceError, match=r"is EXR, which OpenCV .*OPENCV_IO_ENABLE_OPENEXR=1"):
        only(tmp_path).items[0].read()
