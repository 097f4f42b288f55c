"""A file's suffix means the same in upper case, in every layout and form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.errors import SourceError
from depthrt_benchmarks.evaluation.datasets.base import Dataset, ReadOptions
from depthrt_benchmarks.evaluation.datasets.formats.files import read_values
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from depthrt_benchmarks.evaluation.scoring.clip import is_clip
from helpers.files.labelled import write_picture, write_png16, write_set

SIZE = (6, 8)
PICTURE = np.random.default_rng(3).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
CODES = np.random.default_rng(4).integers(500, 5000, SIZE).astype(np.uint16)
METRES = (CODES / 1000).astype(np.float32)


def pfm(path: Path) -> None:
    content = METRES[::-1].astype("<f4").tobytes()
    path.write_bytes(f"Pf\n{SIZE[1]} {SIZE[0]}\n-1.0\n".encode() + content)


def encoded(path: Path, suffix: str) -> None:
    path.write_bytes(cv2.imencode(suffix, METRES if suffix == ".tiff" else CODES)[1].tobytes())


def save_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, METRES)


def save_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, depth=METRES, other=CODES)


FORMS: dict[str, Callable[[Path], None]] = {
    "png": lambda path: encoded(path, ".png"),
    "tiff": lambda path: encoded(path, ".tiff"),
    "tif": lambda path: encoded(path, ".tiff"),
    "npy": save_npy,
    "npz": save_npz,
    "pfm": pfm,
}


def upper(folder: Path) -> Path:
    """The folder with the suffix of every file but text in upper case."""
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        if path.suffix not in (".json", ".txt"):
            path.rename(path.with_suffix(path.suffix.upper()))
    return folder


def only(place: Path) -> Dataset:
    (found,) = open_datasets(place, None, ReadOptions())
    return found


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_depth(tmp_path: Path, form: str) -> None:
    write_picture(tmp_path / "rgb/1.png", PICTURE)
    (tmp_path / "depth").mkdir()
    FORMS[form](tmp_path / f"depth/1.{form}")
    found = only(upper(tmp_path))
    assert (tmp_path / f"depth/1.{form.upper()}").is_file()
    pair = found.items[0].read()
    np.testing.assert_array_equal(pair.image, PICTURE)
    np.testing.assert_allclose(pair.depth_m, METRES, rtol=1e-6)
    assert (found.warnings, found.left_out) == ((), 0)


def nyu(folder: Path) -> None:
    write_picture(folder / "a/rgb_0001.png", PICTURE)
    write_png16(folder / "a/depth_0001.png", CODES)


def kitti(folder: Path) -> None:
    write_picture(folder / "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/1.png", PICTURE)
    depth = "val/2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/1.png"
    write_png16(folder / depth, CODES)


def diode(folder: Path) -> None:
    write_picture(folder / "scan/1.png", PICTURE)
    np.save(folder / "scan/1_depth.npy", METRES)
    np.save(folder / "scan/1_depth_mask.npy", np.ones(SIZE, np.float32))


def sintel(folder: Path) -> None:
    write_picture(folder / "training/final/alley/frame_0001.png", PICTURE)
    place = folder / "training/depth/alley/frame_0001.dpt"
    place.parent.mkdir(parents=True)
    head = np.float32(202021.25).tobytes() + np.array(SIZE[::-1], "<i4").tobytes()
    place.write_bytes(head + METRES.tobytes())


def ibims(folder: Path) -> None:
    (folder / "ibims1_core_raw").mkdir(parents=True)
    (folder / "imagelist.txt").write_text("office\n")
    write_picture(folder / "ibims1_core_raw/rgb/office.png", PICTURE)
    write_png16(folder / "ibims1_core_raw/depth/office.png", CODES)
    for mask in ("mask_invalid", "mask_transp"):
        write_png16(folder / f"ibims1_core_raw/{mask}/office.png", (CODES > 2000).astype(np.uint16))


def gta(folder: Path) -> None:
    write_picture(folder / "rgba/1.png", PICTURE)
    (folder / "depth").mkdir()
    np.save(folder / "depth/1.npy", METRES / 10)


def one_folder(folder: Path) -> None:
    write_picture(folder / "1.jpg", PICTURE)
    write_png16(folder / "1_depth.png", CODES)


@pytest.mark.parametrize(
    "write",
    [lambda p: write_set(p, 1), nyu, kitti, diode, sintel, ibims, gta, one_folder],
    ids=["dataset.json", "nyu", "kitti", "diode", "sintel", "ibims", "gta", "one folder"],
)
def test_every_layout(tmp_path: Path, write: Callable[[Path], object]) -> None:
    for name in ("lower", "upper"):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    first, second = only(tmp_path / "lower"), only(upper(tmp_path / "upper"))
    assert (second.layout, len(second.items)) == (first.layout, len(first.items))
    assert (second.warnings, second.left_out) == (first.warnings, first.left_out)
    one, other = first.items[0].read(), second.items[0].read()
    np.testing.assert_array_equal(other.depth_m, one.depth_m)
    np.testing.assert_array_equal(other.image, one.image)


def test_exr_says_what_it_is_in_upper_case_too(tmp_path: Path) -> None:
    (tmp_path / "1.EXR").write_bytes(b"v/1\x01 no more")
    with pytest.raises(SourceError, match=r"1\.EXR is EXR, which OpenCV"):
        read_values(tmp_path / "1.EXR")


def test_matlab_in_upper_case_is_no_clip(tmp_path: Path) -> None:
    for name in ("nyu.mat", "NYU.MAT"):
        (tmp_path / name).write_bytes(b"MATLAB")
        assert not is_clip(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "write", "why"),
    [
        (
            "two.npz",
            lambda p: np.savez(p, near=METRES, far=METRES),
            "holds near, far: name the one",
        ),
        ("mask.npy", lambda p: np.save(p, METRES > 2), "holds bool, but depth is whole or real"),
        ("text.npy", lambda p: np.save(p, METRES.astype("<U8")), "depth is whole or real numbers"),
        ("many.tiff", lambda p: cv2.imwritemulti(str(p), [CODES, CODES]), "has 2 pages, but depth"),
    ],
)
def test_files_that_leave_it_open_what_depth_is(
    tmp_path: Path, name: str, write: Callable[[Path], object], why: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(SourceError, match=why):
        read_values(tmp_path / name)
