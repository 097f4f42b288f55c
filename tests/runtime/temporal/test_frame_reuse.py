"""Frames that did not change are not computed, and nothing else is given old depth."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import DepthModel, Result, Reuse, Stats, UsageError, stream, stream_many
from depthrt.model.inference import Abort
from depthrt.sources.images import IMAGES_PER_S
from depthrt.temporal.frame_reuse import ReuseGate
from helpers.files.clips import picture
from helpers.models.small_model import SIZE, WEIGHTS, build_model

Picture = NDArray[np.uint8]


def grey(level: int, size: tuple[int, int] = SIZE) -> Picture:
    return np.full((*size, 3), level, np.uint8)


def depth_of(level: int) -> float:
    return level * sum(WEIGHTS)


def planes(image: Picture) -> Picture:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def run(model: DepthModel, pictures: Sequence[Picture], **options: Any) -> list[Result]:
    return list(stream(pictures, model, **options))


def levels(results: Sequence[Result]) -> list[float]:
    return [float(result.depth.values[0, 0]) for result in results]


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_unchanged_frames_have_the_depth_before_them_whatever_the_batch(
    model: DepthModel, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    infer = model.infer

    def counting(pixels: NDArray[np.uint8], abort: Abort | None) -> NDArray[np.float32]:
        computed.extend(int(level) for level in pixels[:, 0, 0, 0])
        return infer(pixels, abort)

    monkeypatch.setattr(model, "infer", counting)
    given = [100, 101, 102, 60, 60, 61, 100, 100]
    stats = Stats()
    results = run(model, [grey(g) for g in given], batch=batch, reuse=Reuse(3.0), stats=stats)
    assert computed == [100, 60, 100]
    assert [r.reused for r in results] == [False, True, True, False, True, True, False, True]
    assert levels(results) == [depth_of(g) for g in (100, 100, 100, 60, 60, 60, 100, 100)]
    assert [r.frame.index for r in results] == list(range(8))
    assert (stats.frames, stats.reused) == (8, 5)


def test_slow_change_adds_up_until_it_is_seen(model: DepthModel) -> None:
    results = run(model, [grey(50 + i) for i in range(12)], reuse=Reuse(4.0))
    assert [r.frame.index for r in results if not r.reused] == [0, 5, 10]


def test_depth_is_computed_again_when_it_is_too_old(model: DepthModel) -> None:
    step_s = float(1 / IMAGES_PER_S)
    results = run(model, [grey(9)] * 7, reuse=Reuse(4.0, max_age_s=3 * step_s))
    assert [r.frame.index for r in results if not r.reused] == [0, 3, 6]


def test_something_small_that_moves_is_seen(model: DepthModel) -> None:
    second = grey(100)
    second[20:22, 30:32] = 140  # one cell of the thumbnail, 1/768 of the picture
    assert [r.reused for r in run(model, [grey(100), second], reuse=Reuse())] == [False, False]


def test_noise_of_a_sensor_is_no_change() -> None:
    rng = np.random.default_rng(1)
    gate = ReuseGate(Reuse())
    still = np.full((3, 192, 320), 128.0)
    seen = [
        gate.unchanged(np.clip(still + rng.normal(0, 5, still.shape), 0, 255).astype(np.uint8), t)
        for t in (Fraction(i, 25) for i in range(20))
    ]
    assert seen == [False] + [True] * 19


def test_a_clock_that_goes_back_and_another_size_are_computed() -> None:
    gate = ReuseGate(Reuse())
    assert not gate.unchanged(planes(grey(80)), Fraction(5))
    assert gate.unchanged(planes(grey(80)), Fraction(6))
    assert not gate.unchanged(planes(grey(80)), Fraction(4))
    assert not gate.unchanged(planes(grey(80, (64, 64))), Fraction(4))
    gate.reset()
    assert not gate.unchanged(planes(grey(80, (64, 64))), Fraction(4))


def test_streams_remember_each_their_own(model: DepthModel) -> None:
    still, moving = [grey(70)] * 6, [grey(10 + 20 * i) for i in range(6)]
    stats: dict[str, Stats] = {}
    sources = {"still": still, "moving": moving}
    results = list(stream_many(sources, model, batch=4, reuse=Reuse(), stats=stats))
    values = {
        name: [float(r.depth.values[0, 0]) for r in results if r.frame.stream == name]
        for name in sources
    }
    assert values["still"] == [depth_of(70)] * 6
    assert values["moving"] == [depth_of(10 + 20 * i) for i in range(6)]
    assert (stats["still"].reused, stats["moving"].reused) == (5, 0)


def test_without_it_every_frame_is_computed(model: DepthModel) -> None:
    assert not any(r.reused for r in run(model, [grey(7)] * 3))


def test_a_stream_whose_frame_fails_ends_alone(tmp_path: Path) -> None:
    # Brightness 3 and more overflows float32: infinite depth.
    model = DepthModel.load(build_model(tmp_path / "hot.onnx", gain=2e38), provider="cpu")
    failed: dict[str, BaseException] = {}
    sources = {"dark": [grey(1)] * 5, "bright": [grey(1)] + [grey(200)] * 4}
    results = list(
        stream_many(sources, model, batch=4, reuse=Reuse(), on_failure=failed.__setitem__)
    )
    assert list(failed) == ["bright"]
    assert [r.reused for r in results if r.frame.stream == "dark"] == [False] + [True] * 4


@pytest.mark.parametrize("bright", [[200] * 6, [1, 200, 200, 90, 200]])
def test_a_stream_that_failed_gives_no_more_although_its_frames_are_under_way(
    tmp_path: Path, bright: list[int]
) -> None:
    path = build_model(tmp_path / "hot.onnx", gain=2e38)
    model = DepthModel.load(path, objective="throughput")
    failed: list[str] = []
    sources = {"dark": [grey(1)] * 8, "bright": [grey(level) for level in bright]}
    results = list(
        stream_many(
            sources, model, batch=1, reuse=Reuse(), on_failure=lambda name, _: failed.append(name)
        )
    )
    assert failed == ["bright"]
    seen = [r.frame.index for r in results if r.frame.stream == "bright"]
    assert seen == list(range(bright.index(200)))
    assert len([r for r in results if r.frame.stream == "dark"]) == 8


def test_bad_limits_are_refused() -> None:
    with pytest.raises(UsageError, match="--reuse-threshold -1 is no difference in grey levels"):
        Reuse(-1)
    with pytest.raises(UsageError, match="--reuse-threshold nan"):
        Reuse(float("nan"))
    with pytest.raises(UsageError, match="--reuse-max-age 0 is not above 0 s"):
        Reuse(max_age_s=0)


def test_a_picture_that_moves_is_computed_every_time(model: DepthModel) -> None:
    pictures = [picture(4 * i, SIZE) for i in range(4)]
    assert not any(r.reused for r in run(model, pictures, reuse=Reuse()))


def test_each_result_is_its_own_to_work_on(model: DepthModel) -> None:
    seen = []
    for result in stream([grey(100)] * 4, model, reuse=Reuse()):
        seen.append(float(result.depth.values.mean()))
        result.depth.values[:] *= 0.5
    assert seen == [seen[0]] * 4
