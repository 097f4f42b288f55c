"""Folders: renames that replace nothing of others, and which folders depthrt wrote itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from depthrt.errors import TargetError
from depthrt.files.atomic_folder import FolderDraft
from depthrt.files.folder_index import FolderKind, own_entries, seal

KIND = FolderKind("index.json", "test frames", r"[0-9]{3}\.txt|inner/note", ("inner",))
MEANWHILE = "made or changed by somebody else meanwhile"


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def folder_draft(target: Path, *, overwrite: bool = False, content: bytes = b"new") -> FolderDraft:
    """A finished folder of two files and one in a folder of its own."""
    draft = FolderDraft(target, KIND, (KIND,), overwrite=overwrite)
    draft.create()
    for name in ("001.txt", "002.txt", "inner/note"):
        draft.write(name, content)
    draft.finish({"about": "frames"})
    return draft


def test_a_folder_is_renamed_into_its_place(tmp_path: Path) -> None:
    target = tmp_path / "out.v2"
    draft = folder_draft(target)
    assert draft.path.match("out.v2.partial-??????")
    assert draft.place() == target
    assert names(tmp_path) == [
        "out.v2", "out.v2/001.txt", "out.v2/002.txt", "out.v2/index.json", "out.v2/inner",
        "out.v2/inner/note",
    ]  # fmt: skip
    assert set(own_entries(target, (KIND,))) == {
        "001.txt", "002.txt", "index.json", "inner/", "inner/note",
    }  # fmt: skip


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("there", ["full", "empty", "file", "link"])
def test_a_folder_replaces_nothing_that_came_meanwhile(
    tmp_path: Path, there: str, overwrite: bool
) -> None:
    target = tmp_path / "out"
    draft = folder_draft(target, overwrite=overwrite)
    if there in ("full", "empty"):
        target.mkdir()
    if there == "full":
        (target / "thesis.txt").write_text("years of work")
    if there == "file":
        target.write_text("years of work")
    if there == "link":
        (tmp_path / "else").mkdir()
        target.symlink_to("else")
    before = names(target)
    if there == "empty" and overwrite:
        assert draft.place() == target
        return
    with pytest.raises(TargetError, match=rf"{MEANWHILE}.* is in {draft.path}"):
        draft.place()
    assert names(target) == before
    assert len(names(draft.path)) == 5
    assert not list(tmp_path.glob("*replaced*"))


def test_an_empty_folder_that_was_there_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    draft = folder_draft(target)
    (target / "came.txt").write_text("meanwhile")
    with pytest.raises(TargetError, match=MEANWHILE):
        draft.place()
    (target / "came.txt").unlink()
    assert draft.place() == target
    assert len(names(target)) == 5


def test_overwriting_replaces_a_folder_of_ours_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "out"
    folder_draft(target, content=b"old").place()
    folder_draft(target, overwrite=True).place()
    assert (target / "001.txt").read_bytes() == b"new"
    draft = folder_draft(target, overwrite=True, content=b"newer")
    (target / "001.txt").write_text("edited by hand")
    (target / "mine.txt").write_text("added by hand")
    with pytest.raises(TargetError, match=MEANWHILE):
        draft.place()
    assert (target / "001.txt").read_text() == "edited by hand"
    assert (target / "mine.txt").read_text() == "added by hand"
    assert (target / "002.txt").read_bytes() == b"new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", draft.path.name]


def test_what_stood_there_is_named_when_it_cannot_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    folder_draft(target, content=b"old").place()
    draft = folder_draft(target, overwrite=True)
    real = Path.mkdir

    def somebody_is_faster(path: Path, *args: int, **kwargs: bool) -> None:
        real(path, *args, **kwargs)
        if path == target:  # the place was just taken
            (target / "theirs.txt").write_text("theirs")

    monkeypatch.setattr(Path, "mkdir", somebody_is_faster)
    with pytest.raises(TargetError) as caught:
        draft.place()
    text = str(caught.value)
    aside = Path(text.split("what stood there before is in ")[1])
    assert (aside / "001.txt").read_bytes() == b"old"
    assert (target / "theirs.txt").read_text() == "theirs"
    assert f"the finished output is in {draft.path}" in text
    assert (draft.path / "001.txt").read_bytes() == b"new"


def test_discarding_removes_what_was_made_alone(tmp_path: Path) -> None:
    draft = folder_draft(tmp_path / "out")
    place = draft.path
    draft.discard()
    assert names(tmp_path) == []
    draft = folder_draft(tmp_path / "out")
    place = draft.path
    (place / "theirs.txt").write_text("theirs")
    draft.discard()
    assert names(place) == ["theirs.txt"]


def test_no_file_of_others_in_the_draft_is_written_over(tmp_path: Path) -> None:
    draft = FolderDraft(tmp_path / "out", KIND, (KIND,), overwrite=False)
    draft.create()
    (draft.path / "001.txt").write_text("theirs")
    with pytest.raises(FileExistsError):
        draft.write("001.txt", b"new")
    assert (draft.path / "001.txt").read_text() == "theirs"


def listing(folder: Path, files: object) -> None:
    """An index as good as one can make it by hand."""
    (folder / KIND.index).write_bytes(seal({}, KIND, {}))
    content = json.loads((folder / KIND.index).read_text())
    content["files"] = files
    (folder / KIND.index).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda f: (f / "001.txt").write_bytes(b"NEW"), "was changed .*001.txt"),
        (lambda f: (f / "003.txt").write_text("a name like ours"), "other files .003.txt"),
        (lambda f: (f / ".hidden").touch(), "other files .*hidden"),
        (lambda f: (f / "more").mkdir(), "other files .more"),
        (lambda f: (f / "inner/theirs").touch(), "other files .inner/theirs"),
        (lambda f: (f / "index.json").unlink(), "other files .001.txt"),
        (lambda f: (f / "index.json").write_text("[" * 100_000), "other files .index.json"),
        (lambda f: (f / "index.json").write_text("{}"), "other files .index.json"),
        (lambda f: os.truncate(f / "index.json", 40), "other files .index.json"),
        (lambda f: listing(f, {"../secret": "6 00000000"}), "was changed .*index.json"),
        (lambda f: listing(f, {"001.txt": 3}), "was changed .*index.json"),
        (lambda f: listing(f, ["001.txt"]), "was changed .*index.json"),
    ],
)  # fmt: skip
def test_a_folder_in_which_something_is_not_ours(
    tmp_path: Path, spoil: Callable[[Path], object], named: str
) -> None:
    target = tmp_path / "out"
    folder_draft(target).place()
    spoil(target)
    with pytest.raises(TargetError, match=named):
        own_entries(target, (KIND,))


@pytest.mark.parametrize("entry", ["001.txt", "index.json", "inner"])
def test_links_in_a_folder_are_not_ours(tmp_path: Path, entry: str) -> None:
    target = tmp_path / "out"
    folder_draft(target).place()
    (target / entry).rename(tmp_path / "moved")
    (target / entry).symlink_to(tmp_path / "moved")
    with pytest.raises(TargetError):
        own_entries(target, (KIND,))


def test_a_list_that_names_files_of_others_deletes_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    target = tmp_path / "out"
    target.mkdir()
    (target / "thesis.txt").write_text("thesis")
    files = {"../secret": "6 5ca2e8e5", "thesis.txt": "6 00000000"}
    (target / KIND.index).write_bytes(seal({}, KIND, files))
    with pytest.raises(TargetError, match="was changed"):
        FolderDraft(target, KIND, (KIND,), overwrite=True)
    assert names(tmp_path) == ["out", "out/index.json", "out/thesis.txt", "secret"]


def test_a_copy_of_a_folder_of_ours_is_ours(tmp_path: Path) -> None:
    folder_draft(tmp_path / "out").place()
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    (tmp_path / "copy/002.txt").unlink()  # what is lacking cannot be lost
    assert len(own_entries(tmp_path / "copy", (KIND,))) == 4
    folder_draft(tmp_path / "copy", overwrite=True).place()
    assert len(names(tmp_path / "copy")) == 5


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_mounted_disk_is_filled_from_within(
    small_disk: Callable[..., Path], overwrite: bool
) -> None:
    disk = small_disk()
    folder_draft(disk).place()
    assert len(names(disk)) == 5
    (disk / "mine.txt").write_text("mine")
    if overwrite:
        with pytest.raises(TargetError, match=r"other files \(mine.txt\)"):
            FolderDraft(disk, KIND, (KIND,), overwrite=True)
    (disk / "mine.txt").unlink()
    draft = folder_draft(disk, overwrite=overwrite, content=b"newer")
    if not overwrite:
        with pytest.raises(TargetError, match=MEANWHILE):
            draft.place()
        assert (disk / "001.txt").read_bytes() == b"new"
        return
    (disk / "mine.txt").write_text("came meanwhile")
    with pytest.raises(TargetError, match=MEANWHILE):
        draft.place()
    assert (disk / "001.txt").read_bytes() == b"new"
    (disk / "mine.txt").unlink()
    draft.place()
    assert (disk / "001.txt").read_bytes() == b"newer"
    assert len(names(disk)) == 5
