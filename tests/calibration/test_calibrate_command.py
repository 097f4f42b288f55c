"""`depthrt calibrate` from clips and pictures to a folder that export reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.sources.images import read_image
from depthrt.sources.open import open_source
from depthrt_calibration import collect as collecting
from depthrt_calibration import scan as scanning
from depthrt_calibration.frame_folder import pixel_hash
from helpers.calibration_clips import SIZE, digest, picture, write_images
from helpers.commands import Command
from helpers.web.servers import served


def test_a_clip_with_scenes(clip: Path, tmp_path: Path, command: Command) -> None:
    target = tmp_path / "frames"
    done = command("calibrate", clip, "-o", target, "--count", 12, "--json")
    assert done.code == 0, done.err
    found = done.document
    assert found["considered"] == 130
    assert (found["left_out"]["black"], found["left_out"]["blank"]) == (6, 4)
    assert found["left_out"]["near_duplicates"] >= 39
    frames = found["frames"]
    assert len(frames) == 12
    left_out = sum(found["left_out"].values())
    assert left_out + 12 == 130
    times = [frame["time_s"] for frame in frames]
    assert times == sorted(times)
    numbers = [frame["index"] for frame in frames]
    assert sum(46 <= n < 86 for n in numbers) == 1  # the still scene speaks once
    assert any(n < 46 for n in numbers)
    assert any(n >= 86 for n in numbers)
    assert found["scenes"] == 3
    assert min(frame["distance"] for frame in frames) >= 0.03
    # What is stored is what was decoded, and reading the folder gives just these frames.
    assert sorted(p.name for p in target.iterdir()) == [
        *(f"{n:04d}.png" for n in range(1, 13)),
        "calibration.json",
        "overview",
    ]
    read = [frame.pixels for frame in open_source(target).frames()]
    assert [pixel_hash(image) for image in read] == [frame["sha256"] for frame in frames]
    assert np.abs(read[0].astype(int) - picture(1, (numbers[0] - 6) / 40)).max() <= 4
    sheet = read_image(found["sheet"])
    assert sheet.shape[1] == 4 * 206 + 6
    assert json.loads((target / "calibration.json").read_text())["frames"] == frames
    assert not (tmp_path / "frames.partial").exists()


def test_equal_input_gives_equal_output(
    clip: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"view_{n}.png" for n in range(14)]
    for order in (names, names[::-1]):  # the order in which files came to be says nothing
        shutil.rmtree("views", ignore_errors=True)
        Path("views").mkdir()
        for name in order:
            image = picture(int(name[5:-4]) + 20)
            cv2.imwrite(f"views/{name}", image[..., ::-1])
        arguments = ("calibrate", clip, "views", "-o", order[0][:-4], "--count", 16)
        assert command(*arguments).code == 0
    assert digest(Path("view_0")) == digest(Path("view_13"))
    found = json.loads(Path("view_0/calibration.json").read_text())
    assert {frame["source"] for frame in found["frames"]} == {str(clip), "views"}


def test_thinning_midway_keeps_count_and_scenes(
    clip: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_POOL", 3)
    done = command("calibrate", clip, "-o", tmp_path / "f", "--count", 8, "--json")
    assert len(done.document["frames"]) == 8
    assert done.document["scenes"] == 3
    assert len(list((tmp_path / "f").glob("*.png"))) == 8


def test_limit_and_every_bound_what_is_looked_at(
    clip: Path, tmp_path: Path, command: Command
) -> None:
    arguments = ("calibrate", clip, "--count", 8, "--json", "--overwrite", "-o", tmp_path / "f")
    assert command(*arguments, "--limit", 40).document["considered"] == 33  # every 4th of 130
    assert command(*arguments, "--every", 5).document["considered"] == 26


def test_the_limit_holds_for_many_pictures(tmp_path: Path, command: Command) -> None:
    folder = write_images(tmp_path / "views", [picture(seed) for seed in range(30)])
    sources = [folder / f"{n}.png" for n in range(30)]
    arguments = ("--count", 8, "--limit", 10, "--json")
    found = command("calibrate", *sources, "-o", tmp_path / "f", *arguments).document
    assert found["considered"] == 10
    names = {frame["name"] for frame in found["frames"]}
    assert {"0.png", "29.png"} <= names  # of all, not of the first ten


def test_the_limit_holds_for_a_long_video(
    clip: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_LONG", 96)  # two frames a part
    arguments = ("-o", tmp_path / "f", "--count", 8, "--limit", 20, "--every", 1, "--json")
    found = command("calibrate", clip, *arguments).document
    assert found["considered"] == 20
    assert max(frame["time_s"] for frame in found["frames"]) > 4  # of 5.2


def test_the_summary_is_two_lines(clip: Path, tmp_path: Path, command: Command) -> None:
    done = command("calibrate", clip, "-o", tmp_path / "f", "--count", 10)
    first, second = done.out.splitlines()
    assert first.startswith("10 frames of 3 scenes, from 130 looked at | left out: 6 black, 4 of")
    assert second.endswith("overview/contact_sheet.jpg")
    assert done.err == ""


def test_too_few_distinct_frames(tmp_path: Path, command: Command) -> None:
    images = [picture(1), picture(2), picture(1), np.zeros((*SIZE, 3), np.uint8)]
    folder = write_images(tmp_path / "few", images)
    done = command("calibrate", folder, "-o", tmp_path / "out")
    assert done.code == 2
    assert done.complaint == (
        f"{folder} gave 2 distinct frames, but calibration needs at least 8 (4 looked at, of these "
        "1 black, 1 near-duplicates): give more or other sources"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["few"]


def test_black_frames_alone(tmp_path: Path, command: Command) -> None:
    noise = np.random.default_rng(1)
    images = [noise.integers(0, 6, (*SIZE, 3), np.uint8) for _ in range(9)]
    folder = write_images(tmp_path / "dark", images)
    done = command("calibrate", folder, "-o", tmp_path / "out")
    assert done.code == 2
    assert done.complaint == (
        f"all 9 frames of {folder} are black or of one colour: nothing can be calibrated on them"
    )


def test_sources_that_are_not_there(tmp_path: Path, command: Command) -> None:
    done = command("calibrate", "demo", tmp_path / "gone.mp4", "-o", tmp_path / "out")
    assert done.code == 2
    assert "no file, directory, camera or URL" in done.complaint
    assert not any(tmp_path.iterdir())


def test_calibration_json_holds_no_password(command: Command, clip: Path, tmp_path: Path) -> None:
    """Two cameras that differ in what is hidden alone are still two."""
    out = tmp_path / "frames"
    with served(clip.parent, "me:p@ss@") as address:
        cameras = [f"{address}/{clip.name}?token={word}" for word in ("s3cret", "s3cret2")]
        done = command("calibrate", *cameras, "-o", out, "--limit", 200, "--json")
    assert (done.code, done.err) == (0, "")
    shown = f"{address.replace('me:p@ss@', '')}/{clip.name}?token=***"
    index = json.loads((out / "calibration.json").read_text())
    assert index["sources"] == [shown, f"{shown} (2)"]
    assert {frame["source"] for frame in index["frames"]} <= set(index["sources"])
    told = done.out + json.dumps(index)
    assert [secret for secret in ("me:", "p@ss", "ss@", "s3cret") if secret in told] == []


def test_all_sources_are_opened_before_the_first_is_read(
    command: Command, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set/rgb").mkdir(parents=True)
    (tmp_path / "set/depth").mkdir()
    for part in ("rgb", "depth"):
        cv2.imwrite(str(tmp_path / "set" / part / "0.png"), picture(1))

    def read(*_: object) -> None:
        raise AssertionError("a source was read")

    monkeypatch.setattr(collecting, "scan", read)
    for missing, sentence in (
        ("gone.mp4", "no file, directory, camera or URL 'gone.mp4'"),
        ("set", "give set/rgb, which does"),
    ):
        done = command("calibrate", clip, missing, "-o", "frames")
        assert done.code == 2
        assert sentence in done.complaint
    assert not (tmp_path / "frames").exists()
