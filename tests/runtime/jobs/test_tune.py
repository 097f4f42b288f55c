"""Tuning for the machine: what is measured, kept, used and shown."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from depthrt.errors import TargetError
from depthrt.jobs.run import Job, execute
from depthrt.jobs.tune import block
from depthrt.jobs.tune import tune as tuning
from depthrt.jobs.tune.candidates import configurations, thread_counts
from depthrt.jobs.tune.tune import difference, tune
from depthrt.model import tuning_cache as tuned
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Abort
from depthrt.model.providers import SessionOptions, provider_options
from depthrt.model.session import _takes_part, open_session
from depthrt.model.tuning_cache import Choice, Tuning, cache_file, find_tuning, machine_key, save
from depthrt.pipeline.stream import stream
from depthrt.sources.base import Selection
from depthrt.system.cpu_cores import usable_cores
from helpers.commands import Command
from helpers.models.small_model import build_model

ONE = Choice(SessionOptions("cpu", 1), 1, 2.0, 3.0)
FILES = Choice(SessionOptions("cpu", 1), 4, 7.0, 2.0)
CORES = usable_cores()


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for every test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def only_two(monkeypatch: pytest.MonkeyPatch) -> list[SessionOptions]:
    """Two candidates, so that a tuning is quick."""
    found = [SessionOptions("cpu", CORES), SessionOptions("cpu", CORES, spinning=True)]
    monkeypatch.setattr(tuning, "configurations", lambda: found)
    monkeypatch.setattr(tuning, "measure_block", partial(block.measure_block, block_s=0.02))
    monkeypatch.setattr(tuning, "_load", lambda: 0.0)
    return found


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


def test_run_uses_what_was_found(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(model_path, Tuning(ONE, FILES))
    sizes: list[int] = []
    infer = DepthModel.infer

    def counted(
        self: DepthModel, batch: NDArray[np.uint8], abort: Abort | None = None
    ) -> NDArray[np.float32]:
        sizes.append(len(batch))
        return infer(self, batch, abort)

    monkeypatch.setattr(DepthModel, "infer", counted)
    job = Job("demo", tmp_path / "d.npz", str(model_path), Selection(max_frames=8))
    assert execute(job).frames == 8
    assert sizes == [4, 4]
    sizes.clear()
    execute(replace(job, batch=2, overwrite=True))
    assert sizes == [2] * 4
    sizes.clear()
    execute(replace(job, threads=CORES, overwrite=True))
    assert sizes == [1] * 8
    sizes.clear()
    execute(replace(job, selection=Selection(max_frames=1), overwrite=True))
    assert sizes == [1]


def test_only_auto_is_tuned(model_path: Path) -> None:
    save(model_path, Tuning(ONE, FILES))
    loaded = DepthModel.load(model_path)
    assert loaded.tuned == ONE
    assert loaded.session.get_session_options().intra_op_num_threads == 1
    assert DepthModel.load(model_path, objective="throughput").batch == 4
    for said in ({"provider": "cpu"}, {"threads": 2}, {"spinning": False}):
        untuned = DepthModel.load(model_path, **said)  # type: ignore[arg-type]
        assert untuned.tuned is None
        assert untuned.batch == 1


def content(**options: object) -> str:
    """A cache file with some session options of its latency choice changed."""
    whole = {"version": tuned.CACHE_VERSION, **Tuning(ONE, FILES).as_dict()}
    whole["latency"]["options"].update(options)
    return json.dumps(whole)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"version": 99}',
        content()[:-20],
        content().replace('"version": 2', '"version": 1'),
        content(threads=CORES + 1),
        content(threads=0),
        content(threads="1"),
        content(spinning="yes"),
        content(provider="abacus"),
        content(precision="int1"),
        content(parallel=0),
        content(parallel=5),
        content(parallel="2"),
        content(provider="openvino", parallel=2),
        content(colour="blue"),
        content().replace('"batch": 4', '"batch": 0'),
        content().replace('"frame_ms": 2.0', '"frame_ms": -1'),
        "\udce9",
    ],
)
def test_a_broken_cache_is_as_none(model_path: Path, text: str, command: Command) -> None:
    file = save(model_path, Tuning(ONE, FILES))
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert find_tuning(model_path) is None
    assert DepthModel.load(model_path).tuned is None
    shown = command("info", model_path)
    assert (shown.code, shown.err) == (0, "")
    assert re.search(r"^tuned +no$", shown.out, re.M)


def test_a_tuned_provider_that_is_gone_falls_back(model_path: Path) -> None:
    gone = next(
        name
        for name, full in (("qnn", "QNN"), ("coreml", "CoreML"))
        if f"{full}ExecutionProvider" not in ort.get_available_providers()
    )
    save(model_path, Tuning(replace(ONE, options=SessionOptions(gone)), FILES))
    loaded = DepthModel.load(model_path)
    assert loaded.tuned is None
    assert loaded.provider != gone


def test_another_file_is_another_model(model_path: Path, tmp_path: Path) -> None:
    save(model_path, Tuning(ONE, FILES))
    assert find_tuning(model_path) == Tuning(ONE, FILES)
    assert find_tuning(build_model(tmp_path / "other.onnx", gain=2.0)) is None
    assert find_tuning(tmp_path / "gone.onnx") is None


def test_a_cache_that_cannot_be_written(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert find_tuning(model_path) is None
    with pytest.raises(TargetError, match="set XDG_CACHE_HOME to a folder that can be written"):
        save(model_path, Tuning(ONE, FILES))


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


def test_openvino_is_told_in_its_own_words() -> None:
    options = SessionOptions("openvino", 3, precision="bf16")
    assert provider_options("cpu", options) == {}
    assert provider_options("openvino", SessionOptions("openvino")) == {"device_type": "CPU"}
    told = provider_options("openvino", options)
    assert told["num_of_threads"] == "3"
    assert json.loads(told["load_config"]) == {"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}
    assert options.line() == "openvino, 3 threads, bf16"
    assert SessionOptions.named("openvino, bf16") == SessionOptions("openvino", precision="bf16")
    assert SessionOptions.named("cpu") == SessionOptions("cpu")


@pytest.mark.skipif(
    not hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"),
    reason="this onnxruntime does not say where nodes run",
)
def test_a_provider_without_a_node_takes_no_part(model_path: Path) -> None:
    settings = ort.SessionOptions()
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(str(model_path), settings, providers=["CPUExecutionProvider"])
    assert _takes_part(session, "cpu")
    assert not _takes_part(session, "openvino")
    silent = ort.InferenceSession(str(model_path), providers=["CPUExecutionProvider"])
    assert _takes_part(silent, "openvino")  # it was not asked to keep count


def test_a_tuning_is_kept_beside_whatever_else_is_in_the_cache(model_path: Path) -> None:
    place = save(model_path, Tuning(ONE, ONE))
    for name in (f"{place.stem}.partial.json", "notes.partial"):
        place.with_name(name).write_text("theirs")
    assert save(model_path, Tuning(ONE, FILES)) == place
    assert find_tuning(model_path) == Tuning(ONE, FILES)
    assert len(list(place.parent.iterdir())) == 3
    place.unlink()
    place.mkdir()  # not ours to remove
    with pytest.raises(TargetError, match=r"the tuning cannot be kept \(.* is in .*\.partial-"):
        save(model_path, Tuning(ONE, ONE))
    assert place.is_dir()


def test_a_tuning_from_before_parallel_is_still_read(model_path: Path) -> None:
    old = json.loads(content())
    for objective in ("latency", "throughput"):
        del old[objective]["options"]["parallel"]
    save(model_path, Tuning(ONE, ONE)).write_text(json.dumps(old))
    assert find_tuning(model_path) == Tuning(ONE, FILES)
    assert DepthModel.load(model_path, objective="throughput").parallel == 1


def most_at_a_time(model: DepthModel, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many inferences of a model ran at a time: each waits for another one for a moment."""
    infer, changed, running, most = model.infer, threading.Condition(), [0], [0]

    def counted(batch: NDArray[np.uint8], abort: Abort | None = None) -> NDArray[np.float32]:
        with changed:
            running[0] += 1
            most[0] = max(most[0], running[0])
            changed.wait(0.03)
            running[0] -= 1
        return infer(batch, abort)

    monkeypatch.setattr(model, "infer", counted)
    return lambda: most[0]


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_the_scheduler_runs_as_many_at_a_time_as_were_tuned(
    model_path: Path, parallel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = replace(FILES, options=SessionOptions("cpu", 1, parallel=parallel), batch=2)
    save(model_path, Tuning(ONE, chosen))
    model = DepthModel.load(model_path, objective="throughput")
    assert (model.options, model.batch) == (chosen.options, 2)
    at_a_time = most_at_a_time(model, monkeypatch)
    images = [np.zeros((48, 64, 3), np.uint8)] * 24
    assert sum(1 for _ in stream(images, model)) == 24
    assert at_a_time() == parallel


def test_what_is_tuned_is_what_is_then_run(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Session and batch of a run are those of the candidate, whichever wins."""
    measured: dict[tuple[SessionOptions, int], tuple[int, str, int]] = {}
    of_block = partial(block.measure_block, block_s=0.01)

    def noted(model: DepthModel, batch: int, video: Path) -> block.Block:
        settings = model.session.get_session_options()
        spins = settings.get_session_config_entry("session.intra_op.allow_spinning")
        found = (settings.intra_op_num_threads, spins, model.parallel)
        measured[model.options, batch] = found
        return of_block(model, batch, video)

    monkeypatch.setattr(tuning, "measure_block", noted)
    monkeypatch.setattr(tuning, "BATCHES", (2,))
    outcome = tune(model_path, seconds=0.1)
    assert {(t.options, t.batch) for t in outcome.trials if not t.note} == set(measured)
    for trial in outcome.trials:
        if trial.note:
            continue
        save(model_path, Tuning(trial.choice(), trial.choice()))
        for purpose in ("latency", "live", "throughput"):
            model = DepthModel.load(model_path, objective=purpose)
            assert (model.options, model.batch) == (trial.options, trial.batch)
            settings = model.session.get_session_options()
            spins = settings.get_session_config_entry("session.intra_op.allow_spinning")
            found = (settings.intra_op_num_threads, spins, model.parallel)
            assert found == measured[trial.options, trial.batch]


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
