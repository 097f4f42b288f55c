"""A disk that fills up: one sentence, and what was written can still be used."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from depthrt import open_source, read_depth
from helpers.commands import Command, Outcome

MakeClip = Callable[..., Path]


def _frames(place: Path) -> int:
    """How many frames of a partial output can be used."""
    if place.suffix == ".mp4":
        return len(list(open_source(place).frames()))  # players, too, pass over a torn last frame
    return len(list(read_depth(place)))


@pytest.mark.parametrize(
    ("output", "size_bytes", "at_least"),
    [
        ("out.mp4", 100_000, 40),
        ("out.mkv", 200_000, 10),
        ("out.npz", 500_000, 20),
        ("out", 300_000, 10),
    ],
)
def test_a_full_disk_keeps_what_fitted(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    small_disk: Callable[..., Path],
    output: str,
    size_bytes: int,
    at_least: int,
) -> None:
    disk = small_disk(size_bytes)
    source = make_clip(frames=400, sound="aac")
    ended = command("run", source, "-m", model_path, "-o", disk / output, "--view", "side")
    assert "failed (No space left on device): free space" in ended.complaint
    assert ended.code == 1
    assert not (disk / output).exists()
    assert ended.kept.parent == disk
    assert at_least <= _frames(ended.kept) < 400


def test_a_disk_with_room_for_the_maps_is_enough(
    command: Command, make_clip: MakeClip, model_path: Path, small_disk: Callable[..., Path]
) -> None:
    disk = small_disk(400_000)  # 25 maps of 12 KiB fit once
    ended = command("run", make_clip(), "-m", model_path, "-o", disk / "out.npz")
    assert (ended.code, ended.err) == (0, "")
    assert _frames(disk / "out.npz") == 25


def test_a_disk_that_is_full_only_at_the_end_keeps_most_maps(
    command: Command, make_clip: MakeClip, model_path: Path, small_disk: Callable[..., Path]
) -> None:
    # What belongs to 200 maps of 12 KiB, 5 KiB in all, has no room behind them in 601 pages.
    disk = small_disk(601 * 4096)
    ended = command("run", make_clip(frames=200), "-m", model_path, "-o", disk / "out.npz")
    assert ended.code == 1
    assert "failed (No space left on device)" in ended.complaint
    assert _frames(ended.kept) == 199
    assert list(disk.iterdir()) == [ended.kept]


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.npz", "out", "out.png"])
def test_a_disk_without_any_room_leaves_no_output(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    small_disk: Callable[..., Path],
    output: str,
) -> None:
    disk = small_disk(4096)
    (disk / "other").write_bytes(bytes(4096))
    ended = command(
        "run", make_clip(frames=80), "-m", model_path, "-o", disk / output, "--max-frames",
        1 if output == "out.png" else 80,
    )  # fmt: skip
    assert "No space left on device" in ended.complaint
    assert ended.code == 1
    assert not (disk / output).exists()


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv"])
def test_a_file_that_may_not_grow_is_the_same(
    make_clip: MakeClip, model_path: Path, tmp_path: Path, output: str
) -> None:
    limit = 60_000
    done = subprocess.run(
        [
            sys.executable, "-c",
            "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
            "from depthrt.cli import main; main()",
            "run", make_clip(frames=400), "-m", model_path, "-o", tmp_path / output,
            "--view", "side",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    ended = Outcome(done.returncode, done.stdout, done.stderr)
    assert "failed (File too large): free space" in ended.complaint
    assert ended.code == 1
    assert 5 <= _frames(ended.kept) < 400
