"""Whatever a broken or hostile source raises on opening is one sentence about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from depthrt import DepthModel, SourceError, open_source, stream_many
from depthrt.frame import YuvImage, view_planes
from helpers.commands import Command
from helpers.files.clips import Clip, probe, write_clip

MakeClip = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\0b.mp4", "no file, directory, camera or URL|cannot be read"),
        ("9" * 5000, "cannot be read"),
        ("x" * 5000, "cannot be read .File name too long"),
        ("http://127.0.0.1:9/\ud800", "cannot be "),
        ("\udcff.mp4", "no file, directory, camera or URL"),
    ],
)
def test_a_name_that_none_can_be_is_a_sentence(text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as failed:
        open_source(text)
    assert len(str(failed.value)) < 500


@pytest.mark.parametrize("error", [ValueError, MemoryError, OverflowError, cv2.error])
def test_what_opening_raises_ends_that_stream_alone(
    make_clip: MakeClip,
    model: DepthModel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: type[Exception],
) -> None:
    """As a decoder would that no sentence of ours foresaw."""
    (tmp_path / "hostile.png").write_bytes(b"x")

    def fail(*arguments: object) -> None:
        raise error("of a decoder")

    monkeypatch.setattr(np, "fromfile", fail)
    with pytest.raises(SourceError, match=r"hostile\.png cannot be read"):
        open_source(tmp_path / "hostile.png")
    failed: list[str] = []
    results = stream_many(
        [tmp_path / "hostile.png", make_clip()],
        model,
        on_failure=lambda name, error: failed.append(str(error)),
    )
    assert len(list(results)) == 25
    assert [text for text in failed if "cannot be read" in text] == failed != []


def break_pictures_of(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], error: BaseException
) -> None:
    """The fifth picture of this size raises, as a decoder or a binding would that is broken."""
    seen = 0

    def view(decoded: Any, *arguments: Any) -> YuvImage:
        nonlocal seen
        broken = (decoded.height, decoded.width) == size
        seen += broken
        if broken and seen == 5:
            raise error
        return view_planes(decoded, *arguments)

    monkeypatch.setattr("depthrt.sources.video.view_planes", view)


@pytest.mark.parametrize(
    "error",
    [ValueError("31 is no Type"), RuntimeError("odd"), KeyError(7), RecursionError(), cv2.error()],
)
def test_what_a_picture_raises_ends_that_stream_alone(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException,
) -> None:
    broken, whole = make_clip(size=(40, 72)), make_clip()
    break_pictures_of(monkeypatch, (40, 72), error)
    ended = command("run", broken, whole, "-m", model_path, "-o", tmp_path / "out", "--json")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    first, second = ended.document["streams"]
    assert (first["frames"], bool(first["error"])) == (4, True)
    assert (second["frames"], second["error"]) == (25, "")


def test_a_picture_that_cannot_be_read_is_a_sentence(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    broken = make_clip(size=(40, 72))
    break_pictures_of(monkeypatch, (40, 72), ValueError("31 is no Type"))
    ended = command("run", broken, "-m", model_path, "-o", tmp_path / "out.mp4")
    assert ended.code == 2
    assert ended.complaint.startswith(f"{broken}: 31 is no Type; what was done before is in ")
    assert len(probe(ended.kept).times_s) == 4


@pytest.mark.parametrize("kinds", [["DISPLAYMATRIX"], ["EXIF"], ["31"]])
def test_side_data_that_cannot_be_read_is_no_obstacle(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, kinds: list[str]
) -> None:
    """A kind that raises when it is built, asked for its type, or looked at."""

    class Hostile:
        def __init__(self, *arguments: object) -> None:
            if kinds == ["31"]:
                raise ValueError("31 is not a valid Type")

        def __iter__(self) -> Iterator[Hostile]:
            yield self

        @property
        def type(self) -> object:
            raise {"EXIF": KeyError, "DISPLAYMATRIX": RuntimeError}[kinds[0]]("no such kind")

    monkeypatch.setattr("av.sidedata.sidedata.SideDataContainer", Hostile)
    assert len(list(open_source(make_clip()).frames())) == 25


def test_a_tag_in_another_encoding_is_no_obstacle(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", Clip(frames=5))
    with av.open(str(clip)) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        track = target.add_stream_from_template(source.streams.video[0])
        target.metadata["title"] = "Garten XX"
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                target.mux(packet)
    path = tmp_path / "b.mkv"
    path.write_bytes(path.read_bytes().replace(b"Garten XX", b"Garten \xe4\xff"))
    assert len(list(open_source(path).frames())) == 5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_among_pictures_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert cv2.imwrite(str(tmp_path / "b.png"), np.zeros((8, 8, 3), np.uint8))
    source = open_source(tmp_path)
    assert [frame.stream for frame in source.frames()] == ["b.png"]
    assert "a.png is no regular file" in source.losses.sentence()
