"""``depthrt run --keyframes`` as one types it: outputs, the summary, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from depthrt import read_depth
from helpers.commands import Command


def test_depth_of_every_frame_and_the_error_in_the_summary(
    tmp_path: Path, command: Command
) -> None:
    done = command(
        "run", "demo", "--max-frames", "48", "--keyframes", "2%", "--audit", "25%",
        "-o", tmp_path / "depth.npz", "--jsonl", tmp_path / "depth.jsonl", "--json",
    )  # fmt: skip
    facts = done.document["keyframes"]
    lines = [json.loads(line) for line in (tmp_path / "depth.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(48))
    inferred = sum(line["inferred"] for line in lines)
    assert facts["inferred"] == inferred
    assert facts["interpolated"] == 48 - inferred > 16
    assert facts["inferred_share"] == pytest.approx(inferred / 48, abs=1e-4)
    errors = [line["audit_error"] for line in lines if "audit_error" in line]
    assert facts["audits"] == len(errors) > 0
    assert facts["mean_error"] == pytest.approx(np.mean(errors), abs=1e-4)
    assert facts["worst_error"] == pytest.approx(max(errors), abs=1e-4)
    assert facts["mean_error"] < 0.02
    assert facts["keyframe_age_ms"] is None
    assert len(list(read_depth(tmp_path / "depth.npz"))) == 48


def test_the_line_says_how_many_frames_the_network_saw(tmp_path: Path, command: Command) -> None:
    done = command(
        "run", "demo", "--max-frames", "24", "--keyframes", "0.02", "--audit", "100%",
        "-o", tmp_path / "depth.mkv",
    )  # fmt: skip
    assert "| network on 100% of the frames, the others off by" in done.out
    assert "audited)" in done.out


def test_without_it_nothing_is_said_of_it(tmp_path: Path, command: Command) -> None:
    done = command("run", "demo", "--max-frames", "3", "-o", tmp_path / "depth.mkv", "--json")
    assert done.document["keyframes"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--keyframes", "0"), "--keyframes '0' is not a share such as 5% or 0.05"),
        (("--keyframes", "200%"), "--keyframes '200%' is not a share"),
        (("--keyframes", "2%", "--audit", "often"), "--audit 'often' is not a share"),
        (("--audit", "2%"), "give --keyframes, too"),
    ],
)
def test_what_is_no_share_is_refused(command: Command, options: tuple[str, ...], said: str) -> None:
    done = command("run", "demo", *options, "-o", "unused.mkv")
    assert done.code == 2
    assert said in done.complaint
