"""The search, with latency made up, so that its choices can be foretold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from depthrt.errors import WriteError
from depthrt.spec import InputSpec, Unit
from depthrt_calibration.frames import sample_frames, split
from depthrt_export.build.build import build
from depthrt_export.build.onnx_file.from_depthrt import open_float32, pixel_zero
from depthrt_export.build.spec import _packages
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.evaluator import Evaluator, LatencyRatio, Timer, time_files
from depthrt_export.proof.labelled_frames import labelled_frames, open_labelled
from depthrt_export.quantise.recipes import Material
from depthrt_export.quantise.targets import TARGETS, other_providers
from depthrt_export.report.export_report import explain, refusal
from depthrt_export.report.html import shown_search
from depthrt_export.report.pareto_plot import write_pareto_plot
from depthrt_export.search.candidates import Candidate, Journal, front, pick, search_key
from depthrt_export.search.search import Found, Limits, Search
from helpers.files.labelled import write_set
from helpers.models.small_model import SIZE, build_model
from networks import collapsing

NETWORK = f"{collapsing.__file__}:collapsing"
SAID = SourceOptions(
    kind="inverse_depth", size=(64, 96), mean=(116.0,) * 3, std=(58.0,) * 3, scale=1.0
)


def paired(ratio: float) -> LatencyRatio:
    return LatencyRatio(ratio, ratio - 0.01, ratio + 0.01, ratio, 1.0, 20)


def by_integers(
    path: Path, reference: Path, image: NDArray[np.uint8], provider: str = "cpu"
) -> LatencyRatio:
    """The more tensors are in 8 bits the faster; 16 bits are slow, as on a real CPU."""
    graph = onnx.load(path).graph
    kinds = [i.data_type for i in graph.initializer]
    if TensorProto.UINT16 in kinds or TensorProto.FLOAT16 in kinds:
        return paired(1.5)
    return paired(1 - 0.05 * sum(kind == TensorProto.INT8 for kind in kinds) / 2)


def always(ratio: float) -> Timer:
    return lambda path, reference, image, provider: paired(ratio)


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory, frames: str) -> Path:
    """The network that collapses, in float32."""
    target = tmp_path_factory.mktemp("loud") / "loud.onnx"
    build(NETWORK, target, SAID, ExportOptions(frames=frames), Phases(quiet=True))
    return target


Run = Callable[..., Found]


@pytest.fixture
def run(loud: Path, frames: str, tmp_path: Path) -> Run:
    model, spec = open_float32(loud)
    calibration, held_out = split(sample_frames(frames, 20, spec.input))
    plain = Evaluator.of(loud, spec.kind, held_out)

    def search(
        measure: Timer = by_integers, journal: Path | None = None, limit: float = 0.03,
        target: str = "host", key: str = "k", providers: tuple[str, ...] = (),
    ) -> Found:  # fmt: skip
        material = Material(model, pixel_zero(model), calibration)
        kept = Journal.open(journal, key)
        limits = Limits(limit, 60)
        evaluator = replace(plain, time_files=measure)
        return Search(
            material, evaluator, TARGETS[target], limits, kept, tmp_path, providers=providers
        ).run()

    return search


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


def test_a_provider_has_to_beat_its_own_float32(run: Run) -> None:
    """The CPU's provider under another name: nothing but the times differs."""

    def times(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> LatencyRatio:
        if provider == "auto":
            kinds = [i.data_type for i in onnx.load(path).graph.initializer]
            return paired(0.6 if TensorProto.INT8 in kinds else 0.5)
        return by_integers(path, reference, image)

    found = run(times, limit=0.5, providers=("auto",))
    assert found.providers == ("cpu", "auto")
    by_name = {c.name: c for c in found.candidates}
    assert by_name["float32 on auto"].ratio == 0.5
    assert not by_name["float32 on auto"].refused
    assert "not clearly faster than float32 through auto (0.50)" in by_name["int8 on auto"].refused
    assert found.picked is not None
    assert found.picked.provider == "auto" or (found.picked.ratio or 1) < 0.53


def in_16_bits(int8: float, float32: float) -> Timer:
    """A provider that takes 0.8 of float32's time, and so much of it in 16 bits."""

    def times(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> LatencyRatio:
        kinds = [i.data_type for i in onnx.load(path).graph.initializer]
        half = int8 if TensorProto.INT8 in kinds else float32
        return paired({"cpu": 1.2, "auto": 0.8, "auto, bf16": half}[provider])

    return times


def test_float_computed_in_16_bits_is_one_more_way(run: Run) -> None:
    found = run(in_16_bits(int8=0.25, float32=0.3), limit=0.5, providers=("auto", "auto, bf16"))
    by_name = {c.name: c for c in found.candidates}
    assert by_name["float32 on auto, bf16"].ratio == 0.3
    assert found.picked is not None
    assert (found.picked.provider, found.picked.recipe[:4]) == ("auto, bf16", "int8")
    assert found.picked.ratio == 0.25
    assert "`depthrt tune` has the file run in bf16" in explain(found)[0]

    found = run(in_16_bits(0.81, 0.81), limit=0.5, providers=("auto", "auto, bf16"))
    by_name = {c.name: c for c in found.candidates}
    assert "float32 through auto (0.80)" in by_name["float32 on auto, bf16"].refused
    assert "float32 through auto, bf16 (0.80)" in by_name["int8 on auto, bf16"].refused
    assert found.picked is not None
    assert found.picked.name == "float32 on auto"


def test_int8_in_16_bits_has_to_beat_float32_in_16_bits(run: Run) -> None:
    found = run(in_16_bits(int8=0.35, float32=0.3), limit=0.5, providers=("auto", "auto, bf16"))
    by_name = {c.name: c for c in found.candidates}
    assert "float32 through auto, bf16 (0.30)" in by_name["int8 on auto, bf16"].refused
    assert found.picked is not None
    assert found.picked.name == "float32 on auto, bf16"


def test_search_goes_on_from_its_journal(run: Run, tmp_path: Path) -> None:
    journal = tmp_path / "search.json"
    first = run(journal=journal)

    def never(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> LatencyRatio:
        raise AssertionError("measured again")

    again = run(never, journal=journal)
    assert (again.candidates, again.picked) == (first.candidates, first.picked)
    assert again.reused == len(first.candidates) + len(first.sensitivity)
    assert run(journal=journal, key="another").reused == 0
    journal.write_text("{half")
    assert run(journal=journal).reused == 0


def test_full_disk_midway_is_one_sentence_and_resumes(run: Run, tmp_path: Path) -> None:
    disk, away = tmp_path / "disk", tmp_path / "away"
    disk.mkdir()
    journal = disk / "search.json"
    calls = 0

    def fills(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> LatencyRatio:
        nonlocal calls
        calls += 1
        if calls == 2:
            disk.rename(away)  # from now on nothing can be written there
        return by_integers(path, reference, image)

    with pytest.raises(WriteError, match=r"search\.json"):
        run(fills, journal=journal)
    away.rename(disk)
    assert len(json.loads(journal.read_text())["entries"]) == 1
    assert run(journal=journal).reused == 1


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


def test_onnxruntime_under_another_name(loud: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheels of the extras gpu and openvino are no distribution called onnxruntime."""
    real = Distribution.from_name

    def from_name(name: str) -> Distribution:
        if name == "onnxruntime":
            raise PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(Distribution, "from_name", from_name)
    assert len(search_key(onnx.load(loud), [], [])) == 64
    assert _packages()["onnxruntime"] == ort.__version__
    assert open_float32(loud)[1].provenance["packages"]["onnxruntime"] == ort.__version__


def test_a_provider_that_does_not_work_is_said(loud: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = ["openvino", "cpu"]
    monkeypatch.setattr("depthrt_export.quantise.targets.offered_providers", lambda: offered)
    monkeypatch.setattr("depthrt_export.quantise.targets.works", lambda path, provider: False)
    assert other_providers(loud) == (
        (), ("provider openvino is installed, but does not work here",)
    )  # fmt: skip
    monkeypatch.setattr("depthrt_export.quantise.targets.works", lambda path, provider: True)
    monkeypatch.setattr("depthrt.system.cpu_features.half_type", lambda: "")
    assert other_providers(loud) == (("openvino",), ())
    monkeypatch.setattr("depthrt.system.cpu_features.half_type", lambda: "bf16")
    assert other_providers(loud) == (("openvino", "openvino, bf16"), ())


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"\xff", b'{"key": "k"}'])
def test_a_broken_journal_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "model.onnx.search.json"
    place.write_bytes(content)
    assert Journal.open(place, "k").entries == {}


def test_entries_that_are_none_are_measured_again(run: Run, tmp_path: Path) -> None:
    journal = tmp_path / "search.json"
    first = run(journal=journal)
    content = json.loads(journal.read_text())
    damaged: list[Any] = [None, [1, 2], "fast", {}, 5]
    for number, name in enumerate(content["entries"]):
        content["entries"][name] = damaged[number % len(damaged)]
    journal.write_text(json.dumps(content))
    again = run(journal=journal)
    assert again.reused == 0
    assert [c.name for c in again.candidates] == [c.name for c in first.candidates]


MEASURED = Candidate("int8", ("a", "b"), 0.01, 0.02, None, LatencyRatio(0.5, 0.4, 0.6, 1.0, 2.0, 9))


@pytest.mark.parametrize(
    "damage",
    [
        {"error": "0.01"},
        {"drop": True},
        {"float_blocks": 3},
        {"float_blocks": [["a"], "b"]},
        {"float_blocks": ["a", "c"]},
        {"latency": 0.5},
        {"latency": {"ratio": 0.1}},
        {"latency": {**asdict(MEASURED)["latency"], "ratio": -1}},
        {"latency": {**asdict(MEASURED)["latency"], "ratio": None}},
        {"provider": "another"},
        {"recipe": "another"},
        {"refused": 1},
    ],
)
def test_entry_of_something_else(damage: dict[str, Any]) -> None:
    good = json.loads(json.dumps(MEASURED.to_dict()))
    journal = Journal(None, "", {"good": good, "bad": {**good, **damage}})
    assert journal.candidate("good", MEASURED) == MEASURED
    assert journal.candidate("bad", MEASURED) is None
    assert journal.candidate("absent", MEASURED) is None


def test_sensitivity_of_other_blocks() -> None:
    entries = {"good": {"a": 1, "b": 0.5}, "text": {"a": 1, "b": "2"}, "one": {"a": 1}, "list": [1]}
    journal = Journal(None, "", entries)
    assert journal.sensitivity("good", ["a", "b"]) == {"a": 1.0, "b": 0.5}
    for name in ("text", "one", "list", "absent"):
        assert journal.sensitivity(name, ["a", "b"]) is None
