"""The A/B of two commits: its ratios, its file, and a run of an environment against itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.pipeline.before_after import chosen, earlier, main, remarks
from experiments.pipeline.before_after_runs import CASES, summary
from helpers.models.small_model import build_model

SIDE = {"commit": "abc1234", "provider": "cpu", "versions": {"av": "18"}, "model": {"name": "s"}}


def side(**other: Any) -> dict[str, Any]:
    return {**SIDE, **other}


def test_ratios_are_after_over_before() -> None:
    pairs = [({"rate_fps": 50.0}, {"rate_fps": 55.0}), ({"rate_fps": 40.0}, {"rate_fps": 44.0})]
    found = summary(pairs, ["rate_fps"])
    assert found["after_over_before"] == {"rate_fps": {"ratio": 1.1, "low": 1.1, "high": 1.1}}
    assert found["medians"] == {"before": {"rate_fps": 45.0}, "after": {"rate_fps": 49.5}}
    assert found["pairs"] == [[50.0, 55.0], [40.0, 44.0]]


def test_the_interval_is_students() -> None:
    pairs = [({"p99_ms": 1.0}, {"p99_ms": ratio}) for ratio in (0.5, 1.0, 2.0)]
    ratio = summary(pairs, ["p99_ms"])["after_over_before"]["p99_ms"]
    # e to the power of 4.3027 * ln 2 / sqrt 3: two degrees of freedom, 95%
    assert ratio == {"ratio": 1.0, "low": 0.1787, "high": 5.595}


def test_cases_are_chosen_by_name_and_by_environment() -> None:
    plain = {"before": Path("a"), "after": Path("b")}
    both = {**plain, "openvino_before": Path("c"), "openvino_after": Path("d")}
    assert chosen(None, both) == list(CASES)
    assert [case.name for case in CASES if case not in chosen(None, plain)] == ["openvino"]
    assert [case.name for case in chosen("live,720p", plain)] == ["720p", "live"]
    with pytest.raises(ValueError, match="openvino needs --openvino-before and --openvino-after"):
        chosen("openvino", plain)
    with pytest.raises(ValueError, match="there is no case '4k': there are 720p, 1080p"):
        chosen("720p,4k", plain)


def test_what_else_differs_is_said() -> None:
    lines = remarks({"before": side(), "after": side(commit="unknown", versions={"av": "17"})})
    assert lines[0] == "before: commit abc1234, cpu, av 18"
    assert "git+file://localhost/CHECKOUT@COMMIT" in lines[2]
    assert lines[3:] == ["before and after differ in versions: ratios are of that, too"]


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"cases": {}, "sides": {}, "machine": "another"}')
    with pytest.raises(ValueError, match="other commits, packages or machine"):
        earlier(other, {"before": side()})
    for text in ("[1, 2]", "no json", '{"sides": {}}'):
        other.write_text(text)
        with pytest.raises(ValueError, match="is no result of this experiment"):
            earlier(other, {})
    assert other.read_text() == '{"sides": {}}'


def test_wrong_options_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "ab.json"
    sides = ["--before", str(tmp_path / "none"), "--after", sys.executable, "-o", str(output)]
    for options, said in (
        (["--pairs", "1"], "--pairs and --frames are 2 or more"),
        (["--cases", "8k"], "there is no case '8k'"),
        ([], f"{tmp_path / 'none'}: "),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*sides, *options])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
    assert not output.exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_environment_against_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, output = build_model(tmp_path / "tiny.onnx"), tmp_path / "ab.json"
    options = ["--before", sys.executable, "--after", sys.executable, "-o", str(output)]
    options += ["-m", str(model), "--minutes", "0", "--pairs", "2", "--frames", "6"]
    options += ["--run-seconds", "0.3"]
    assert main([*options, "--cases", "four_recordings,live"]) == 0
    first = json.loads(output.read_text())
    assert list(first["cases"]) == ["four_recordings", "live"]
    assert first["sides"]["before"] == first["sides"]["after"]
    assert first["sides"]["before"]["model"]["name"] == "tiny"
    assert str(tmp_path) not in first["command"]
    four, live = first["cases"]["four_recordings"], first["cases"]["live"]
    assert 2 <= four["frames_each"] <= 6
    assert sorted(four["after_over_before"]) == ["rate_fps", "whole_fps"]
    assert four["medians"]["before"]["whole_fps"] < four["medians"]["before"]["rate_fps"]
    assert 0 < live["source_fps"] <= 1000
    assert 0 < live["medians"]["after"]["p50_ms"] <= live["medians"]["after"]["p99_ms"]
    capsys.readouterr()
    assert main([*options, "--cases", "eight_streams"]) == 0
    assert f"{output} has four_recordings, live already" in capsys.readouterr().out
    second = json.loads(output.read_text())["cases"]
    assert list(second) == ["four_recordings", "eight_streams", "live"]
    assert second["live"] == live
    assert len(second["eight_streams"]["pairs"]) == 2
