"""Tuning for the machine: what is measured, and what the command shows."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from depthrt.jobs.tune import block
from depthrt.jobs.tune import tune as tuning
from depthrt.jobs.tune.candidates import configurations, thread_counts
from depthrt.jobs.tune.tune import difference, tune
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Abort
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt.model.tuning_cache import cache_file, find_tuning, machine_key
from depthrt.system.cpu_cores import usable_cores
from helpers.commands import Command
from helpers.models.small_model import build_model

CORES = usable_cores()


def test_tune_measures_keeps_and_is_shown(
    model_path: Path, command: Command, only_two: list[SessionOptions]
) -> None:
    assert re.search(r"^tuned +no$", command("info", model_path).out, re.M)
    done = command("tune", model_path, "--seconds", 0.5, "--json")
    assert done.code == 0, done.err
    found = done.document
    tried = {(c["spinning"], c["batch"]) for c in found["candidates"]}
    assert {(False, 1), (True, 1)} <= tried <= {(s, b) for s in (False, True) for b in (1, 2, 4, 8)}
    assert any(batch > 1 for _, batch in tried)  # which of them, the screening's times decide
    assert all(c["frame_ms"] > 0 and c["infer_ms"] > 0 for c in found["candidates"])
    assert all(c["error"] == 0 for c in found["candidates"])
    assert found["latency"]["batch"] == 1
    kept = Path(found["kept"])
    assert kept == cache_file(model_path)
    assert kept.name.endswith(f"-{machine_key()}.json")
    assert [p.name for p in kept.parent.iterdir()] == [kept.name]
    assert "ms a frame" in done.err  # the table
    shown = command("info", model_path, "--json").document["tuned"]
    assert shown == {k: found[k] for k in ("latency", "throughput")}
    assert {c["parallel"] for c in found["candidates"]} == {1}
    assert found["untuned"]["throughput"]["options"] == asdict(only_two[0])
    assert DepthModel.load(model_path).tuned is not None


def test_an_inference_is_timed_with_no_pipeline_beside_it(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inference takes 30 ms in the pipeline's threads, 1 ms in the thread that measures."""
    model, sizes = DepthModel.load(model_path, provider="cpu"), set[int]()
    infer, here = model.infer, threading.current_thread()

    def slow_beside_others(
        batch: NDArray[np.uint8], abort: Abort | None = None
    ) -> NDArray[np.float32]:
        alone = threading.current_thread() is here
        time.sleep(0.001 if alone else 0.03)
        if alone:
            sizes.add(len(batch))
        return infer(batch, abort)

    monkeypatch.setattr(model, "infer", slow_beside_others)
    found = block.measure_block(model, 2, tmp_path / "tuning.mp4", block_s=0.02)
    assert sizes == {2}
    assert 1 <= found.infer_ms < 15
    assert found.frame_ms >= 30 / 2 / model.parallel * 0.9


def test_tune_explains_itself_in_three_lines(
    model_path: Path, command: Command, only_two: list[SessionOptions]
) -> None:
    done = command("tune", model_path, "--seconds", 0.2, "--objective", "throughput")
    *before, kept, files, one = done.out.splitlines()
    assert not any("kept this machine busy" in line for line in before)
    assert kept.startswith("8 candidates, each in turn in the pipeline of `depthrt run`")
    assert files.startswith("files: cpu, ")
    assert one.startswith("cameras, streams, Python: cpu, ")
    for line in (files, one):
        assert line.endswith(("as it runs untuned", "which runs untuned"))
    both = find_tuning(model_path)
    assert both is not None
    assert both.latency == both.throughput


def test_a_candidate_that_changes_depth_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_two: list[SessionOptions]
) -> None:
    model = build_model(tmp_path / "a.onnx")
    wrong = build_model(tmp_path / "b.onnx", gain=1.3)

    def opened(path: Path, options: SessionOptions) -> ort.InferenceSession:
        return open_session(wrong if options.spinning else path, options)

    monkeypatch.setattr(tuning, "open_session", opened)
    found = tune(model, seconds=0.2)
    right, refused = found.trials[:2]
    assert right.note == ""
    assert refused.error > 0.05
    assert refused.note == f"depth differs by {refused.error:.1%} from the CPU provider's"
    assert refused.blocks == {}
    assert not found.tuning.latency.options.spinning
    assert not found.tuning.throughput.options.spinning
    assert {t.batch for t in found.trials if not t.options.spinning} == {1, 2, 4, 8}


def test_a_fixed_batch_is_the_only_one(tmp_path: Path, only_two: list[SessionOptions]) -> None:
    found = tune(build_model(tmp_path / "m.onnx", batch=2), seconds=0.2)
    assert [trial.batch for trial in found.trials] == [2, 2]
    assert found.tuning.latency.batch == found.tuning.throughput.batch == 2


def test_a_tuning_that_cannot_be_kept_is_refused_before_it_is_measured(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(tuning, "tune", lambda *given, **options: pytest.fail("it was measured"))
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    ended = command("tune", model_path)
    assert "the tuning cannot be kept" in ended.complaint
    assert ended.code == 2

    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "expanduser", homeless)
    ended = command("tune", model_path)
    assert "the tuning cannot be kept (Could not determine home directory)" in ended.complaint
    assert ended.code == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seconds", "0"], "--seconds 0 and --max-error 0.05 must be above 0"),
        (["--max-error", "-1"], "--seconds 20 and --max-error -1 must be above 0"),
        (["--objective", "beauty"], "Invalid value for '--objective'"),
    ],
)
def test_options_out_of_range(
    model_path: Path, command: Command, arguments: list[str], sentence: str
) -> None:
    done = command("tune", model_path, *arguments)
    assert done.code == 2
    assert sentence in done.complaint


def test_a_model_that_is_not_there(command: Command, tmp_path: Path) -> None:
    done = command("tune", tmp_path / "gone.onnx")
    assert done.code == 2
    assert "no model file at" in done.complaint


def test_candidates_begin_with_the_untuned_ones(model_path: Path) -> None:
    found = configurations()
    assert len(found) == len(set(found))
    assert thread_counts()[0] == CORES
    assert thread_counts()[-1] == 1
    if ort.get_available_providers()[-1:] == ["CPUExecutionProvider"]:
        cpu = [options for options in found if options.provider == "cpu"]
        untuned = DepthModel.load(model_path, provider="cpu", objective="throughput")
        assert cpu[0] == untuned.options
        assert cpu[0].parallel == min(CORES, 4)
        live = DepthModel.load(model_path, provider="cpu", objective="live")
        assert SessionOptions("cpu", CORES) == live.options == cpu[min(1, CORES - 1)]
        assert SessionOptions("cpu", 1, spinning=True) not in cpu


def test_difference_is_a_share_of_the_spread() -> None:
    expected = np.linspace(0, 100, 101, dtype=np.float32).reshape(1, 1, 101)
    assert difference(expected, expected) == 0
    assert difference(expected, expected + 4.8) == pytest.approx(4.8 / 96)  # 2nd to 98th: 2..98


def test_the_table_has_a_row_for_each_and_says_below_why_it_was_not_taken(
    model_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "measure_block", partial(block.measure_block, block_s=0.01))
    monkeypatch.setattr(tuning, "BATCHES", (2,))
    done = command("tune", model_path, "--seconds", 0.1, "--json")
    _, header, *rows = done.err.splitlines()
    candidates = done.document["candidates"]
    assert header.split()[:3] == ["candidate", "parallel", "batch"]
    assert sum("files" in row.split()[-1:] for row in rows[: len(candidates)]) <= 1
    reasons = [v["reason"] for c in candidates for v in c["beside_choice"].values() if v["reason"]]
    assert len(rows) == len(candidates) + len(reasons)
    below = rows[len(candidates) :]
    assert sorted(line.split(": ", 2)[2] for line in below) == sorted(reasons)
    first = candidates[0]
    assert first["parallel"] == min(CORES, 4)
    assert done.document["sure"] in (True, False)


def test_a_machine_that_is_busy_with_other_work_is_said(
    model_path: Path,
    command: Command,
    only_two: list[SessionOptions],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tuning, "_load", lambda: 9.0 * CORES)
    monkeypatch.setattr(tuning, "BATCHES", ())
    said = f"other programs kept this machine busy (load {9 * CORES:.1f} on {CORES} cores)"
    assert command("tune", model_path, "--seconds", 0.1).out.splitlines()[-4].startswith(said)
