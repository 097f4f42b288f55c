"""Fresh names, renames that replace nothing of others, and what of a folder is ours."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from depthrt.errors import TargetError, WriteError
from depthrt.files.atomic_folder import FolderDraft
from depthrt.files.atomic_write import FileDraft, create_fresh, new_file, rename_new, write_text
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
