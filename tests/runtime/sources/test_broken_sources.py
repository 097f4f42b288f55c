"""Whatever a broken or hostile source raises on opening is one sentence about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from clips import Clip, write_clip
from depthrt import DepthModel, SourceError, open_source, stream_many

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
