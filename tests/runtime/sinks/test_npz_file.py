"""An .npz that grows: what numpy and other readers of archives find in it, at any time."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from depthrt.sinks.depth import npz_file
from depthrt.sinks.depth.npz_file import GrowingNpz


def maps(count: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(7).random((count, *shape), np.float32)


def written(path: Path, values: np.ndarray) -> GrowingNpz:
    path.touch()
    file = GrowingNpz(path, "depth", values.shape[1:])
    for each in values:
        file.append(each)
    return file


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 40)])
def test_numpy_reads_what_was_written(tmp_path: Path, count: int, shape: tuple[int, int]) -> None:
    values = maps(count, shape)
    others = {"time_s": np.arange(count) / 25, "kind": np.array("depth"), "unit": np.array("")}
    file = written(tmp_path / "a.npz", values)
    assert file.count == count
    file.end(others)
    file.close()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert sorted(found) == ["depth", "kind", "time_s", "unit"]
        np.testing.assert_array_equal(found["depth"], values)
        np.testing.assert_array_equal(found["time_s"], others["time_s"])
        assert (str(found["kind"]), str(found["unit"])) == ("depth", "")
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None  # every checksum is right
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_it_can_be_ended_again_with_fewer_or_more(tmp_path: Path) -> None:
    values = maps(9, (8, 8))
    file = written(tmp_path / "a.npz", values[:6])
    file.end({"index": np.arange(6)})
    file.drop_last()
    file.drop_last()
    file.end({"index": np.arange(4)})
    with np.load(tmp_path / "a.npz") as found:
        np.testing.assert_array_equal(found["depth"], values[:4])
    for each in values[4:]:
        file.append(each)
    file.end({"index": np.arange(9)})
    file.close()
    with np.load(tmp_path / "a.npz") as found:
        np.testing.assert_array_equal(found["depth"], values)
        np.testing.assert_array_equal(found["index"], np.arange(9))


def test_of_a_process_that_was_killed_the_numbers_can_be_found(tmp_path: Path) -> None:
    values = maps(5, (6, 7))
    written(tmp_path / "a.npz", values)  # neither ended nor closed
    content = (tmp_path / "a.npz").read_bytes()
    begin = content.index(b"\x93NUMPY")
    head = content[begin : begin + 192]
    assert b"'descr': '<f4'" in head
    assert b"(0, 6, 7)" in head
    found = np.frombuffer(content[begin + 192 :], "<f4").reshape(-1, 6, 7)
    np.testing.assert_array_equal(found, values)


def test_a_disk_that_fills_in_the_middle_of_a_map(small_disk: Callable[..., Path]) -> None:
    path = small_disk(40_960) / "a.npz"
    values = maps(4, (64, 64))  # 16 KiB each
    file = written(path, values[:2])
    with pytest.raises(OSError, match="No space left on device"):
        file.append(values[2])
    assert file.count == 2
    file.end({"index": np.arange(2)})
    file.close()
    with np.load(path) as found:
        np.testing.assert_array_equal(found["depth"], values[:2])


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_other_programs_read_it(tmp_path: Path) -> None:
    file = written(tmp_path / "a.npz", maps(3, (5, 5)))
    file.end({"index": np.arange(3)})
    file.close()
    done = subprocess.run(
        ["unzip", "-t", str(tmp_path / "a.npz")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("sizes", [(0, 0), (1, 0), (0, 9), (192, 1), (77, 100_003)])
def test_checksums_join(sizes: tuple[int, int]) -> None:
    one, other = (np.random.default_rng(n).bytes(n) for n in sizes)
    joined = npz_file._joined_crc(zlib.crc32(one), zlib.crc32(other), len(other))
    assert joined == zlib.crc32(one + other)
