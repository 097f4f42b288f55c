"""A rate that is held by changing the model, with real sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthrt import DepthModel, UsageError, stream
from depthrt.pipeline.ladder.model_ladder import Ladder, Rung, build_ladder, model_files, sizes_of
from depthrt.spec import InputSpec, ModelSpec
from depthrt.temporal.display_range import RangeTracker
from helpers.commands import Command
from helpers.models.small_model import build_model, build_slow_model, build_spec

MakeClip = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ladder")
    build_slow_model(place / "heavy.onnx", work=6)
    build_model(place / "light.onnx", gain=3.0, spec=build_spec(name="light"))
    return place


@pytest.fixture(scope="module")
def models(folder: Path) -> list[DepthModel]:
    names = ("light.onnx", "heavy.onnx")
    return [DepthModel.load(folder / name, threads=1) for name in names]


def test_the_slowest_is_the_first_rung(models: list[DepthModel]) -> None:
    ladder = build_ladder(models, 10)
    assert [rung.model for rung in ladder.rungs] == [models[1], models[0]]
    assert ladder.rungs[0].cost_s > 3 * ladder.rungs[1].cost_s
    assert ladder.model is models[1]


def test_a_fixed_batch_costs_what_a_frame_of_it_costs(tmp_path: Path) -> None:
    four = build_slow_model(tmp_path / "four.onnx", work=2)
    fixed = onnx.load(four)
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(fixed, tmp_path / "fixed.onnx")
    models = [DepthModel.load(path, threads=1) for path in (four, tmp_path / "fixed.onnx")]
    ladder = build_ladder(models, 10)
    costs_s = {rung.model.fixed_batch: rung.cost_s for rung in ladder.rungs}
    assert costs_s[4] < 0.6 * costs_s[1]  # its work is that of an inference, not of a frame


def test_a_network_of_dynamic_size_is_a_ladder_by_itself(tmp_path: Path) -> None:
    spec = ModelSpec("any", "inverse_depth", InputSpec(192, 320, "stretch", 32))
    path = build_model(tmp_path / "any.onnx", spec=spec, dynamic_size=True)
    model = DepthModel.load(path)
    sizes = [(each.spec.input.height, each.spec.input.width) for each in sizes_of(model)]
    assert sizes == [(192, 320), (160, 256), (128, 224), (96, 192)]
    assert all(each.session is model.session for each in sizes_of(model))
    ladder = build_ladder([model], 10)
    assert {rung.model.spec.input.height for rung in ladder.rungs} == {192, 160, 128, 96}
    assert not ladder.one_size


def test_what_is_no_ladder_is_said(models: list[DepthModel], tmp_path: Path) -> None:
    metric = ModelSpec("metric", "depth", build_spec().input, unit="m")
    other = DepthModel.load(build_model(tmp_path / "metric.onnx", spec=metric))
    with pytest.raises(UsageError, match=r"--target-fps needs .* only light 48x64"):
        build_ladder(models[:1], 30)
    with pytest.raises(UsageError, match="depth in m and inverse_depth in no unit"):
        build_ladder([models[0], other], 30)
    for target in (0, -3, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=r"--target-fps .* is not above 0"):
            build_ladder(models, target)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no \.onnx file"):
        model_files([str(tmp_path / "empty")])


def images(seconds: float, image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        yield image


def test_a_run_steps_down_when_it_is_too_slow_and_colours_do_not_jump(
    models: list[DepthModel],
) -> None:
    said: list[str] = []
    cost_s = build_ladder(models, 10).rungs[0].cost_s
    ladder = build_ladder(models, 2 / cost_s, said.append)  # twice what the heavy one can do
    rng = np.random.default_rng(5)
    image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    shown: list[tuple[bool, float]] = []
    for result in stream(images(2.5, image), ladder):
        low, high = result.display_range
        values = result.depth.values
        on_light = float(values.max()) > 255  # its gain is 3
        shown.append((on_light, float((np.median(values) - low) / (high - low))))
        assert not result.scene_cut
        if len(shown) > 20 and shown[-20][0]:
            break
    assert [on_light for on_light, _ in shown] == sorted(on_light for on_light, _ in shown)
    assert {on_light for on_light, _ in shown} == {True, False}
    places = [place for _, place in shown]
    assert max(places) - min(places) < 0.01  # of the colour table, though depth tripled
    (sentence,) = said
    assert "tiny 48x64 -> light 48x64, at " in sentence
    told = ladder.as_dict()
    assert [rung["model"] for rung in told["rungs"]] == ["tiny 48x64", "light 48x64"]
    assert sum(rung["share"] for rung in told["rungs"]) == pytest.approx(1, abs=1e-3)
    assert sum(rung["frames"] for rung in told["rungs"]) >= len(shown)
    (switch,) = told["switches"]
    assert (switch["from"], switch["to"]) == ("tiny 48x64", "light 48x64")


def test_the_range_follows_a_change_of_scale_exactly() -> None:
    maps = np.random.default_rng(1).random((3, 40, 40), np.float32)
    tracker = RangeTracker()
    for number, values in enumerate(maps):
        before = tracker.update(values, Fraction(number, 10))
    tracker.change_scale()
    # The same picture by another network: seven times as much, and two more.
    after = tracker.update(7 * maps[2] + 2, Fraction(2, 10))
    assert after == pytest.approx([7 * edge + 2 for edge in before], rel=1e-5)


def test_the_command_says_what_it_used(
    command: Command, folder: Path, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip(frames=6)
    ended = command(
        "run", clip, "-m", folder, "-o", tmp_path / "o.mp4", "--target-fps", 0.1, "--json"
    )
    assert (ended.code, ended.err) == (0, "")
    told = ended.document["ladder"]
    assert told["target_fps"] == 0.1  # slow enough for a busy machine
    assert [(r["model"], r["share"]) for r in told["rungs"]] == [
        ("tiny 48x64", 1.0),
        ("light 48x64", 0.0),
    ]
    assert told["switches"] == []
    text = command(
        "run", clip, make_clip(frames=3), "-m", folder / "light.onnx", "-m",
        folder / "heavy.onnx", "-o", tmp_path / "two", "--target-fps", 0.1,
    )  # fmt: skip
    assert text.code == 0
    assert "| 100% tiny 48x64 (0 switches) on cpu" in text.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-m", "light", "-m", "heavy"], "several -m are steps to hold a rate with"),
        (["-m", "light", "--target-fps", 30], "--target-fps needs something to switch between"),
        (["-m", "light", "-m", "heavy", "--target-fps", 0], "--target-fps 0 is not above 0"),
        (["-m", "light", "-m", "missing", "--target-fps", 30], "no model file at "),
        (["-m", "any", "--target-fps", 30, "-o", "d.npz"], "d.npz holds depth maps of one size"),
    ],
)
def test_ladders_that_cannot_be_are_one_sentence(
    command: Command,
    folder: Path,
    make_clip: MakeClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[object],
    says: str,
) -> None:
    spec = ModelSpec("any", "inverse_depth", InputSpec(192, 320, "stretch", 32))
    any_size = build_model(tmp_path / "any.onnx", spec=spec, dynamic_size=True)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    files = {name: folder / f"{name}.onnx" for name in ("light", "heavy", "missing")}
    files["any"] = any_size
    given = [files.get(str(word), word) for word in options]
    ended = command("run", make_clip(), *given)
    assert says in ended.complaint
    assert (ended.code, ended.out) == (2, "")
    assert not list(Path.cwd().iterdir())


def test_rungs_carry_their_names(models: list[DepthModel]) -> None:
    rungs = [Rung(models[1], 0.1), Rung(models[0], 0.01)]
    assert [rung.name for rung in Ladder(rungs, 5).rungs] == ["tiny 48x64", "light 48x64"]
