"""`depthrt run` with --stabilise and --reuse: when, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import Command

MakeClip = Callable[..., Path]


@pytest.mark.parametrize(
    ("arguments", "stabilised"),
    [
        (("-o", "out.mp4"), True),
        (("-o", "out.mp4", "--no-stabilise"), False),
        (("-o", "out.mkv"), False),
        (("-o", "out.npz"), False),
        (("-o", "out"), False),
        (("-o", "out.npz", "--stabilise"), True),
        (("-o", "out.mp4", "--jsonl", "lines.jsonl"), False),
    ],
)
def test_what_is_looked_at_is_steady_and_what_is_computed_with_is_raw(
    make_clip: MakeClip,
    model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
    arguments: tuple[str, ...],
    stabilised: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("run", make_clip(frames=3), "-m", model_path, "--json", *arguments)
    assert done.code == 0
    assert done.document["stabilised"] is stabilised
    assert ("stabilise" in done.document["stage_ms"]) is stabilised
    assert done.document["reused"] is None


def test_a_still_clip_is_computed_once_and_then_when_depth_is_too_old(
    make_clip: MakeClip, model_path: Path, tmp_path: Path, command: Command
) -> None:
    clip = make_clip(frames=50, event_s=10.0)  # grey throughout, 2 s
    target = tmp_path / "out.npz"
    options = ("--reuse", "--reuse-max-age", 0.5, "--batch", 4)
    done = command("run", clip, "-m", model_path, "-o", target, "--json", *options)
    assert (done.document["frames"], done.document["reused"]) == (50, 46)
    assert done.document["reused_share"] == pytest.approx(0.92)
    assert len(np.load(target)["depth"]) == 50
    said = command("run", clip, "-m", model_path, "-o", tmp_path / "a.mp4", *options).out
    assert "92% not computed, unchanged" in said


def test_a_change_is_seen_in_each_of_several_streams(
    make_clip: MakeClip, model_path: Path, tmp_path: Path, command: Command
) -> None:
    still = make_clip(frames=20, event_s=10.0)
    changing = make_clip(frames=20, event_s=0.4)
    moving = make_clip(frames=20)
    out = tmp_path / "out"
    reuse = ("--reuse", "--reuse-threshold", 1)
    done = command("run", still, changing, moving, "-m", model_path, "-o", out, "--json", *reuse)
    assert [each["reused"] for each in done.document["streams"]] == [19, 18, 0]
    assert done.document["reused"] == 37
    assert done.document["reused_share"] == pytest.approx(37 / 60)
    assert all(each["stabilised"] for each in done.document["streams"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--reuse-threshold", 3), "--reuse-threshold says when --reuse may: give --reuse, too"),
        (("--reuse-max-age", 3), "--reuse-max-age says when --reuse may: give --reuse, too"),
        (
            ("--reuse", "--reuse-threshold", 300),
            "--reuse-threshold 300 is no difference in grey levels, 0 to 255",
        ),
        (("--reuse", "--reuse-max-age", -1), "--reuse-max-age -1 is not above 0 s"),
    ],
)
def test_bad_values_get_a_sentence(
    make_clip: MakeClip,
    model_path: Path,
    tmp_path: Path,
    command: Command,
    arguments: tuple[object, ...],
    complaint: str,
) -> None:
    target = tmp_path / "out.mp4"
    done = command("run", make_clip(frames=3), "-m", model_path, "-o", target, *arguments)
    assert (done.code, done.complaint) == (2, complaint)
    assert not target.exists()
