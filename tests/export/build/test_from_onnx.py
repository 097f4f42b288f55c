"""A depthrt `.onnx` file as the source: what it may lack, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from depthrt.errors import WriteError
from depthrt.model.depth_model import DepthModel
from depthrt.spec import METADATA_KEY
from depthrt_export.report.export_report import Report
from helpers.commands import Command

Content = dict[str, Any]


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def changed(
    source: Path,
    target: Path,
    content: Callable[[Content], object] = lambda spec: None,
    graph: Callable[[onnx.GraphProto], object] = lambda graph: None,
) -> Path:
    """The file with its spec or its graph changed in place."""
    model = onnx.load(source)
    spec = json.loads(next(p.value for p in model.metadata_props if p.key == METADATA_KEY))
    content(spec)
    graph(model.graph)
    helper.set_model_props(model, {METADATA_KEY: json.dumps(spec)})
    onnx.save(model, target)
    return target


def search(source: Path, target: Path, frames: str) -> tuple[object, ...]:
    """The quickest search there is: nothing is timed."""
    return (
        "export", source, "-o", target, "--precision", "auto", "--target", "x86-vnni",
        "--frames", frames,
    )  # fmt: skip


def test_a_file_that_says_little_of_itself(
    depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    def forget(spec: Content) -> None:
        spec["provenance"], spec["measured"] = {}, {}

    source = changed(unet.target, tmp_path / "bare.onnx", forget)
    page = tmp_path / "page.html"
    outcome = depthrt(*search(source, tmp_path / "m.onnx", frames), "--report", page)
    assert outcome.code == 0, outcome.err
    assert "4 frames" in outcome.err
    assert DepthModel.load(tmp_path / "m.onnx").spec.precision == "int8"
    assert page.is_file()


def other_input(graph: onnx.GraphProto) -> None:
    graph.input[0].name = "img"
    for node in graph.node:
        node.input[:] = ["img" if name == "image" else name for name in node.input]


def fixed_at(height: int, width: int) -> Callable[[onnx.GraphProto], None]:
    def fix(graph: onnx.GraphProto) -> None:
        sides = graph.input[0].type.tensor_type.shape.dim[2:]
        sides[0].dim_value, sides[1].dim_value = height, width

    return fix


def higher(spec: Content) -> None:
    spec["input"]["height"] = 32


def huge(spec: Content) -> None:
    spec["input"]["height"] = 10**6


def nothing(spec: Content) -> None:
    """Leave the spec as it is."""


@pytest.mark.parametrize(
    ("content", "graph", "sentence"),
    [
        (nothing, other_input, "the input must be one uint8 tensor image N,3,H,W"),
        (higher, fixed_at(64, 96), "the graph takes 64x96, but the spec says 32x96"),
        (huge, fixed_at(64, 96), "height=1000000, which is not an integer in 1..16384"),
    ],
)
def test_a_file_at_odds_with_itself(
    content: Callable[[Content], None],
    graph: Callable[[onnx.GraphProto], None],
    sentence: str,
    depthrt: Command,
    tmp_path: Path,
    unet: Report,
    frames: str,
) -> None:
    source = changed(unet.target, tmp_path / "odd.onnx", content, graph)
    outcome = depthrt(*search(source, tmp_path / "m.onnx", frames))
    assert outcome.code == 2
    assert sentence in outcome.complaint
    assert "odd.onnx" in outcome.complaint
    assert [p.name for p in tmp_path.iterdir()] == ["odd.onnx"]


@pytest.mark.parametrize(
    "given",
    [("--kind", "metric"), ("--name", "x"), ("--size", "64x96"), ("--licence", "MIT"),
     ("--dynamic", "batch"), ("--mean", "0.5"), ("--opset", "21"), ("--no-rewrite",)],
)  # fmt: skip
def test_options_that_a_file_cannot_follow(
    given: tuple[str, ...], depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    outcome = depthrt(*search(unet.target, tmp_path / "m.onnx", frames), *given)
    assert outcome.code == 2
    assert outcome.complaint.endswith(f"leave out {given[0]}")
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence(
    depthrt: Command, tmp_path: Path, unet: Report, frames: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx, "save_model", full)
    monkeypatch.setattr("shutil.copyfile", full)
    outcome = depthrt(*search(unet.target, tmp_path / "m.onnx", frames))
    assert outcome.code == WriteError.exit_code == 1
    assert "cannot be written (No space left on device)" in outcome.complaint
    assert not any(tmp_path.iterdir())


def test_a_file_that_mixes_the_pictures_of_a_batch(
    depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    def mix(graph: onnx.GraphProto) -> None:
        last = next(node for node in graph.node if "depth" in node.output)
        last.output[list(last.output).index("depth")] = "own"
        graph.node.extend(
            [
                helper.make_node("ReduceMax", ["own"], ["greatest"], keepdims=0),
                helper.make_node("Sub", ["own", "greatest"], ["depth"]),
            ]
        )

    source = changed(unet.target, tmp_path / "mixing.onnx", graph=mix)
    outcome = depthrt(*search(source, tmp_path / "m.onnx", frames))
    assert outcome.code == 2
    assert "depends on the other pictures of its batch" in outcome.err
    assert "export it without --dynamic batch" in outcome.err
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/hostname", "absent.bin"])
def test_weights_outside_the_folder_are_not_read(
    place: str, depthrt: Command, tmp_path: Path, unet: Report, frames: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    source = folder / "apart.onnx"
    onnx.save_model(
        onnx.load(unet.target), source, save_as_external_data=True, location="weights.bin",
        size_threshold=0,
    )  # fmt: skip
    (tmp_path / "secret.bin").write_bytes((folder / "weights.bin").read_bytes())
    model = onnx.load(source, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = place
    source.write_bytes(model.SerializeToString())
    outcome = depthrt(*search(source, tmp_path / "m.onnx", frames))
    assert outcome.code == 2
    assert "one of them is missing or lies outside its folder" in outcome.err
    assert not (tmp_path / "m.onnx").exists()
