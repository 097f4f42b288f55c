"""The sources of a batch as a stream, each with an output of its own."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from depthrt.errors import SourceError, UsageError
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.sources.images import IMAGE_SUFFIXES
from depthrt_archives.plan.remote import is_remote, list_remote
from depthrt_archives.tasks import Form, Item

VIDEO_SUFFIXES = {
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
}  # fmt: skip
"""Of the files that are taken from folders, besides those of pictures."""


def check_sources(words: Sequence[str], out: Path) -> None:
    """Refuse words of the command line that cannot be sources, before any work is done.

    Raises:
        SourceError: there is no such file, folder or list.
        UsageError: outputs would lie among the sources, and be sources the next time.
    """
    for word in words:
        if _among_outputs(word, out.resolve()):
            raise UsageError(
                f"{word} holds the outputs, too, which would be sources the next time: give -o a "
                "folder of its own"
            )
        if word.startswith("@"):
            if not Path(word[1:]).is_file():
                raise SourceError(f"there is no list {word[1:]}")
        elif not (is_remote(word) or word == "demo" or Path(word).exists() or glob.has_magic(word)):
            raise SourceError(f"there is no file or folder {word}")


def _among_outputs(word: str, out: Path) -> bool:
    """Whether a folder is that of the outputs, or a glob finds files in it."""
    if is_remote(word) or word.startswith("@"):
        return False
    if Path(word).is_dir():
        return Path(word).resolve() == out
    if not glob.has_magic(word) or Path(word).exists() or not out.is_dir():
        return False
    found = (Path(name).resolve() for name in glob.iglob(word, recursive=True))  # noqa: PTH207
    return any(path.is_relative_to(out) and path.is_file() for path in found)


def batch_items(words: Iterable[str], form: Form, out: Path) -> Iterator[Item]:
    """The sources that words stand for, in order, each once, with the output of each.

    Outputs keep the folders below a folder that was named. Where two would have one name, the later
    one is numbered.

    Args:
        words: files, folders, globs, URLs, and ``@list`` for one of these a line.
        form: what is written.
        out: the folder of outputs, which is no source.

    Raises:
        SourceError: a list cannot be read, or nothing is at a URL.
    """
    seen: set[bytes] = set()
    taken: set[bytes] = set()
    for source, place in _found(words, out.resolve()):
        key = hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        short = bytes.fromhex(key)
        if short in seen:
            continue
        seen.add(short)
        path = PurePosixPath(place)
        suffix = _suffix(form, path.suffix.lower())
        number, output = 1, path.with_name(f"{path.stem}_depth{suffix}")
        while (name := hashlib.sha256(os.fsencode(str(output))).digest()[:12]) in taken:
            number += 1
            output = path.with_name(f"{path.stem}_{number}_depth{suffix}")
        taken.add(name)
        yield Item(key, source, str(output))


def _suffix(form: Form, of_source: str) -> str:
    if form == "png":
        return ""
    return ".png" if form == "mp4" and of_source in IMAGE_SUFFIXES else f".{form}"


def _found(words: Iterable[str], out: Path) -> Iterator[tuple[str, str]]:
    """Sources, absolute, and their paths below what was named."""
    for word in words:
        if word.startswith("@"):
            yield from _found(_lines(Path(word[1:])), out)
        elif is_remote(word):
            names = list_remote(word)
            base = word.split("://", 1)[1].rstrip("/")
            for name in names:
                path = name.split("://", 1)[1]
                if _is_wanted(path) or name.rstrip("/") == word.rstrip("/"):
                    below = path.removeprefix(f"{base}/") if path != base else Path(path).name
                    yield name, below if below != path else Path(path).name
        elif word == "demo" and not Path(word).exists():
            yield str(DEMO_CLIP), DEMO_CLIP.name
        elif Path(word).is_dir():
            root = Path(word).resolve()
            yield from ((str(p), p.relative_to(root).as_posix()) for p in _walk(root, out))
        elif glob.has_magic(word) and not Path(word).exists():
            for name in sorted(glob.iglob(word, recursive=True)):  # noqa: PTH207
                if Path(name).is_file():
                    yield str(Path(name).resolve()), Path(name).name
        else:
            yield str(Path(word).resolve()), Path(word).name


def _walk(folder: Path, out: Path) -> Iterator[Path]:
    """Pictures and videos below a folder, in order; hidden ones and the outputs are left out."""
    with os.scandir(folder) as entries:
        names = sorted((entry.name, entry.is_dir()) for entry in entries)
    for name, is_folder in names:
        path = folder / name
        if name.startswith(".") or path == out:
            continue
        if is_folder:
            yield from _walk(path, out)
        elif _is_wanted(name):
            yield path


def _is_wanted(name: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in VIDEO_SUFFIXES or suffix in IMAGE_SUFFIXES


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                word = line.strip()
                if word and not word.startswith("#"):
                    yield word
    except OSError as error:
        raise SourceError(f"the list {path} cannot be read ({error.strerror})") from error
