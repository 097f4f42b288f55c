"""``depthrt tune --keyframes``: what they gain for files on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from depthrt import DepthModel, Keyframes
from depthrt.confidence_interval import Interval
from depthrt.jobs.tune import block, keyframe_gain, tune
from depthrt.jobs.tune.keyframe_gain import KeyframeGain
from depthrt.model.providers import SessionOptions
from helpers.commands import Command
from helpers.models.small_model import build_model

MakeClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def short(make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short clip, two rounds and one candidate, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(keyframe_gain, "DEMO_CLIP", make_clip(frames=24))
    monkeypatch.setattr(keyframe_gain, "_ROUNDS", 2)
    monkeypatch.setattr(block, "BLOCK_S", 0.02)
    monkeypatch.setattr(tune, "configurations", lambda: [SessionOptions("cpu", 1)])


def test_the_clip_runs_with_and_without(tmp_path: Path) -> None:
    model = DepthModel.load(build_model(tmp_path / "m.onnx"), provider="cpu", threads=1)
    video = tmp_path / "video.mp4"
    found = keyframe_gain.keyframe_gain(model, 1, Keyframes(1.0, audit=0), video)
    assert found.budget == 1.0
    assert found.inferred_share == pytest.approx(4 / 24, abs=1e-3)  # frames 0, 7, 15, 23
    assert 0 < found.time.low <= found.time.ratio <= found.time.high


@pytest.mark.slow
def test_the_command_says_it_and_has_it_in_json(tmp_path: Path, command: Command) -> None:
    model = build_model(tmp_path / "m.onnx")
    arguments = ("tune", model, "--seconds", "0.1", "--keyframes", "50%")
    done = command(*arguments, "--json")
    assert done.code == 0
    assert done.document["keyframes"]["budget"] == 0.5
    assert done.document["keyframes"]["time"]["ratio"] > 0
    said = command(*arguments).out
    assert "files with --keyframes 0.5: " in said
    plain = command("tune", model, "--seconds", "0.1", "--json")
    assert plain.document["keyframes"] is None


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (Interval(0.5, 0.4, 0.6), "it pays"),
        (Interval(0.98, 0.9, 1.07), "it does not surely pay"),
        (Interval(1.2, 1.1, 1.3), "it costs more than it saves"),
    ],
)
def test_the_verdict_follows_the_interval(interval: Interval, said: str) -> None:
    assert KeyframeGain(0.02, interval, 0.2).line().endswith(said)


def test_a_share_that_is_none_is_refused_before_anything_is_measured(command: Command) -> None:
    done = command("tune", "depthrt-s", "--keyframes", "0")
    assert (done.code, "is not a share" in done.complaint) == (2, True)
