"""Tuning for the machine: what is measured, kept, used and shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from commands import Command
from depthrt.errors import TargetError
from depthrt.jobs import tune as tuning
from depthrt.jobs.run import Job, execute
from depthrt.jobs.tune import Trial, configurations, difference, thread_counts, tune
from depthrt.model import tuning_cache as tuned
from depthrt.model.depth_model import Abort, DepthModel
from depthrt.model.providers import SessionOptions, provider_options
from depthrt.model.session import _takes_part, open_session, usable_cores
from depthrt.model.tuning_cache import Choice, Tuning, cache_file, find_tuning, machine_key, save
from depthrt.sources.base import Selection
from models import build_model

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
    monkeypatch.setattr(tuning, "_BLOCK_S", 0.02)
    return found


def test_tune_measures_keeps_and_is_shown(
    model_path: Path, command: Command, only_two: list[SessionOptions]
) -> None:
    assert "tuned                        no" in command("info", model_path).out
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
    assert DepthModel.load(model_path).tuned is not None


def test_tune_explains_itself_in_three_lines(
    model_path: Path, command: Command, only_two: list[SessionOptions]
) -> None:
    done = command("tune", model_path, "--seconds", 0.2, "--objective", "throughput")
    kept, files, one = done.out.splitlines()[-3:]
    assert kept.startswith("8 candidates, each in turn in the pipeline of `depthrt run`")
    assert files.startswith("files: cpu, ")
    assert one.startswith("cameras, streams, Python: cpu, ")
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
    assert refused.frame_ms == []
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
    assert "tuned                        no" in shown.out


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
    import depthrt.jobs.tune as module

    monkeypatch.setattr(module, "tune", lambda *given, **options: pytest.fail("it was measured"))
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


def test_candidates_begin_with_the_default() -> None:
    found = configurations()
    assert len(found) == len(set(found))
    assert thread_counts()[0] == CORES
    assert thread_counts()[-1] == 1
    if ort.get_available_providers()[-1:] == ["CPUExecutionProvider"]:
        cpu = [options for options in found if options.provider == "cpu"]
        assert cpu[0] == SessionOptions("cpu", CORES)
        assert SessionOptions("cpu", 1, spinning=True) not in cpu


def test_ties_go_to_the_simpler_candidate() -> None:
    trials = [
        Trial(SessionOptions("cpu", n), batch, infer_ms=[infer], frame_ms=[frame])
        for n, batch, infer, frame in ((4, 1, 10.0, 12.0), (2, 1, 9.8, 11.0), (1, 8, 60.0, 10.0))
    ]
    assert tuning._best(trials, "latency").options.threads == 4  # 2% slower
    assert tuning._best(trials, "throughput").batch == 8
    trials[1].infer_ms = [9.0]
    assert tuning._best(trials, "latency").options.threads == 2


def test_medians_of_blocks_count() -> None:
    trial = Trial(SessionOptions("cpu"), infer_ms=[5.0, 50.0, 6.0], frame_ms=[7.0, 8.0, 90.0])
    assert (trial.choice().infer_ms, trial.choice().frame_ms) == (6.0, 8.0)


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
