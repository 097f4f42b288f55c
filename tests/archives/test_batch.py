"""`depthrt batch` as a command: workers are processes, which are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from depthrt.jobs.run import Job, execute
from depthrt.temporal.keyframes import Keyframes
from depthrt_archives.batch import Batch, prepare
from depthrt_archives.batch import execute as execute_batch
from depthrt_archives.tasks import BatchOptions
from helpers.commands import Command, outcome, spawn
from helpers.files.archived import FailingEngine, encode, facts, run_batch
from helpers.models.small_model import build_model, build_slow_model


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line in this process."""
    return Command(capfd, monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips, a picture, something that is neither, and two models."""
    made = tmp_path_factory.mktemp("archive")
    build_model(made / "tiny.onnx")
    build_slow_model(made / "slow.onnx")
    clips = made / "clips"
    clips.mkdir()
    encode(clips / "one.mp4", 70, sound=True)
    encode(clips / "two.mkv", 50, irregular=True)
    (clips / "torn.mp4").write_bytes((clips / "one.mp4").read_bytes()[:900])
    return made


def events_of(text: str) -> list[dict[str, Any]]:
    """The events that the command printed."""
    return [json.loads(line) for line in text.splitlines()]


def lines_of(out: Path) -> list[dict[str, Any]]:
    """The lines of a manifest but for the first."""
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()[1:]]


def test_once_then_only_what_is_missing(folder: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", folder / "tiny.onnx"
    totals, _ = run_batch([folder / "clips"], out=out, model=model, segment_s=1)
    (failed,) = totals.failures
    assert failed.endswith("torn.mp4")
    assert (totals.done, totals.frames) == (2, 120)
    manifest = (out / "manifest.jsonl").read_text()
    assert [line["output"] for line in lines_of(out)] == ["one_depth.mp4", "two_depth.mp4"]
    (out / "two_depth.mp4").unlink()
    totals, _ = run_batch([folder / "clips"], out=out, model=model, segment_s=1)
    assert (totals.done, totals.skipped, totals.frames) == (1, 1, 50)
    assert (out / "manifest.jsonl").read_text() == manifest


def test_a_run_that_is_cut_short_goes_on_with_its_next_segment(
    folder: Path, tmp_path: Path
) -> None:
    out, model, clip = tmp_path / "out", folder / "tiny.onnx", folder / "clips" / "one.mp4"
    job = prepare(Batch((str(clip),), BatchOptions(out, model, provider="cpu", segment_s=1), 1))
    first = FailingEngine(job.options, 0, 0.0)
    seen: list[str] = []

    def stop(event: str, about: Mapping[str, Any]) -> None:
        seen.append(event)
        if event == "segment":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute_batch(job, first, stop)
    assert [(t.kind, t.segment) for t in first.tasks] == [("start", 0), ("run", 0)]
    totals, second = run_batch([clip], workers=1, out=out, model=model, segment_s=1)
    assert [(t.kind, t.segment) for t in second.tasks][:2] == [("start", 0), ("run", 1)]
    assert totals.done == 1
    (line,) = lines_of(out)
    assert line["frames"] == 70
    assert [*(out / ".depthrt-batch" / "items").iterdir()] == []


def test_a_source_that_changed_is_done_again(folder: Path, tmp_path: Path) -> None:
    clip, out, model = tmp_path / "clip.mp4", tmp_path / "out", folder / "tiny.onnx"
    clip.write_bytes((folder / "clips" / "one.mp4").read_bytes())
    assert run_batch([clip], out=out, model=model)[0].done == 1
    os.utime(clip, (1, 1))  # a copy of the same bytes
    totals, _ = run_batch([clip], out=out, model=model)
    assert (totals.done, totals.skipped) == (0, 1)
    encode(clip, 30)
    totals, _ = run_batch([clip], out=out, model=model)
    assert (totals.done, totals.skipped, totals.frames) == (1, 0, 30)
    (line,) = lines_of(out)
    assert line["frames"] == 30


def test_a_source_that_changes_in_the_middle_is_started_over(folder: Path, tmp_path: Path) -> None:
    clip, out, model = tmp_path / "clip.mp4", tmp_path / "out", folder / "tiny.onnx"
    clip.write_bytes((folder / "clips" / "one.mp4").read_bytes())
    job = prepare(Batch((str(clip),), BatchOptions(out, model, provider="cpu", segment_s=1), 1))
    said: list[str] = []

    def change(event: str, about: Mapping[str, Any]) -> None:
        if event == "segment" and not said:
            encode(clip, 60, gop=5)
        if event == "started_over":
            said.append(about["reason"])

    assert execute_batch(job, FailingEngine(job.options, 0, 0.0), change).done == 1
    assert said == ["the file was changed"]
    plain = tmp_path / "plain.mp4"
    execute(Job(str(clip), plain, str(model), provider="cpu"))
    assert facts(out / "clip_depth.mp4") == facts(plain)


def test_a_worker_that_dies_of_a_source_ends_in_a_report(folder: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", folder / "tiny.onnx"
    totals, engine = run_batch([folder / "clips" / "one.mp4"], deaths=1.0, out=out, model=model)
    assert totals.done == 0
    (sentence,) = totals.failures.values()
    assert sentence.endswith("21 times in a row")
    assert engine.died == 21
    assert engine.died_idle  # which ends nothing


def test_other_settings_and_foreign_files_are_refused(
    folder: Path, tmp_path: Path, command: Command
) -> None:
    clip, out, model = folder / "clips" / "one.mp4", tmp_path / "out", folder / "tiny.onnx"
    out.mkdir()
    (out / "one_depth.npz").write_text("mine")
    arguments = ("batch", clip, "-o", out, "-m", model, "--workers", 1, "--format", "npz")
    refused = command(*arguments)
    assert refused.code == 1
    assert "one_depth.npz exists" in refused.err
    assert (out / "one_depth.npz").read_text() == "mine"
    (out / "one_depth.npz").unlink()
    assert run_batch([clip], out=out, model=model, form="npz")[0].done == 1
    other = command(*arguments, "--size", "source")
    assert other.code == 2
    assert "holds outputs with another size (network, now source)" in other.complaint


def test_a_model_that_is_none_is_said_once_and_blocks_nothing(
    folder: Path, tmp_path: Path, command: Command
) -> None:
    clip, out = folder / "clips" / "one.mp4", tmp_path / "out"
    refused = command("batch", clip, "-o", out, "-m", clip, "--workers", 1)
    assert refused.code == 2
    assert "one.mp4 is corrupt or no ONNX model" in refused.complaint
    assert refused.out == ""
    assert not out.exists()
    assert run_batch([clip], out=out, model=folder / "tiny.onnx")[0].done == 1


def test_a_few_failures_may_stop_the_run(folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{tmp_path}/gone{n}.mp4\n" for n in range(9)))
    fields: dict[str, Any] = {"out": tmp_path / "out", "model": folder / "tiny.onnx"}
    totals, _ = run_batch([f"@{listed}"], workers=1, max_failures=2, **fields)
    assert len(totals.failures) == 3
    assert totals.stopped == "more than 2 sources failed (--max-failures)"


def test_without_ray_its_engine_says_what_to_install(
    folder: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = ("batch", folder / "clips", "-o", tmp_path / "out", "-m", folder / "tiny.onnx")
    refused = command(*arguments, "--engine", "ray")
    assert refused.code == 2
    assert "--engine ray needs Ray" in refused.complaint
    assert "[ray]" in refused.complaint
    assert not (tmp_path / "out").exists()


def _workers(driver: subprocess.Popen[str]) -> list[int]:
    """Process ids of the workers of a driver."""
    children = Path(f"/proc/{driver.pid}/task/{driver.pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def _segments(driver: subprocess.Popen[str], count: int) -> None:
    """Wait until so many more segments are done."""
    assert driver.stdout is not None
    for line in driver.stdout:
        count -= json.loads(line)["event"] == "segment"
        if not count:
            return


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("keyframes", [None, Keyframes(0.02)], ids=["every frame", "keyframes"])
def test_kills_of_workers_and_drivers_leave_what_one_run_makes(
    folder: Path, tmp_path: Path, keyframes: Keyframes | None
) -> None:
    clip, out, model = tmp_path / "long.mp4", tmp_path / "out", folder / "slow.onnx"
    encode(clip, 200, sound=True)
    plain = tmp_path / "plain.mp4"
    execute(Job(str(clip), plain, str(model), keyframes=keyframes, provider="cpu"))
    arguments = ("batch", clip, "-o", out, "-m", model, "--segment", 1, "--workers", 2, "--json")
    more = () if keyframes is None else ("--keyframes", "2%")
    first = spawn(*arguments, *more)
    _segments(first, 1)
    for worker in _workers(first):
        os.kill(worker, signal.SIGKILL)
    _segments(first, 2)
    first.kill()
    first.communicate()
    second = outcome(spawn(*arguments, *more), timeout_s=500)
    assert second.code == 0, second.err
    events = events_of(second.out)
    assert [e["output"] for e in events if e["event"] == "done"] == ["long_depth.mp4"]
    assert facts(out / "long_depth.mp4") == facts(plain)
    (line,) = lines_of(out)
    assert line["frames"] == 200
    assert events[-1]["frames"] <= 200 - 3 * 17  # three segments of three groups of pictures


def test_ray_and_fsspec_are_imported_where_they_are_asked_for_alone() -> None:
    code = (
        "import sys, depthrt_archives.cli, depthrt_archives.batch, depthrt_archives.engines.local, "
        "depthrt_archives.engines.ray, depthrt_archives.work.worker, depthrt_archives.progress; "
        "print({'ray', 'fsspec', 's3fs', 'torch', 'onnx'} & {*sys.modules})"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout == "set()\n"


def test_what_cannot_be_done_is_said_before_anything_is_made(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    clips = folder / "clips"
    refused = command("batch", clips, "-o", out, "--format", "npz", "--view", "side")
    assert (refused.code, "--view is for mp4" in refused.err) == (2, True)
    refused = command("batch", clips, "-o", out, "-m", tmp_path / "gone.onnx")
    assert (refused.code, "no model file at" in refused.err) == (2, True)
    assert not out.exists()
    nothing = command("batch", empty, "-o", out, "-m", folder / "tiny.onnx")
    assert (nothing.code, "there is no video and no picture at" in nothing.err) == (2, True)
    assert not out.exists()


def test_a_mistaken_command_leaves_folders_as_they_were(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    clip, model = folder / "clips" / "one.mp4", folder / "tiny.onnx"
    arguments = ("batch", clip, "-m", model, "--workers", 1, "--provider", "nonesuch", "-o")
    assert command(*arguments, tmp_path / "new" / "out").code == 5
    assert not (tmp_path / "new").exists()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("mine")
    assert command(*arguments, theirs).code == 5
    assert [path.name for path in theirs.iterdir()] == ["notes.txt"]
    refused = command(*arguments, theirs / "notes.txt")
    assert (refused.code, "there is a file" in refused.err) == (2, True)


def test_outputs_of_another_format_stay_and_that_is_said(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    clip, out = folder / "clips" / "one.mp4", tmp_path / "out"
    assert run_batch([clip], out=out, model=folder / "tiny.onnx", form="npz")[0].done == 1
    arguments = ("batch", clip, "-o", out, "-m", folder / "tiny.onnx", "--workers", 1)
    made = command(*arguments, "--format", "mkv", "--overwrite")
    assert made.code == 0
    assert f"depthrt: outputs of --format npz stay in {out}, beside the new ones" in made.err
    assert {path.name for path in out.glob("one_*")} == {"one_depth.npz", "one_depth.mkv"}
    assert "stay" not in command(*arguments, "--format", "mkv", "--overwrite").err
