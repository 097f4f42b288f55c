"""`depthrt calibrate` from clips and pictures to a folder that export reads."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.sources.images import read_image
from depthrt.sources.open import open_source
from depthrt_calibration import collect as collecting
from depthrt_calibration import scan as scanning
from depthrt_calibration.frame_folder import pixel_hash
from helpers.commands import Command
from helpers.web.servers import served

SIZE = (72, 128)


def picture(seed: int, shift: float = 0.0) -> NDArray[np.uint8]:
    """A smooth coloured picture, uint8 RGB H,W,3, that drifts with ``shift``."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0.0 : 1.0 : SIZE[0] * 1j, 0.0 : 1.0 : SIZE[1] * 1j]
    waves = [
        128 + 100 * np.sin(2 * np.pi * (a * rows + b * columns + shift) + c)
        for a, b, c in random.uniform(0.3, 2.5, (3, 3))
    ]
    return np.rint(np.stack(waves, axis=-1)).astype(np.uint8)


def write_video(path: Path, images: list[NDArray[np.uint8]]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv444p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_images(folder: Path, images: list[NDArray[np.uint8]]) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Black, three scenes of 40 frames (one drifts, one stands still, one drifts), grey."""
    black, grey = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 128, np.uint8)
    images = [black] * 6
    images += [picture(1, i / 40) for i in range(40)]
    images += [picture(2)] * 40
    images += [picture(3, i / 60) for i in range(40)]
    images += [grey] * 4
    return write_video(tmp_path_factory.mktemp("clip") / "scenes.mkv", images)


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


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


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


def test_targets_that_cannot_be_used(clip: Path, tmp_path: Path, command: Command) -> None:
    ours = tmp_path / "ours"
    assert command("calibrate", clip, "-o", ours, "--count", 8).code == 0
    (tmp_path / "file").write_text("x")
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    camera = tmp_path / "camera"
    camera.mkdir()
    (camera / "calibration.json").write_text('{"fx": 500}')
    mixed = tmp_path / "mixed"
    shutil.copytree(ours, mixed)
    (mixed / "labels.csv").write_text("dear")
    sentences = {
        ours: "exists: give another output or --overwrite",
        tmp_path / "file": "is a file: give a folder for the frames",
        other: "holds other files (letter.txt): choose a new one",
        camera: "holds other files (calibration.json): choose a new one",
        mixed: "holds other files (labels.csv): choose a new one",
        tmp_path / "no" / "folder": "there is no folder",
        Path("/proc/frames"): "cannot be written",
    }
    for target, sentence in sentences.items():
        for options in ([], ["--overwrite"] if target in (other, camera, mixed) else []):
            done = command("calibrate", clip, "-o", target, *options)
            assert done.code == 2, target
            assert sentence in done.complaint
    assert (other / "letter.txt").read_text() == "dear"
    done = command("calibrate", ours, "-o", ours, "--overwrite")
    assert "is the source itself" in done.complaint
    before = digest(ours)
    again = command("calibrate", clip, "-o", ours, "--count", 8, "--overwrite")
    assert again.code == 0
    assert digest(ours) == before


def test_a_disk_that_fills_leaves_nothing(
    clip: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    done = command("calibrate", clip, "-o", tmp_path / "f")
    assert done.code == 1
    assert done.complaint == (
        f"the frames could not be written to {tmp_path / 'f'} (No space left on device)"
    )
    assert not any(tmp_path.iterdir())


def test_what_is_named_like_a_place_of_preparation_survives(
    clip: Path, tmp_path: Path, command: Command
) -> None:
    for name in ("f.partial", "f.partial-000000", "f.replaced"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.txt").write_text("precious")
    for options in ([], ["--overwrite"]):
        done = command("calibrate", clip, "-o", tmp_path / "f", "--count", 8, *options)
        assert done.code == 0, done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "f", "f.partial", "f.partial-000000", "f.replaced",
    ]  # fmt: skip
    assert len(list(tmp_path.glob("*/precious.txt"))) == 3


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_comes_meanwhile_survives(
    clip: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    real = collecting.contact_sheet

    def late(*given: Any) -> NDArray[np.uint8]:
        (tmp_path / "f").mkdir()
        (tmp_path / "f/thesis.txt").write_text("years of work")
        return real(*given)

    monkeypatch.setattr(collecting, "contact_sheet", late)
    options = ["--overwrite"] if overwrite else []
    done = command("calibrate", clip, "-o", tmp_path / "f", "--count", 8, *options)
    assert done.code == 2
    assert "was made or changed by somebody else meanwhile" in done.complaint
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["thesis.txt"]
    assert len(list(done.kept.glob("*.png"))) == 8


@pytest.mark.parametrize(
    "name", ["0003.png", "0099.png", "overview/contact_sheet.jpg", "overview/mine.jpg"]
)
def test_a_folder_with_something_of_others_is_not_replaced(
    clip: Path, tmp_path: Path, command: Command, name: str
) -> None:
    run = ("calibrate", clip, "-o", tmp_path / "f", "--count", 8, "--overwrite")
    assert command(*run).code == 0
    (tmp_path / "f" / name).write_bytes(b"drawn by hand")
    before = digest(tmp_path / "f")
    done = command(*run)
    assert done.code == 2
    assert name in done.complaint
    assert digest(tmp_path / "f") == before


def test_pictures_named_like_ours_are_not_ours(
    clip: Path, tmp_path: Path, command: Command
) -> None:
    folder = write_images(tmp_path / "photos", [picture(n) for n in range(3)])
    (folder / "overview").mkdir()
    (folder / "overview/notes.txt").write_text("mine")
    before = digest(folder)
    done = command("calibrate", clip, "-o", folder, "--count", 8, "--overwrite")
    assert "holds other files (0.png)" in done.complaint
    assert done.code == 2
    assert digest(folder) == before


@pytest.mark.parametrize("source", ["f/*.png", "in"])
def test_sources_in_the_folder_to_be_replaced_survive(
    clip: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("calibrate", clip, "-o", "f", "--count", 8).code == 0
    Path("in").mkdir()
    for path in Path("f").glob("*.png"):
        Path("in", path.name).hardlink_to(path)
    before = digest(Path("f"))
    done = command("calibrate", source, clip, "-o", "f", "--count", 8, "--overwrite")
    assert "f holds the source" in done.complaint
    assert digest(Path("f")) == before


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
