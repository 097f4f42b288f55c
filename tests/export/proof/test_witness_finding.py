"""Normalisation and direction that nobody said, found with the built-in model as the witness."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthrt.model.catalogue.registry import find_model
from depthrt.model.depth_model import DepthModel
from depthrt_calibration.frames import sample_frames
from depthrt_export.proof.witness import (
    COMMON,
    Direction,
    Finding,
    Reading,
    local_rank_correlation,
    probe,
    rank_correlation,
)
from depthrt_export.proof.witness.comparing import MORE_SCENES, SCENES, Image
from depthrt_export.proof.witness.trials import Comparison, pick, shown
from depthrt_export.sources.network import Normalisation, Reference
from helpers.commands import Command

Pixels = NDArray[np.float32]  # 3,h,w
Network = Callable[[Pixels], NDArray[np.float32]]
BOTH: tuple[Direction, Direction] = ("inverse-depth", "depth")
OPEN = [Reading(name, direction) for name in COMMON for direction in BOTH]


@cache
def built_in() -> DepthModel:
    return DepthModel.load("depthrt-s", provider="cpu")


@cache
def images() -> list[Image]:
    return shown(None, built_in().spec.input)[:16]


def found(network: Network, readings: list[Reading] = OPEN, *, metric: bool = False) -> Finding:
    """What probing makes of a network of normalised pixels."""

    def fed(how: Normalisation) -> Reference:
        mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (how.mean, how.std))
        return lambda pixels: network((pixels[0] * np.float32(how.scale) - mean) / std)[None]

    names = {reading.normalisation for reading in readings}
    comparison = Comparison({name: fed(COMMON[name]) for name in names}, metric=metric)
    comparison.show(images())
    return comparison.judge(readings)


def nearness(pixels: Pixels) -> NDArray[np.float32]:
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return np.asarray(built_in().infer(whole[None])[0], np.float32)


def trained_with(how: Normalisation) -> Network:
    """Nearness, if pixels are normalised so."""
    mean, std = (np.array(v, np.float32).reshape(3, 1, 1) for v in (how.mean, how.std))
    return lambda x: nearness((x * std + mean) / how.scale)


def test_normalisation_and_direction_are_found() -> None:
    right = trained_with(COMMON["ImageNet"])
    finding = found(lambda x: -right(x))
    assert finding.picked
    assert finding.best == Reading("ImageNet", "depth")
    assert finding.agreement > 0.99
    assert finding.low > 0
    assert finding.facts()["model"] == "depthrt-s"
    assert finding.evidence().startswith("agreement with depthrt-s 1.00 on 16 frames, next best ")


def test_said_normalisation_leaves_the_direction_to_be_found() -> None:
    right = trained_with(COMMON["0..255"])
    finding = found(right, [Reading("0..255", direction) for direction in BOTH])
    assert (finding.picked, finding.best.direction) == (True, "inverse-depth")
    assert ", next best depth -1.00," in finding.evidence()


def test_wrong_direction_that_was_said_is_told() -> None:
    right = trained_with(COMMON["0..255"])
    finding = found(right, [Reading(name, "depth") for name in COMMON])
    assert not finding.picked
    assert finding.opposed > 0.99
    assert "but 1.00 with --kind inverse-depth): say --mean, --std and --scale" in (
        finding.question()
    )


def _ramp(x: Pixels) -> NDArray[np.float32]:
    return np.repeat(np.arange(x.shape[1], dtype=np.float32)[:, None], x.shape[2], axis=1)


def _brightness(x: Pixels) -> NDArray[np.float32]:
    return np.asarray(x.mean(0), np.float32)


def _noise(x: Pixels) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(x.shape[1:], np.float32)


def _fails(x: Pixels) -> NDArray[np.float32]:
    raise ValueError("not for these numbers")


@pytest.mark.parametrize("network", [_ramp, _brightness, _noise, _fails])
def test_networks_that_see_nothing_are_asked_for(network: Network) -> None:
    finding = found(network)
    assert not finding.picked
    assert "depthrt-s sees other depth however it is fed" in finding.question()
    assert "say --kind inverse-depth, depth or metric and --mean, --std" in finding.question()
    assert "or give --frames with pictures of the kind" in finding.question()


def test_network_that_normalises_by_itself_is_fed_in_any_way() -> None:
    def network(x: Pixels) -> NDArray[np.float32]:
        low, high = x.min(), x.max()
        return nearness((x - low) / (high - low) * 255)

    names = ("pixel/255", "-1..1", "0..255", "-0.5..0.5")
    finding = found(network, [Reading(name, way) for name in names for way in BOTH])
    assert (finding.picked, finding.best.direction) == (True, "inverse-depth")
    assert {finding.best.normalisation, *finding.same} == set(names)
    assert finding.evidence().endswith(": the same depth")


def test_metres_are_the_same_only_where_their_values_are() -> None:
    right = trained_with(COMMON["pixel/255"])

    def network(x: Pixels) -> NDArray[np.float32]:
        size = max(float(x.max()), 1e-6)  # 1 or 255: depth grows with it
        return 10 * size / (right(x / size) + 1)

    readings = [Reading("0..255", "depth"), Reading("pixel/255", "depth")]
    finding = found(network, readings)
    assert (finding.picked, len(finding.same)) == (True, 1)
    finding = found(network, readings, metric=True)
    assert (finding.picked, finding.same) == (False, ())
    assert "say --mean 0 --std 1 --scale 1 or --mean 0 --std 1, or give --frames" in (
        finding.question()
    )


def test_a_margin_within_chance_is_asked_with_both_options() -> None:
    rng = np.random.default_rng(0)
    best = 0.5 + 0.1 * rng.standard_normal(40)
    noise = rng.standard_normal(40)
    near = best - 0.02 + 0.1 * (noise - noise.mean())
    ways = {"ImageNet": list(best), "-1..1": list(near)}
    unlike = {"ImageNet": {"-1..1": 0.8}, "-1..1": {"ImageNet": 0.8}}
    readings = [Reading(name, "depth") for name in ways]
    ours = {name: [-v for v in values] for name, values in ways.items()}  # larger is farther
    finding = probe(readings, ours, unlike)
    assert not finding.picked
    assert finding.low < 0 < finding.high
    assert finding.question().endswith(
        "say --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 or --mean 0.5 --std 0.5, or give "
        "--frames with pictures of the kind that the network was trained for"
    )
    alike = {"ImageNet": {"-1..1": 0.995}, "-1..1": {"ImageNet": 0.995}}
    assert probe(readings, ours, alike).picked


def test_more_frames_are_looked_at_where_two_ways_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("_CLIP", 4), ("_SCENES", 8), ("_MORE_SCENES", 8)):  # few, to be quick
        monkeypatch.setattr(sys.modules["depthrt_export.proof.witness.trials"], name, count)

    def fed(how: Normalisation) -> Reference:
        rng = np.random.default_rng(round(1000 * how.mean[0]))

        def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            depth = built_in().infer(pixels)
            return np.asarray(depth + depth.std() * rng.standard_normal(depth.shape), np.float32)

        return run

    spec = built_in().spec.input
    assert pick(fed, spec, None).frames == 20
    assert pick(trained_in_turn, spec, None).frames == 12


def trained_in_turn(how: Normalisation) -> Reference:
    """Nearness if pixels are 0..255, else nothing."""
    if how == COMMON["0..255"]:
        return built_in().infer
    return lambda pixels: np.zeros(pixels[:, 0].shape, np.float32)


def test_few_frames_are_no_evidence() -> None:
    readings = [Reading("ImageNet", direction) for direction in BOTH]
    assert not probe(readings, {"ImageNet": [0.9] * 7}, {"ImageNet": {}}).picked
    assert not probe(readings, {"ImageNet": [0.9]}, {"ImageNet": {}}).picked
    assert probe(readings, {"ImageNet": [0.9, 0.91] * 4}, {"ImageNet": {}}).picked


def test_local_rank_correlation_leaves_out_most_of_what_a_ramp_explains() -> None:
    ramp = _ramp(np.zeros((3, 48, 64), np.float32))
    bumps = np.zeros_like(ramp)
    for row, column in ((8, 8), (8, 40), (30, 12), (30, 44)):
        bumps[row : row + 8, column : column + 8] = 12
    assert rank_correlation(ramp + bumps, ramp) > 0.9
    assert local_rank_correlation(ramp + bumps, ramp) < 0.6
    assert local_rank_correlation(ramp + bumps, bumps) > 0.6
    assert local_rank_correlation(ramp + bumps, np.exp(0.1 * (ramp + bumps))) == pytest.approx(1)
    assert local_rank_correlation(ramp, -ramp) == pytest.approx(-1)
    assert local_rank_correlation(ramp, np.full_like(ramp, np.nan)) == 0


def test_drawn_scenes_come_with_the_package() -> None:
    frames = sample_frames(str(SCENES), 40, built_in().spec.input)
    assert len(frames) == 40
    assert SCENES.stat().st_size < 500_000
    alike = [rank_correlation(a.pixels[0] * 1.0, b.pixels[0] * 1.0)
             for a, b in pairwise(frames)]  # fmt: skip
    assert max(alike) < 0.9
    more = sample_frames(str(MORE_SCENES), 64, built_in().spec.input)
    assert len(more) == 64
    assert MORE_SCENES.stat().st_size < 800_000


@pytest.mark.slow
def test_file_that_says_nothing_is_exported_and_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(find_model("depthrt-s"))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    depthrt = Command(capfd, monkeypatch)
    outcome = depthrt("export", tmp_path / "bare.onnx", "-o", tmp_path / "mine.onnx")
    assert outcome.code == 0, outcome.err
    assert "found: inverse-depth (agreement with depthrt-s 1.00 on 56 frames" in outcome.err
    made = DepthModel.load(tmp_path / "mine.onnx", provider="cpu").spec
    assert made.kind == "inverse_depth"
    assert made.provenance["found"]["picked"]
