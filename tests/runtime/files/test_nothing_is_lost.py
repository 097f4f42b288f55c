"""Files of others survive `depthrt run`, whatever they are called and whenever they come."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depthrt import (
    DepthModel,
    DepthrtError,
    Result,
    TargetError,
    open_source,
    read_depth,
    stream,
)
from depthrt.jobs import run as jobs_run
from depthrt.sinks.base import Sink
from depthrt.sinks.open import open_sink
from helpers.commands import Command, outcome, spawn
from helpers.files.clips import probe
from helpers.files.write_results import write_into
from helpers.models.small_model import build_slow_model

MakeClip = Callable[..., Path]
OUTPUTS = ["out.mp4", "out.mkv", "out.npz", "out"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def frames_of(path: Path) -> int:
    return len(probe(path).times_s) if path.suffix == ".mp4" else len(list(read_depth(path)))


def partials(output: str) -> list[Path]:
    stem, suffix = Path(output).stem, Path(output).suffix
    return sorted(Path().glob(f"{stem}.partial*{suffix}"))


def wait_until_begun(process: subprocess.Popen[str], output: str) -> None:
    deadline_s = time.monotonic() + 60
    while not partials(output):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def everything() -> Iterator[tuple[str, bytes]]:
    for path in sorted(Path().rglob("*")):
        yield str(path), path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize("suffix", ["", ".mp4", ".mkv", ".npz", ".png"])
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_named_like_a_place_of_preparation_survives(
    command: Command, make_clip: MakeClip, model_path: Path, suffix: str, kind: str
) -> None:
    for word in ("partial", "partial-000000", "replaced"):
        place = Path(f"out.{word}{suffix}")
        if kind == "folder":
            place.mkdir()
            place /= "precious.txt"
        place.write_text("precious")
    Path("out.partial.48x64.f32").write_text("precious")
    before = dict(everything())
    run = ["run", make_clip(), "-m", model_path, "-o", f"out{suffix}", "--max-frames", 1]
    for options in ([], ["--overwrite"]):
        ended = command(*run, *options)
        assert (ended.code, ended.err) == (0, "")
        now = dict(everything())
        assert {name: now.get(name) for name in before} == before
        assert {Path(name).parts[0] for name in now.keys() - before.keys()} == {f"out{suffix}"}


def test_sources_in_a_folder_named_so_survive(command: Command, model_path: Path) -> None:
    Path("out.partial").mkdir()
    for number in range(3):
        cv2.imwrite(f"out.partial/{number}.jpg", np.full((16, 24, 3), 40 * number, np.uint8))
    Path("out.partial/precious.txt").write_text("precious")
    before = dict(everything())
    for source in ("out.partial/*.jpg", "out.partial"):
        ended = command("run", source, "-m", model_path, "-o", "out", "--overwrite")
        assert ended.code == 0
        assert len(list(read_depth("out"))) == 3
        now = dict(everything())
        assert {name: now.get(name) for name in before} == before


def run_into(
    sinks: list[Sink], source: Path, model: DepthModel, midway: Callable[[], object]
) -> None:
    """Run a clip into sinks; something happens after the third frame."""

    def results() -> Generator[Result, None, None]:
        with closing(stream(source, model)) as found:
            for number, result in enumerate(found):
                yield result
                if number == 2:
                    midway()

    write_into(sinks, results(), source.name)


def sink_of(output: str, source: Path, model: DepthModel) -> Sink:
    return open_sink(Path(output), open_source(source).info, model.spec, "depth", "inferno")


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder", "link"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_what_comes_to_the_target_meanwhile_survives(
    make_clip: MakeClip, model: DepthModel, output: str, kind: str
) -> None:
    def come() -> None:
        if kind == "file":
            Path(output).write_text("years of work")
        elif kind == "link":
            Path(output).symlink_to("nowhere")
        else:
            Path(output).mkdir()
            if kind == "folder":
                Path(output, "thesis.txt").write_text("years of work")

    with pytest.raises(DepthrtError) as caught:
        run_into([sink_of(output, make_clip(), model)], make_clip(), model, come)
    assert isinstance(caught.value, TargetError)
    (kept,) = partials(output)
    assert str(caught.value) == (
        f"{output} was made or changed by somebody else meanwhile and is left as it is: the "
        f"finished output is in {kept}"
    )
    assert frames_of(kept) == 25
    theirs = Path(output, "thesis.txt") if kind == "folder" else Path(output)
    if kind in ("file", "folder"):
        assert theirs.read_text() == "years of work"
    else:
        assert theirs.is_symlink() if kind == "link" else not list(theirs.iterdir())


@pytest.mark.parametrize("output", OUTPUTS)
def test_two_runs_with_one_output_are_both_whole(
    make_clip: MakeClip, model: DepthModel, output: str
) -> None:
    mine, other = make_clip(), make_clip(frames=9)
    sinks = [sink_of(output, mine, model)], [sink_of(output, other, model)]
    with pytest.raises(TargetError, match="was made or changed by somebody else meanwhile"):
        run_into(sinks[0], mine, model, lambda: run_into(sinks[1], other, model, list))
    assert frames_of(Path(output)) == 9
    (kept,) = partials(output)
    assert frames_of(kept) == 25


def test_the_command_refuses_what_came_meanwhile(make_clip: MakeClip, tmp_path: Path) -> None:
    slow = build_slow_model(tmp_path / "slow.onnx")
    clip = make_clip(frames=40)
    process = spawn("run", clip, "-m", slow, "-o", "out", "--threads", 1)
    wait_until_begun(process, "out")
    Path("out").mkdir()
    Path("out/thesis.txt").write_text("years of work")
    ended = outcome(process)
    assert ended.code == 2
    assert "out was made or changed by somebody else meanwhile" in ended.complaint
    assert Path("out/thesis.txt").read_text() == "years of work"
    assert frames_of(ended.kept) == 40


def test_of_several_streams_one_loses_no_output_to_what_came(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    slow = build_slow_model(tmp_path / "slow.onnx")
    for name in ("a", "b"):
        shutil.copy(make_clip(), f"{name}.mp4")
    run = ["run", "a.mp4", "b.mp4", "-m", slow, "-o", ".", "--format", "npz", "--json"]
    process = spawn(*run, "--threads", 1)
    wait_until_begun(process, "a_depth.npz")
    Path("a_depth.npz").write_text("years of work")
    ended = outcome(process)
    assert Path("a_depth.npz").read_text() == "years of work"
    assert ended.code == 1
    assert frames_of(Path("b_depth.npz")) == frames_of(ended.kept) == 25


def test_an_output_that_fails_at_its_end_costs_no_other(
    make_clip: MakeClip, model: DepthModel
) -> None:
    clip = make_clip()
    sinks = [sink_of(name, clip, model) for name in ("a.npz", "b.mkv", "c", "d.mp4")]

    def come() -> None:
        Path("a.npz").write_text("theirs")
        Path("c").write_text("theirs")

    with pytest.raises(TargetError) as caught:
        run_into(sinks, clip, model, come)
    assert frames_of(Path("b.mkv")) == frames_of(Path("d.mp4")) == 25
    for kept in (*partials("a.npz"), *partials("c")):
        assert frames_of(kept) == 25
        assert str(kept) in str(caught.value)
    assert len(list(Path().iterdir())) == 6  # two outputs, two of others, two that are kept


@pytest.mark.parametrize("overwrite", [False, True])
def test_lines_replace_no_file_that_came_meanwhile(
    command: Command,
    make_clip: MakeClip,
    model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overwrite: bool,
) -> None:
    # The lines begin with the first frame, long after the target was looked at.
    real = jobs_run.open_many

    def opening(*given: Any, **more: Any) -> Any:
        Path("l.jsonl").write_text("years of work")
        return real(*given, **more)

    monkeypatch.setattr(jobs_run, "open_many", opening)
    more = ["--overwrite"] if overwrite else []
    run = ["run", make_clip(frames=5), "-m", model_path, "-o", "o.npz", "--jsonl", "l.jsonl"]
    ended = command(*run, *more)
    if overwrite:
        assert ended.code == 0
        assert len(Path("l.jsonl").read_text().splitlines()) == 5
        return
    assert Path("l.jsonl").read_text() == "years of work"
    assert ended.code == 2
    assert "l.jsonl was made by somebody else meanwhile and is left as it is" in ended.err
    assert not list(Path().glob("l.partial*"))
