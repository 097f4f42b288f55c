"""Which sources there are, and how their outputs are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthrt.errors import SourceError, UsageError
from depthrt_archives.plan.items import batch_items, check_sources


def touch(*paths: Path) -> None:
    """Make empty files."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_stands_for_all_below_it(tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "in" / "out"
    touch(root / "b.mp4", root / "a" / "c.mkv", root / "a" / "d.jpg", root / "notes.txt")
    touch(root / ".hidden" / "e.mp4", out / "b_depth.mp4")
    found = [(Path(i.source), i.output) for i in batch_items([str(root)], "mp4", out)]
    assert found == [
        (root / "a" / "c.mkv", "a/c_depth.mp4"),
        (root / "a" / "d.jpg", "a/d_depth.png"),
        (root / "b.mp4", "b_depth.mp4"),
    ]


def test_each_source_once_with_an_output_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path / "x" / "clip.mp4", tmp_path / "y" / "clip.mp4", tmp_path / "y" / "clip.mov")
    words = [str(tmp_path / "x" / "clip.mp4"), str(tmp_path / "*" / "clip.m*")]
    items = list(batch_items(words, "npz", tmp_path / "out"))
    assert [item.output for item in items] == [
        "clip_depth.npz",
        "clip_2_depth.npz",
        "clip_3_depth.npz",
    ]
    assert len({item.id for item in items}) == 3
    assert {i.id for i in batch_items(reversed(words), "npz", tmp_path)} == {i.id for i in items}


def test_a_list_names_one_a_line(tmp_path: Path) -> None:
    touch(tmp_path / "one.mp4")
    listed = tmp_path / "list.txt"
    listed.write_text(f"# mine\n{tmp_path / 'one.mp4'}\n\n{tmp_path / 'gone.mp4'}\n")
    check_sources([f"@{listed}"], tmp_path / "out")
    items = list(batch_items([f"@{listed}"], "png", tmp_path))
    assert [Path(i.source).name for i in items] == ["one.mp4", "gone.mp4"]  # said when its turn is
    assert [i.output for i in items] == ["one_depth", "gone_depth"]


@pytest.mark.parametrize("word", ["gone.mp4", "@gone.txt"])
def test_what_is_not_there_is_said_before_any_work(tmp_path: Path, word: str) -> None:
    with pytest.raises(SourceError, match="there is no"):
        check_sources([word], tmp_path / "out")


@pytest.mark.parametrize("word", [".", "*.mp4", "**/*"])
def test_outputs_do_not_lie_among_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    touch(tmp_path / "one.mp4")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="give -o a folder of its own"):
        check_sources([word], Path())
    check_sources([word], tmp_path / "out")
