"""`depthrt info`: the summary of a model, and every field of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import Command
from helpers.models.small_model import build_model, build_spec

MEASURED = {
    "proof": {"frames": 8, "mean_error": 2.5e-7, "worst_mean_error": 3.3e-7},
    "int8": {
        "frames": 15,
        "mean_error": 0.0315,
        "worst_mean_error": 0.0568,
        "latency_ratio": 0.7575,
        "latency_ratio_interval": [0.6766, 0.8805],
    },
    "frames": {"source": "clip.mp4", "count": 15, "same_source_as_calibration": ["clip.mp4"]},
}


def rows(command: Command, path: Path, *options: str) -> dict[str, str]:
    ended = command("info", path, *options)
    assert (ended.code, ended.err) == (0, "")
    pairs = [line.split(maxsplit=1) for line in ended.out.splitlines()]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def test_the_summary_is_short_and_says_what_counts(command: Command, tmp_path: Path) -> None:
    spec = replace(
        build_spec(),
        precision="int8",
        output_range=(0.5, 3.25),
        provenance={"assumed": {"input": "pixel/255, assumed"}, "packages": {"torch": "2"}},
        measured=MEASURED,
    )
    path = build_model(tmp_path / "m.onnx", spec=spec)
    shown = rows(command, path)
    assert len(shown) <= 18
    assert shown["kind"] == "inverse_depth, relative, larger is nearer; 0.5 to 3.25 was seen"
    assert shown["assumed.input"] == "pixel/255, assumed"
    assert shown["proof"] == "error 2.5e-07 of the depth's spread, worst frame 3.3e-07, 8 frames"
    assert shown["int8"] == (
        "error beside float32 0.032 of the depth's spread, worst frame 0.057, 15 frames; "
        "0.76 [0.68, 0.88] of float32's time where it was made"
    )
    assert shown["judged"].endswith("15 frames of clip.mp4, which it was calibrated on, too")
    assert "provenance.packages.torch" not in shown
    assert rows(command, path, "--all")["provenance.packages.torch"] == "2"


@pytest.mark.parametrize("measured", [{}, {"proof": 3, "int8": {"mean_error": "x"}, "frames": []}])
def test_a_file_that_says_less_has_fewer_lines(
    measured: dict[str, Any], command: Command, tmp_path: Path
) -> None:
    path = build_model(tmp_path / "m.onnx", spec=replace(build_spec(), measured=measured))
    shown = rows(command, path)
    assert not shown.keys() & {"proof", "int8", "judged", "search"}
    assert shown["golden"] == "no frames"
    assert shown["tuned"] == "no"


IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "scale": 1 / 255}
SHOWN = "mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225, pixels x 0.003922"


@pytest.mark.parametrize(
    ("more", "known"),
    [
        ({}, "said"),
        ({"assumed": {"input": "pixel/255, assumed; say --mean/--std"}}, "assumed"),
        ({"assumed": {"input": "(pixel x scale - mean) / std with std 1"}}, "partly assumed"),
        ({"found": {"open_normalisation": True}}, "found"),
        ({"found": {"open_normalisation": False}}, "said"),
    ],
)
def test_the_normalisation_and_how_it_is_known(
    more: dict[str, Any], known: str, command: Command, tmp_path: Path
) -> None:
    provenance = {"normalisation": IMAGENET, **more}
    path = build_model(tmp_path / "m.onnx", spec=replace(build_spec(), provenance=provenance))
    assert rows(command, path)["normalisation"] == f"{SHOWN} ({known})"


def test_what_was_found_and_the_metres(command: Command, tmp_path: Path) -> None:
    provenance = {
        "seen": ["input: x", "found: ImageNet and depth (agreement with depthrt-s 0.33)"],
        "metres": {
            "formula": "1/metres = 0.07 x depth - 0.03",
            "point_count": 7,
            "error": {"abs_rel": 0.152, "low": 0.05, "high": 0.3812, "left_out": "point"},
        },
    }
    path = build_model(tmp_path / "m.onnx", spec=replace(build_spec(), provenance=provenance))
    shown = rows(command, path)
    assert shown["found"] == "ImageNet and depth (agreement with depthrt-s 0.33)"
    assert shown["metres"] == (
        "1/metres = 0.07 x depth - 0.03; 7 points; "
        "AbsRel of a point left out 0.15, 95% 0.05 to 0.38"
    )


@pytest.mark.parametrize(
    "provenance",
    [
        {"normalisation": 3, "found": [], "seen": 5, "metres": "x"},
        {"normalisation": {"mean": ["a"] * 3, "std": [1, 1, 1], "scale": 1}, "seen": [None]},
        {"metres": {"formula": 2, "error": 4}},
    ],
)
def test_notes_of_another_form_are_left_out(
    provenance: dict[str, Any], command: Command, tmp_path: Path
) -> None:
    path = build_model(tmp_path / "m.onnx", spec=replace(build_spec(), provenance=provenance))
    assert not rows(command, path).keys() & {"normalisation", "found", "metres"}
