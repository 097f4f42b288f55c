"""Every real clip through `depthrt run`: counts, rates, times and durations are the source's."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from depthrt import read_depth
from depthrt.cli import app

CLIPS = (
    "bedroom", "bikes", "dashcam_highway", "dashcam_short", "rollercoaster", "tokyo_walk",
)  # fmt: skip
MATROSKA_TICK_S = Fraction(1, 1000)

pytestmark = [pytest.mark.data, pytest.mark.slow]


class Facts(NamedTuple):
    times_s: list[Fraction]
    rate: Fraction
    duration_s: Fraction


def facts(path: Path) -> Facts:
    """What a player is told of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base_s = stream.time_base or Fraction(1)
        times_s = sorted(p.pts * base_s for p in container.demux(stream) if p.pts is not None)
        units = stream.duration
        duration_s = units * base_s if units else Fraction(container.duration or 0, av.time_base)
        return Facts(times_s, Fraction(stream.average_rate or 0), duration_s)


def run(clip: Path, target: Path) -> None:
    done = CliRunner().invoke(app, ["run", str(clip), "-o", str(target), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["lost"] == ""


@pytest.mark.parametrize("name", CLIPS)
def test_outputs_have_the_sources_frames_rate_times_and_duration(
    data: Path, tmp_path: Path, name: str
) -> None:
    clip = data / "video" / f"{name}.mp4"
    source = facts(clip)
    for suffix in (".mp4", ".mkv", ".npz"):
        run(clip, tmp_path / f"out{suffix}")
    assert facts(tmp_path / "out.mp4") == source
    recorded = facts(tmp_path / "out.mkv")
    assert recorded.rate == source.rate
    assert abs(recorded.duration_s - source.duration_s) <= MATROSKA_TICK_S
    pairs = zip(recorded.times_s, source.times_s, strict=True)
    assert max(abs(a - b) for a, b in pairs) <= MATROSKA_TICK_S / 2
    exact = [depth.values for depth in read_depth(tmp_path / "out.npz")]
    with av.open(str(tmp_path / "out.mkv")) as container:
        step = float(container.metadata["DEPTHRT_STEP"])
    for coded, values in zip(read_depth(tmp_path / "out.mkv"), exact, strict=True):
        assert np.abs(coded.values - values).max() <= step / 2
