"""One stream that is watched: what it learns, when it raises an alarm, and when that clears."""

from __future__ import annotations

import numpy as np
import pytest

from depthrt.depth import Depth
from depthrt.monitor.drift import Rate
from depthrt.monitor.reference import Reference, make_reference
from depthrt.monitor.watch import Alarm, Watch, WatchOptions, drifting

QUICK = Rate(step_s=5.0, window=40)


def rows(count: int, seed: int, brightness: float = 0.5) -> list[dict[str, float]]:
    random = np.random.default_rng(seed)
    return [
        {
            "brightness": brightness + 0.05 * random.normal(),
            "contrast": 0.2 + 0.01 * random.normal(),
        }
        for _ in range(count)
    ]


def test_it_learns_then_tells_drift_and_its_end() -> None:
    said, learned = list[str](), list[Reference]()
    options = WatchOptions(learn_s=100, rate=QUICK, model_sha256="abc")
    watch = Watch(options, said.append, learned.append)
    for row in rows(199, 1):
        watch.add(row)
    assert watch.verdict.learning
    watch.add(rows(1, 2)[0])
    watch.settle()
    assert not watch.verdict.learning
    assert (learned[0].frames, learned[0].model, learned[0].in_order) == (200, "abc", True)
    for row in rows(200, 3):
        watch.add(row)
    assert not watch.verdict.drifts
    assert watch.verdict.scores["brightness"].mean == pytest.approx(0.5, abs=0.05)
    for row in rows(60, 4, brightness=0.2):
        watch.add(row)
    assert watch.verdict.drifts
    assert drifting(watch.verdict) == ["brightness"]
    assert watch.verdict.score > 1
    for row in rows(120, 5):
        watch.add(row)
    assert not watch.verdict.drifts
    start = "drift is judged from now on, against the first 100 s of the stream"
    assert said == [start, "drift: brightness", "no drift any more"]


def test_a_given_reference_is_used_from_the_first_full_window_on() -> None:
    usual = make_reference(rows(300, 1), source="a test", sample_s=0.5)
    watch = Watch(WatchOptions(usual, "file", rate=QUICK))
    watch.settle()
    for row in rows(39, 2):
        watch.add(row)
    assert watch.verdict.scores == {}
    watch.add(rows(1, 3)[0])
    assert set(watch.verdict.scores) == {"brightness", "contrast"}
    assert (watch.verdict.samples, watch.verdict.origin) == (40, "file")


def test_alarms_take_two_verdicts_to_raise_and_three_to_clear() -> None:
    def states(*scores: float) -> str:
        alarm, found = Alarm(), ""
        for score in scores:
            alarm = alarm.after(score)
            found += "x" if alarm.raised else "."
        return found

    assert states(0, 1.2, 0, 1.2, 0.9, 1.0) == "......"
    assert states(1.2, 1.2, 0.9, 0.9, 0.9) == ".xxxx"
    assert states(1, 1, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5) == ".xxxxxx."


def test_frames_are_sampled_and_the_next_one_tells_the_flicker() -> None:
    watch = Watch(WatchOptions(sample_s=0.5))
    picture = np.tile(np.arange(96, dtype=np.uint8), (3, 64, 1))
    values = np.tile(np.linspace(0, 1, 96, dtype=np.float32), (64, 1))
    looked = []
    for index in range(100):  # 4 s at 25 frames a second, and then the clip begins anew
        time_s = (index % 50) / 25
        if watch.wants(time_s):
            looked.append(index)
            flickering = values + np.float32(0.1 * (index % 2))
            watch.see(time_s, picture, Depth(flickering, "inverse_depth", None, (64, 96)))
    assert looked[:4] == [0, 1, 13, 14]
    assert watch.verdict.samples == 8
    row = watch._rows[-1]
    assert row["flicker"] == pytest.approx(0.1 / 0.96, abs=0.01)


def test_a_scene_cut_is_no_flicker() -> None:
    watch = Watch(WatchOptions())
    picture = np.zeros((3, 64, 96), np.uint8)
    depth = Depth(np.random.default_rng(0).random((64, 96), np.float32), "depth", "m", (64, 96))
    watch.see(0.0, picture, depth)
    watch.see(0.1, picture, depth, scene_cut=True)
    assert "flicker" not in watch._rows[-1]
    assert "correction" not in watch._rows[-1]


def test_the_correction_of_the_stabiliser_is_a_feature() -> None:
    watch = Watch(WatchOptions())
    picture = np.zeros((3, 64, 96), np.uint8)
    values = np.tile(np.linspace(0, 1, 96, dtype=np.float32), (64, 1))
    steady = Depth(values + np.float32(0.048), "inverse_depth", None, (64, 96))
    watch.see(0.0, picture, steady, values)
    watch.see(0.1, picture, steady, values)
    assert watch._rows[-1]["correction"] == pytest.approx(0.05, abs=0.005)
