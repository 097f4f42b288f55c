"""CPU quotas of containers and services, in the format of the kernel's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from depthrt.system import cpu_cores
from depthrt.system.cpu_cores import quota_cores, usable_cores

V1 = {"cpu.cfs_quota_us": "250000\n", "cpu.cfs_period_us": "100000\n"}
NO_V1 = {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}


def lay_out(root: Path, memberships: str, groups: dict[str, dict[str, str]]) -> Path:
    """Files as Linux shows them below /proc and /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(memberships)
    for group, files in groups.items():
        folder = root / "sys/fs/cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("100000 100000\n", 1),
        ("5000 100000\n", 1),
        ("max 100000\n", None),
        ("", None),
        ("many 100000\n", None),
        ("100000 0\n", None),
        ("100000\n", None),
    ],
)
def test_version_2_inside_a_container(tmp_path: Path, limit: str, cores: int | None) -> None:
    root = lay_out(tmp_path, "0::/\n", {"": {"cpu.max": limit}})
    assert quota_cores(root) == cores


def test_version_2_on_the_host_has_the_least_of_all_groups_above(tmp_path: Path) -> None:
    groups = {
        "": {"cgroup.controllers": "cpu memory\n"},
        "system.slice": {"cpu.max": "300000 100000\n"},
        "system.slice/depth.service": {"cpu.max": "400000 50000\n"},
        "user.slice": {"cpu.max": "100000 100000\n"},
    }
    root = lay_out(tmp_path, "0::/system.slice/depth.service\n", groups)
    assert quota_cores(root) == 3


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize(("files", "cores"), [(V1, 3), (NO_V1, None)])
def test_version_1(tmp_path: Path, folder: str, files: dict[str, str], cores: int | None) -> None:
    memberships = (
        "12:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab\n0::/\n"
    )
    root = lay_out(tmp_path, memberships, {f"{folder}/docker/ab": files, folder: NO_V1})
    assert quota_cores(root) == cores


def test_version_1_inside_a_container_that_sees_the_path_on_the_host(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "4:cpuacct,cpu:/docker/ab\n", {"cpuacct,cpu": V1})
    assert quota_cores(root) == 3


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    groups = {"cpu/a": V1, "unified/a": {"cpu.max": "100000 100000\n"}}
    root = lay_out(tmp_path, "3:cpu:/a\n0::/a\n", groups)
    assert quota_cores(root) == 1


@pytest.mark.parametrize("memberships", ["", "rubbish\n", "0::\n"])
def test_files_that_say_nothing(tmp_path: Path, memberships: str) -> None:
    assert quota_cores(lay_out(tmp_path, memberships, {"": {}})) is None
    assert quota_cores(tmp_path / "nowhere") is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 32), (2, 2), (64, 32)])
def test_the_fewer_of_mask_and_quota_are_usable(
    monkeypatch: pytest.MonkeyPatch, quota: int | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(32)), raising=False)
    monkeypatch.setattr(cpu_cores, "quota_cores", lambda: quota)
    assert usable_cores() == cores
