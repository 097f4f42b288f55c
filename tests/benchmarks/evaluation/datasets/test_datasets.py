"""Every layout as its authors ship it, in small, written by the test and read to the bit."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError
from depthrt_benchmarks.evaluation.datasets.base import Dataset, ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from helpers.files.labelled import write_picture, write_png16, write_set

RANDOM = np.random.default_rng(6)
SIZE = (6, 8)


def picture(size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return RANDOM.integers(0, 256, (*size, 3)).astype(np.uint8)


def codes(size: tuple[int, int] = SIZE) -> NDArray[np.uint16]:
    values = RANDOM.integers(1, 65535, size).astype(np.uint16)
    values[0, 0] = 0  # unknown in every PNG layout
    return values


def only(place: Path, layout: str, **options: float) -> Dataset:
    (found,) = open_datasets(place, None, ReadOptions(**options))
    assert found.layout == layout
    return found


def expect(
    dataset: Dataset, name: str, image: NDArray[np.uint8], depth_m: NDArray[np.floating]
) -> None:
    item = next(item for item in dataset.items if item.name == name)
    pair = item.read()
    np.testing.assert_array_equal(pair.image, image)
    np.testing.assert_array_equal(pair.depth_m, depth_m.astype(np.float32))
    assert pair.depth_m.dtype == np.float32


def test_the_projects_own(tmp_path: Path) -> None:
    camera = {"fx": 500.0, "fy": 501.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48}
    folder = write_set(tmp_path / "desk", 3, intrinsics=camera, fps=10, invalid=[0, 7])
    (folder / "poses.txt").write_text("# frame tx ty tz qx qy qz qw\n000001 1 2 3 0 0 0 1\n")
    raw = codes((48, 64))
    raw[3, 4] = 7
    write_png16(folder / "depth/000001.png", raw)
    found = only(folder, "dataset-json")
    assert (found.name, len(found.items), found.is_sequence) == ("desk", 3, True)
    assert (found.customs.min_depth_m, found.customs.max_depth_m) == (0.1, 6.0)
    assert found.customs.resize == "half-pixel"
    depth_m = np.where(raw == 7, 0, raw).astype(np.float32) * np.float32(1e-4)
    np.testing.assert_array_equal(found.items[1].read().depth_m, depth_m)
    pose, seen = found.items[1].pose, found.items[1].camera
    assert pose is not None
    assert pose[:3, 3].tolist() == [1, 2, 3]
    assert seen is not None
    assert (seen.fx, seen.cy) == (500.0, 23.5)
    assert found.items[0].pose is None


def test_nyu_labelled_mat_and_its_test_split(tmp_path: Path) -> None:
    images = [picture((480, 640)) for _ in range(3)]
    depths = [RANDOM.random((480, 640)).astype(np.float32) * 9 + 0.5 for _ in range(3)]
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as file:  # MATLAB's column order, seen from HDF5: turned round
        file["images"] = np.stack([image.transpose(2, 1, 0) for image in images])
        file["depths"] = np.stack([depth.T for depth in depths])
    found = only(path, "nyu")
    assert [item.name for item in found.items] == ["0001", "0002", "0003"]
    assert "all 3 images are used" in found.warnings[0]
    scipy.io.savemat(tmp_path / "splits.mat", {"testNdxs": np.array([[3], [1]])})
    found = only(tmp_path, "nyu")
    assert ([item.name for item in found.items], found.warnings) == (["0003", "0001"], ())
    expect(found, "0003", images[2], depths[2])
    assert (found.customs.crop, found.customs.max_depth_m) == ("nyu-eigen", 10.0)


@pytest.mark.parametrize(
    ("rgb", "depth"),
    [
        ("test/bathroom_0001/rgb_0046.png", "test/bathroom_0001/depth_0046.png"),
        ("bathroom/rgb_00045.png", "bathroom/sync_depth_00045.png"),
        ("nyu2_test/00000_colors.png", "nyu2_test/00000_depth.png"),
    ],
)
def test_nyu_as_png(tmp_path: Path, rgb: str, depth: str) -> None:
    image, raw = picture(), codes()
    write_picture(tmp_path / rgb, image)
    write_png16(tmp_path / depth, raw)
    found = only(tmp_path, "nyu")
    expect(found, rgb.removesuffix(".png"), image, raw.astype(np.float32) * np.float32(0.001))


DATE, DRIVE = "2011_09_26", "2011_09_26_drive_0002_sync"


def test_kitti_eigen(tmp_path: Path) -> None:
    raw = codes()
    images = {}
    for number in ("0000000005", "0000000069"):
        images[number] = picture()
        write_picture(tmp_path / f"raw/{DATE}/{DRIVE}/image_02/data/{number}.png", images[number])
        write_png16(tmp_path / f"val/{DRIVE}/proj_depth/groundtruth/image_02/{number}.png", raw)
    found = only(tmp_path, "kitti")
    assert (found.name, len(found.items)) == ("KITTI", 2)
    lines = [
        f"{DATE}/{DRIVE}/image_02/data/0000000069.png "
        f"{DRIVE}/proj_depth/groundtruth/image_02/0000000069.png 721.5377",
        f"{DATE}/{DRIVE}/image_02/data/0000000054.png None 721.5377",
        f"{DATE}/{DRIVE}/image_02/data/0000000077.png {DRIVE}/proj_depth/groundtruth/image_02/"
        "0000000077.png 721.5377",
    ]
    (tmp_path / "kitti_eigen_test_files_with_gt.txt").write_text("\n".join(lines) + "\n")
    found = only(tmp_path, "kitti")
    assert (found.name, found.customs.crop, found.customs.max_depth_m) == (
        "KITTI Eigen", "garg", 80.0,
    )  # fmt: skip
    assert f"(first: {DRIVE}/image_02/0000000077)" in found.warnings[0]
    assert "1 lines of the list have no ground truth" in found.warnings[1]
    name = f"{DRIVE}/image_02/0000000069"
    expect(found, name, images["0000000069"], raw.astype(np.float32) / 256)
    (tmp_path / "kitti_eigen_test_files_with_gt.txt").unlink()
    (tmp_path / "test_files.txt").write_text(f"{DATE}/{DRIVE} 5 l\n{DATE}/{DRIVE} 0000000069 r\n")
    found = only(tmp_path, "kitti")
    assert [item.name for item in found.items] == [f"{DRIVE}/image_02/0000000005"]
    assert "1 of 2 pictures has no picture or depth map here" in found.warnings[0]


def test_kitti_depth_benchmark(tmp_path: Path) -> None:
    image, raw = picture(), codes()
    folder = tmp_path / "depth_selection" / "val_selection_cropped"
    stem = "2011_09_26_drive_0002_sync_{}_0000000005_image_02"
    write_picture(folder / "image" / f"{stem.format('image')}.png", image)
    write_png16(folder / "groundtruth_depth" / f"{stem.format('groundtruth_depth')}.png", raw)
    found = only(tmp_path, "kitti")
    assert (found.name, found.customs.crop) == ("KITTI depth benchmark", "none")
    expect(found, stem.format("image"), image, raw.astype(np.float32) / 256)


def test_tum_is_associated_by_time(tmp_path: Path) -> None:
    folder = tmp_path / "rgbd_dataset_freiburg2_desk"
    images = {t: picture() for t in ("1.000000", "1.033000", "1.066000", "1.100000")}
    raw = {t: codes() for t in ("1.012000", "1.030000", "1.085000")}
    for time, image in images.items():
        write_picture(folder / f"rgb/{time}.png", image)
    for time, values in raw.items():
        write_png16(folder / f"depth/{time}.png", values)
    for name, times in (("rgb", images), ("depth", raw)):
        lines = ["# timestamp filename", *(f"{t} {name}/{t}.png" for t in times)]
        (folder / f"{name}.txt").write_text("\n".join(lines))
    (folder / "groundtruth.txt").write_text("1.034 1 2 3 0 0 0 1\n1.3 0 0 0 0 0 0 1\n")
    found = only(folder, "tum")
    # 1.033-1.030 is nearest; 1.000 takes 1.012; 1.100 is nearer to 1.085 than 1.066 is.
    assert [item.name for item in found.items] == ["1.000000", "1.033000", "1.100000"]
    assert "1 of 4 pictures has no depth within 0.02 s" in found.warnings[0]
    depth_m = raw["1.030000"].astype(np.float32) * np.float32(1 / 5000)
    expect(found, "1.033000", images["1.033000"], depth_m)
    assert found.items[1].camera is not None
    assert found.items[1].camera.fx == 520.9
    assert [item.pose is None for item in found.items] == [True, False, True]


def test_eth3d_depth_is_raw_in_spite_of_its_name(tmp_path: Path) -> None:
    image = picture()
    depth = (RANDOM.random(SIZE) * 30).astype(np.float32)
    depth[2, 3] = np.inf
    write_picture(tmp_path / "office/images/dslr_images/DSC_0219.JPG", image)
    place = tmp_path / "office/ground_truth_depth/dslr_images/DSC_0219.JPG"
    place.parent.mkdir(parents=True)
    depth.astype("<f4").tofile(place)
    found = only(tmp_path, "eth3d")
    pair = found.items[0].read()
    np.testing.assert_array_equal(pair.depth_m, np.where(np.isinf(depth), 0, depth))
    assert (found.items[0].name, pair.image.shape) == ("office/DSC_0219", (*SIZE, 3))
    place.write_bytes(place.read_bytes()[:-4])
    with pytest.raises(SourceError, match="47 values, but its picture has 6x8 pixels"):
        found.items[0].read()


def test_sintel(tmp_path: Path) -> None:
    image = picture()
    depth = (RANDOM.random(SIZE) * 60 + 1).astype(np.float32)
    for render in ("clean", "final"):
        write_picture(tmp_path / f"training/{render}/alley_1/frame_0001.png", image // 2)
    write_picture(tmp_path / "training/final/alley_1/frame_0001.png", image)
    place = tmp_path / "training/depth/alley_1/frame_0001.dpt"
    place.parent.mkdir(parents=True)
    head = np.float32(202021.25).tobytes() + np.array([8, 6], "<i4").tobytes()
    place.write_bytes(head + depth.tobytes())
    matrix = np.array([[900.0, 0, 4], [0, 901, 3], [0, 0, 1]])
    world_to_camera = np.hstack([np.eye(3), [[1.0], [2], [3]]])
    camera = tmp_path / "training/camdata_left/alley_1/frame_0001.cam"
    camera.parent.mkdir(parents=True)
    numbers = np.concatenate([matrix.ravel(), world_to_camera.ravel()])
    camera.write_bytes(np.float32(202021.25).tobytes() + numbers.tobytes())
    found = only(tmp_path, "sintel")
    assert (found.name, found.is_sequence) == ("Sintel final", True)
    expect(found, "alley_1/frame_0001", image, depth)
    item = found.items[0]
    assert item.camera is not None
    assert (item.camera.fy, item.camera.cx) == (901.0, 4.0)
    assert item.pose is not None
    assert item.pose[:3, 3].tolist() == [-1, -2, -3]  # camera to world
    place.write_bytes(head + depth.tobytes()[:-4])
    with pytest.raises(SourceError, match="cut off"):
        item.read()


def test_diode(tmp_path: Path) -> None:
    image = picture()
    depth = (RANDOM.random((*SIZE, 1)) * 30 + 0.6).astype(np.float32)
    mask = RANDOM.integers(0, 2, SIZE).astype(np.float32)
    stem = tmp_path / "val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010"
    write_picture(stem.with_suffix(".png"), image)
    np.save(f"{stem}_depth.npy", depth)
    np.save(f"{stem}_depth_mask.npy", mask)
    found = only(tmp_path / "val/indoors", "diode")
    assert (found.name, found.customs.min_depth_m) == ("DIODE indoors", 0.6)
    name = "scene_00019/scan_00183/00019_00183_indoors_000_010"
    expect(found, name, image, depth[..., 0] * mask)


def test_ibims_mat_and_raw(tmp_path: Path) -> None:
    image = picture()
    depth = RANDOM.random(SIZE) * 40 + 0.5
    invalid, transparent = np.ones(SIZE, np.uint8), np.ones(SIZE, np.uint8)
    invalid[0, 1] = transparent[2, 2] = 0
    data = {"rgb": image, "depth": depth, "mask_invalid": invalid, "mask_transp": transparent}
    (tmp_path / "ibims1_core_mat").mkdir()
    scipy.io.savemat(tmp_path / "ibims1_core_mat/corridor_01.mat", {"data": data})
    (tmp_path / "imagelist.txt").write_text("corridor_01\noffice_02\noffice_03\n")
    raw = codes()
    write_picture(tmp_path / "ibims1_core_raw/rgb/office_02.png", image)
    write_png16(tmp_path / "ibims1_core_raw/depth/office_02.png", raw)
    found = only(tmp_path, "ibims")
    expect(found, "corridor_01", image, depth * invalid * transparent)
    expect(found, "office_02", image, raw.astype(np.float32) * np.float32(50 / 65535))
    assert "1 of 3 pictures has no .mat and took no part (first: office_03)" in found.warnings[0]


def test_plain_pairs(tmp_path: Path) -> None:
    image, raw = picture(), codes()
    metres = (RANDOM.random(SIZE) * 5 + 1).astype(np.float32)
    metres[1, 1] = np.nan
    write_picture(tmp_path / "a/rgb/x/1.png", image)
    write_png16(tmp_path / "a/depth/x/1.png", raw)
    write_picture(tmp_path / "a/rgb/x/2.png", image)
    np.save(tmp_path / "a/depth/x/2.npy", metres)
    write_picture(tmp_path / "a/rgb/x/3.png", image)
    found = only(tmp_path / "a", "pairs")
    expect(found, "x/1", image, raw.astype(np.float32) * np.float32(0.001))
    expect(found, "x/2", image, np.nan_to_num(metres))
    assert "(first: rgb/x/3.png)" in found.warnings[0]
    scaled = only(tmp_path / "a", "pairs", depth_scale=0.25)
    expect(scaled, "x/1", image, raw.astype(np.float32) * np.float32(0.25))
    write_picture(tmp_path / "b/1.png", image)
    write_png16(tmp_path / "b/1_depth.png", raw)
    expect(only(tmp_path / "b", "pairs"), "1", image, raw.astype(np.float32) * np.float32(0.001))


def test_pfm_from_the_bottom_up(tmp_path: Path) -> None:
    image, metres = picture(), (RANDOM.random(SIZE) + 1).astype(np.float32)
    write_picture(tmp_path / "1.png", image)
    (tmp_path / "1.pfm").write_bytes(b"Pf\n8 6\n-1.0\n" + metres[::-1].tobytes())
    expect(only(tmp_path, "pairs"), "1", image, metres)


def test_a_folder_of_sets_and_layouts_that_are_not_there(tmp_path: Path) -> None:
    write_set(tmp_path / "two", 1)
    write_set(tmp_path / "one", 1)
    (tmp_path / "notes").mkdir()
    names = [found.name for found in open_datasets(tmp_path, None, ReadOptions())]
    assert names == ["one", "two"]
    picture_of = tmp_path / "sets/kitti/raw" / DATE / DRIVE / "image_02/data/0000000005.png"
    write_picture(picture_of, picture())
    truth_of = tmp_path / "sets/kitti/val" / DRIVE / "proj_depth/groundtruth/image_02"
    write_png16(truth_of / "0000000005.png", codes())
    write_set(tmp_path / "sets/desk", 1)
    mixed = open_datasets(tmp_path / "sets", None, ReadOptions())
    assert [found.layout for found in mixed] == ["dataset-json", "kitti"]
    (tmp_path / "sets/desk/dataset.json").unlink()
    with pytest.raises(SourceError, match="none of the known layouts"):
        open_datasets(tmp_path / "notes", None, ReadOptions())
    with pytest.raises(SourceError, match="there is no dataset at"):
        open_datasets(tmp_path / "nothing", None, ReadOptions())
    with pytest.raises(UsageError, match="--layout nyu2 is not known"):
        open_datasets(tmp_path, "nyu2", ReadOptions())
    for layout in ("dataset-json", "tum", "ibims", "sintel", "diode", "kitti", "eth3d", "nyu",
                   "gta", "pairs"):  # fmt: skip
        with pytest.raises(SourceError):
            open_datasets(tmp_path / "notes", layout, ReadOptions())


def test_coloured_depth_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "rgb/1.png", picture())
    write_picture(tmp_path / "depth/1.png", picture())
    with pytest.raises(SourceError, match="is it a coloured picture of depth"):
        only(tmp_path, "pairs").items[0].read()
