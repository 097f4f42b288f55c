"""The label cache: what is kept, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

for needed in ("torch", "onnx", "safetensors"):
    pytest.importorskip(needed)


def draw_set(folder: Path, seed: int, count: int = 3) -> Path:
    """A depth-camera set of noisy slopes."""
    rng = np.random.default_rng(seed)
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        rgb = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        depth = np.repeat(np.linspace(500, 4000 + 100 * seed, 64)[:, None], 96, axis=1)
        cv2.imwrite(str(folder / "rgb" / f"{i:06d}.jpg"), rgb)
        cv2.imwrite(str(folder / "depth" / f"{i:06d}.png"), depth.astype(np.uint16))
    spec = {"depth_unit_m": 0.001, "min_depth_m": 0.1, "max_depth_m": 10.0}
    (folder / "dataset.json").write_text(json.dumps(spec))
    return folder


class Prepare:
    """`prepare.py --work WORK` in this process: exit code, what it printed, what it complained."""

    def __init__(
        self, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.work, self._monkeypatch, self._capsys = work, monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        from depthrt_training import prepare

        given = ["prepare.py", "--work", str(self.work), *arguments]
        self._monkeypatch.setattr(sys, "argv", given)
        code = 0
        try:
            prepare.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture
def prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Prepare:
    return Prepare(tmp_path / "work", monkeypatch, capsys)


def test_the_same_set_is_kept_and_said_to_be(prepared: Prepare, tmp_path: Path) -> None:
    own = f"own={draw_set(tmp_path / 'a', 1)}"
    assert prepared("--own", own) == (0, "own: 3 samples\n", "")
    before = (prepared.work / "cache" / "own.npz").read_bytes()
    assert prepared("--own", own) == (0, "own: kept from before\n", "")
    assert (prepared.work / "cache" / "own.npz").read_bytes() == before


def test_another_folder_is_refused(prepared: Prepare, tmp_path: Path) -> None:
    a, b = draw_set(tmp_path / "a", 1), draw_set(tmp_path / "b", 2)
    prepared("--own", f"own={a}")
    file = prepared.work / "cache" / "own.npz"
    before = file.read_bytes()

    code, out, err = prepared("--own", f"other={b}", "--own", f"own={b}")

    assert (code, out) == (2, "")
    what = "differs from what is asked for in folders and pictures"
    assert err == f"prepare.py: {file} {what}: name another --work or delete the file\n"
    assert file.read_bytes() == before
    assert not (prepared.work / "cache" / "other.npz").exists(), "nothing is written"
    file.unlink()
    assert prepared("--own", f"own={b}") == (0, "own: 3 samples\n", "")
    assert prepared("--own", f"own={b}") == (0, "own: kept from before\n", "")


@pytest.mark.parametrize("change", ["another frame", "another unit"])
def test_a_folder_that_has_changed_is_refused(
    prepared: Prepare, tmp_path: Path, change: str
) -> None:
    folder = draw_set(tmp_path / "a", 1)
    prepared("--own", f"own={folder}")
    if change == "another frame":
        for name in ("rgb/000000.jpg", "depth/000000.png"):
            old = folder / name
            old.with_stem("000003").write_bytes(old.read_bytes())
    else:
        spec = (folder / "dataset.json").read_text()
        (folder / "dataset.json").write_text(spec.replace("0.001", "0.002"))

    code, _, err = prepared("--own", f"own={folder}")

    assert code == 2
    assert "in pictures:" in err


@pytest.mark.parametrize("note", [None, "{", "[]"])
def test_a_cache_of_unknown_origin_is_kept(
    prepared: Prepare, tmp_path: Path, note: str | None
) -> None:
    own = f"own={draw_set(tmp_path / 'a', 1)}"
    prepared("--own", own)
    beside = prepared.work / "cache" / "own.origin.json"
    if note is None:
        beside.unlink()
    else:
        beside.write_text(note)
    assert prepared("--own", own) == (0, "own: kept from before, of unknown origin\n", "")


def test_other_label_weights_and_renders_are_other_sources(tmp_path: Path) -> None:
    from depthrt_training import prepare
    from depthrt_training.teachers.tcmonodepth import Teacher

    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    first.write_bytes(b"1")
    second.write_bytes(b"2")

    def made_from(student: Path | None, layout: bool, *rendered: str) -> dict[str, dict[str, str]]:
        labels = prepare.labels_of(student, layout)
        folders = [tmp_path / name for name in rendered]
        sources = prepare.sources_of(tmp_path, folders, Teacher(tmp_path), None, labels)
        return {name: source.provenance() for name, source in sources.items()}

    def refused(kept: dict[str, dict[str, str]], asked: dict[str, dict[str, str]]) -> set[str]:
        found = set()
        for name, origin in kept.items():
            file = tmp_path / f"{name}.npz"
            prepare.write_cache(file, iter(()), origin)
            if prepare.refusal(file, asked[name]):
                found.add(name)
        return found

    unlabelled = {"photographs", "driving", "clips"}
    one = made_from(first, False, "a")
    assert refused(one, made_from(first, False, "a")) == set()
    assert refused(one, made_from(second, False, "a")) == unlabelled
    assert refused(one, made_from(first, True, "a")) == unlabelled
    assert refused(one, made_from(None, False, "a")) == unlabelled
    assert refused(one, made_from(first, False, "a", "b")) == {
        "rendered_indoor",
        "rendered_outdoor",
    }
