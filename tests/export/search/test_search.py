"""The search, with latency made up, so that its choices can be foretold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.spec import InputSpec, Unit
from depthrt_calibration.frames import sample_frames, split
from depthrt_export.build.onnx_file.from_depthrt import open_float32, pixel_zero
from depthrt_export.proof.evaluator import Evaluator, LatencyRatio, time_files
from depthrt_export.proof.labelled_frames import labelled_frames, open_labelled
from depthrt_export.quantise.recipes import Material
from depthrt_export.quantise.targets import TARGETS
from depthrt_export.report.export_report import explain, refusal
from depthrt_export.report.html import shown_search
from depthrt_export.report.pareto_plot import write_pareto_plot
from depthrt_export.search.candidates import Candidate, Journal, front, pick
from depthrt_export.search.search import Limits, Search
from helpers.files.labelled import write_set
from helpers.made_up_latency import Run, always, by_integers, paired
from helpers.models.small_model import SIZE, build_model


def test_a_network_that_collapses_is_saved_by_one_float_block(run: Run) -> None:
    found = run()
    plain = next(c for c in found.candidates if c.name == "int8")
    assert plain.error is not None
    assert plain.error > 0.08
    assert found.picked is not None
    assert found.picked.recipe.startswith("int8")
    assert "blocks.2" in found.picked.float_blocks
    assert found.picked.error is not None
    assert found.picked.error <= 0.03
    errors = found.sensitivity[found.picked.recipe]
    assert max(errors, key=lambda name: errors[name]) == "blocks.2"
    lines = explain(found)
    assert lines[0].startswith("picked int8")
    assert "blocks.2" in lines[1]
    assert "16-bit" in lines[2]


def test_equal_input_gives_equal_figures(run: Run) -> None:
    assert run().candidates == run().candidates


def test_what_is_slower_than_float_is_refused(run: Run) -> None:
    found = run(always(1.2), limit=0.5)
    assert found.picked is None
    assert all(c.refused for c in found.candidates)
    assert "not clearly faster than float32: 1.20" in found.candidates[0].refused
    assert "the float32 model was kept (best:" in refusal(found)
    assert [c.recipe for c in found.front] == ["float32"]


def test_barely_faster_is_not_clearly_faster(run: Run) -> None:
    found = run(lambda *_: LatencyRatio(0.97, 0.9, 1.02, 1.0, 1.0, 20), limit=0.5)
    assert found.picked is None


def test_noise_does_not_end_the_recovery(run: Run) -> None:
    """Some blocks in float are no longer clearly faster, but not clearly slower either."""

    def noisy(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> LatencyRatio:
        decided = by_integers(path, reference, image)
        two_blocks_spared = 0.75 < decided.ratio < 0.82
        return replace(decided, low=0.5, high=1.1) if two_blocks_spared else decided

    found = run(noisy, limit=0.006)
    noise = next(c for c in found.candidates if len(c.float_blocks) == 2)
    assert "not clearly faster" in noise.refused
    assert found.picked is not None
    assert len(found.picked.float_blocks) == 3


def test_time_that_is_up_is_said(loud: Path, frames: str, tmp_path: Path) -> None:
    model, spec = open_float32(loud)
    calibration, held_out = split(sample_frames(frames, 20, spec.input))
    times = iter(range(0, 10_000, 40))
    search = Search(
        Material(model, pixel_zero(model), calibration),
        Evaluator.of(loud, spec.kind, held_out, time_files=by_integers),
        TARGETS["host"],
        Limits(0.03, 100),
        Journal(None, "", {}),
        tmp_path,
        clock=lambda: float(next(times)),
    )
    found = search.run()
    assert found.out_of_time
    assert "--budget" in refusal(found)


def test_another_machine_is_not_timed(run: Run) -> None:
    def never(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> LatencyRatio:
        raise AssertionError("timed")

    found = run(never, target="arm64", limit=0.9)
    assert found.picked is not None
    assert (found.picked.recipe, found.picked.ratio) == ("int8, signed", None)
    assert "arm64 is not this machine" in explain(found)[1]


def test_drawings(run: Run, tmp_path: Path) -> None:
    found = run()
    shown = shown_search(found)
    assert found.picked is not None
    for candidate in (*found.front, found.picked):
        assert candidate.name in shown.plot.svg
    assert f"{found.picked.name} (picked)" in shown.plot.svg
    write_pareto_plot(found, tmp_path / "front.png")
    picture = cv2.imread(str(tmp_path / "front.png"))
    assert picture is not None
    assert picture.std() > 5
    (recipe, bars), *_ = shown.sensitivity
    assert recipe == "int8"
    assert "blocks.2" in [block for block, _, _ in bars]
    assert [share for _, _, share in bars] == sorted((s for _, _, s in bars), reverse=True)
    assert bars[0][2] == 1


def test_front_and_pick() -> None:
    fast = Candidate("a", error=0.2, worst=0.3, latency=paired(0.3))
    good = Candidate("b", error=0.02, worst=0.03, latency=paired(0.5))
    beaten = Candidate("c", error=0.03, worst=0.04, latency=paired(0.6))
    refused = Candidate("d", error=0.0, worst=0.0, latency=paired(0.2), refused="why")
    every = [beaten, fast, refused, good]
    assert [c.recipe for c in front(every)] == ["a", "b", "float32"]
    assert pick(every, 0.05) == good
    assert pick(every, 0.5) == fast
    assert pick(every, 0.01) is None
    assert Candidate.from_dict(json.loads(json.dumps(good.to_dict()))) == good
    as_fast = replace(fast, recipe="e", error=0.1, latency=paired(0.31))
    assert pick([fast, as_fast], 0.5) == as_fast
    by_accuracy = replace(fast, drop=0.01)
    assert pick([by_accuracy, good], 0.05) == by_accuracy


def test_pairs_are_run_in_turn_until_it_is_decided(loud: Path) -> None:
    image = np.zeros((3, 64, 96), np.uint8)
    timed = time_files(loud, loud, image, 0.05)
    assert timed.rounds >= 9
    assert timed.low <= timed.ratio <= timed.high


def test_collecting_ranges_ends_with_the_budget(loud: Path, frames: str, tmp_path: Path) -> None:
    model, spec = open_float32(loud)
    calibration, held_out = split(sample_frames(frames, 20, spec.input))
    evaluator = Evaluator.of(loud, spec.kind, held_out, time_files=by_integers)
    ticks = iter(range(10_000))
    search = Search(
        Material(model, pixel_zero(model), calibration), evaluator,
        TARGETS["host"], Limits(0.03, 8),
        Journal(None, "", {}), tmp_path, clock=lambda: float(next(ticks)),
    )  # fmt: skip
    found = search.run()
    assert next(ticks) < 30  # asked before every frame, 16 frames a run
    assert found.out_of_time
    assert found.candidates == ()


@pytest.mark.parametrize("unit", ["m", None])
def test_metres_are_judged_as_they_are(unit: Unit | None, tmp_path: Path) -> None:
    """The tiny model gives 50 and more, which is clamped to the 6 m of the set."""
    model = build_model(tmp_path / "m.onnx")
    truths = labelled_frames(open_labelled(write_set(tmp_path / "set", 2)), 2, InputSpec(*SIZE))
    evaluator = Evaluator.of(model, "depth", [truths[0].sample], truths, unit)
    far = float(np.mean([np.mean((6 - t.seen.truth_m) / t.seen.truth_m) for t in truths]))
    assert far > 3
    if unit == "m":
        assert evaluator.float_abs_rel == pytest.approx(far, rel=1e-3)
    else:
        assert evaluator.float_abs_rel < 0.2
    assert evaluator.drop(model) == 0
