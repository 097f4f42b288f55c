"""Files: fresh names, and renames that replace nothing of others."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from depthrt.errors import TargetError, WriteError
from depthrt.files.atomic_write import FileDraft, create_fresh, new_file, rename_new, write_text

MEANWHILE = "made or changed by somebody else meanwhile"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_is_renamed_into_its_place(tmp_path: Path) -> None:
    draft = FileDraft(tmp_path / "out.MP4", overwrite=False)
    place = draft.create()
    assert place.match("out.partial-??????.MP4")
    place.write_text("all")
    assert draft.kept() == place
    assert draft.place() == tmp_path / "out.MP4"
    assert (names(tmp_path), (tmp_path / "out.MP4").read_text()) == (["out.MP4"], "all")
    assert draft.kept() is None
    draft.discard()
    assert names(tmp_path) == ["out.MP4"]


def test_two_drafts_of_one_target_are_two_files(tmp_path: Path) -> None:
    drafts = [FileDraft(tmp_path / "out.npz", overwrite=False) for _ in range(5)]
    places = [draft.create() for draft in drafts]
    for number, place in enumerate(places):
        place.write_text(str(number))
    assert len(set(places)) == 5
    drafts[3].place()
    for number in (0, 1, 2, 4):
        with pytest.raises(TargetError, match=rf"{MEANWHILE}.* is in {places[number]}"):
            drafts[number].place()
        assert places[number].read_text() == str(number)
    assert (tmp_path / "out.npz").read_text() == "3"


def test_a_name_that_is_taken_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(["aaaaaa", "bbbbbb", "cccccc"])
    monkeypatch.setattr("depthrt.files.atomic_write.secrets.token_hex", lambda count: next(tokens))
    (tmp_path / "out.partial-aaaaaa.mp4").write_text("theirs")
    (tmp_path / "out.partial-bbbbbb.mp4").symlink_to("nowhere")
    assert create_fresh(tmp_path / "out.mp4", "partial").name == "out.partial-cccccc.mp4"
    assert (tmp_path / "out.partial-aaaaaa.mp4").read_text() == "theirs"
    assert not (tmp_path / "nowhere").exists()


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 125 + ".mp4")
    write_text(target, "x", overwrite=False)
    assert names(tmp_path) == [target.name]


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
@pytest.mark.parametrize("there", ["file", "folder", "link"])
def test_nothing_is_renamed_over_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, links: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path, target = tmp_path / "a", tmp_path / "b"
    path.write_text("mine")
    makes = {"file": target.touch, "folder": target.mkdir, "link": lambda: target.symlink_to("c")}
    makes[there]()
    with pytest.raises(FileExistsError):
        rename_new(path, target)
    assert (names(tmp_path), path.read_text()) == (["a", "b"], "mine")
    target.rmdir() if there == "folder" else target.unlink()
    rename_new(path, target)
    assert (names(tmp_path), target.read_text()) == (["b"], "mine")
    with pytest.raises(FileNotFoundError):
        rename_new(path, tmp_path / "c")
    assert names(tmp_path) == ["b"]


@pytest.mark.parametrize("there", ["folder", "fifo", "link"])
def test_overwriting_replaces_regular_files_alone(tmp_path: Path, there: str) -> None:
    target = tmp_path / "out.html"
    target.write_text("old")
    draft = FileDraft(target, overwrite=True)
    draft.create().write_text("new")
    target.unlink()
    makes: dict[str, Callable[[], None]] = {
        "folder": target.mkdir,
        "fifo": lambda: os.mkfifo(target),
        "link": lambda: target.symlink_to("elsewhere"),
    }
    makes[there]()
    with pytest.raises(TargetError, match=MEANWHILE):
        draft.place()
    kept = draft.kept()
    assert kept is not None
    assert kept.read_text() == "new"
    assert len(names(tmp_path)) == 2


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/out.txt")
    for text in ("first", "second"):
        write_text(tmp_path / "link", text, overwrite=True)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "disk/out.txt").read_text() == text
    assert names(tmp_path) == ["disk", "disk/out.txt", "link"]
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(TargetError, match="one is a symbolic link that leads in a circle"):
        write_text(tmp_path / "one", "x", overwrite=True)


@pytest.mark.parametrize(
    ("raised", "expected", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), WriteError, "out.csv cannot be written"),
        (WriteError("the disk is gone"), WriteError, "the disk is gone"),
        (ValueError("a bug"), ValueError, "a bug"),
        (KeyboardInterrupt("now"), KeyboardInterrupt, "now"),
    ],
)
def test_an_error_in_the_block_leaves_nothing(
    tmp_path: Path, raised: BaseException, expected: type[BaseException], says: str
) -> None:
    def write() -> None:
        with new_file(tmp_path / "out.csv", overwrite=False) as place:
            place.write_text("half")
            raise raised

    with pytest.raises(expected, match=says):
        write()
    assert names(tmp_path) == []


def test_what_took_the_name_of_a_draft_is_not_removed(tmp_path: Path) -> None:
    draft = FileDraft(tmp_path / "out.csv", overwrite=False)
    place = draft.create()
    place.rename(tmp_path / "moved")
    place.write_text("somebody else's")
    draft.discard()
    assert place.read_text() == "somebody else's"
