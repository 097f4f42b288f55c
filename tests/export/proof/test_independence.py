"""The depth of a picture is that of this picture alone, or the network is refused with a figure."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from depthrt.errors import UsageError
from depthrt.spec import InputSpec
from depthrt_calibration.frames import Sample, sample_frames
from depthrt_export.build.build import build
from depthrt_export.build.onnx_file.from_depthrt import open_float32, pixel_zero
from depthrt_export.console import Phases
from depthrt_export.model_file import write_model
from depthrt_export.options import ExportOptions, SourceOptions, Vary
from depthrt_export.proof.independence import require_alone
from depthrt_export.proof.verify import file_reference, prove
from depthrt_export.quantise.recipes import DynamicRecipe, Material, apply
from depthrt_export.report.export_report import Report, facts
from depthrt_export.sources.load import load_network
from depthrt_export.sources.network import Reference
from depthrt_export.sources.torch_network import TorchNetwork, probe, torch_reference
from helpers.commands import Command

MIXING = Path(__file__).parents[2] / "networks" / "mixing.py"
SIZE = InputSpec(64, 96)
OPEN: frozenset[Vary] = frozenset({"batch"})


@pytest.fixture(scope="module")
def samples(frames: str) -> list[Sample]:
    return sample_frames(frames, 8, SIZE)


def network_of(factory: str) -> tuple[TorchNetwork, Reference]:
    network = load_network(f"{MIXING}:{factory}", SourceOptions())
    return network, torch_reference(network, probe(network))


def refusal(factory: str, samples: Sequence[Sample], *, batch_open: bool) -> str:
    network, run = network_of(factory)
    with pytest.raises(UsageError) as caught:
        require_alone(network, run, samples, batch_open=batch_open)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def figure(sentence: str) -> float:
    found = re.search(r"\((\S+) of the depth's spread", sentence)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize(
    ("factory", "what", "least", "most"),
    [
        ("MinMax", "the other pictures of its batch", 0.05, 10),
        ("SlightMean", "the other pictures of its batch", 0.001, 0.02),
        ("BatchNormOfTheBatch", "the other pictures of its batch", 0.01, 10),
        ("Rolled", "the other pictures of its batch", 0.1, 10),
        ("Position", "its place in the batch", 0.1, 50),
        ("Summed", "its place in the batch", 0.1, 50),
        ("LastOnly", "its place in the batch", 0.01, 1),
        ("FromThreeOn", "the size of its batch", 0.01, 1),
    ],
)
def test_batch_that_changes_a_picture(
    factory: str, what: str, least: float, most: float, samples: list[Sample]
) -> None:
    sentence = refusal(factory, samples, batch_open=True)
    assert f"a depth that depends on {what} (" in sentence
    assert sentence.endswith(
        "export it without --dynamic batch, so that every picture is run alone"
    )
    assert least < figure(sentence) < most
    network, run = network_of(factory)
    require_alone(network, run, samples, batch_open=False)  # one picture a batch: taken


@pytest.mark.parametrize("batch_open", [True, False])
@pytest.mark.parametrize(
    ("factory", "what", "least", "most"),
    [
        ("Kept", "depends on the pictures before (", 1e-7, 1e-3),
        ("Smoothed", "depends on the pictures before (", 0.01, 1),
        ("Dropping", "gives another depth whenever it sees the same picture (", 0.01, 10),
    ],
)
def test_past_or_chance_is_refused_in_any_batch(
    factory: str, what: str, least: float, most: float, batch_open: bool, samples: list[Sample]
) -> None:
    sentence = refusal(factory, samples, batch_open=batch_open)
    assert what in sentence
    assert least < figure(sentence) < most


@pytest.mark.parametrize("factory", ["Plain", "OfEachPicture", "Counting"])
def test_pictures_that_do_not_mix(factory: str, samples: list[Sample]) -> None:
    network, run = network_of(factory)
    require_alone(network, run, samples, batch_open=True)


def test_one_frame_is_enough_to_tell(samples: list[Sample]) -> None:
    assert "the other pictures of its batch" in refusal("MinMax", samples[:1], batch_open=True)
    assert "its place in the batch" in refusal("Position", samples[:1], batch_open=True)


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def test_refusal_at_the_command_line(depthrt: Command, tmp_path: Path, frames: str) -> None:
    command = ("export", f"{MIXING}:MinMax", "-o", tmp_path / "m.onnx", "--frames", frames)
    outcome = depthrt(*command, "--dynamic", "batch")
    assert outcome.code == 2
    assert "export it without --dynamic batch" in outcome.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("factory", ["MinMax", "Position"])
def test_taken_where_every_picture_is_run_alone(
    factory: str, depthrt: Command, tmp_path: Path, frames: str
) -> None:
    target = tmp_path / "m.onnx"
    outcome = depthrt("export", f"{MIXING}:{factory}", "-o", target, "--frames", frames)
    assert outcome.code == 0
    (batch, *_) = ort.InferenceSession(str(target)).get_inputs()[0].shape
    assert batch == 1


@pytest.fixture(scope="module")
def per_pixel(tmp_path_factory: pytest.TempPathFactory, frames: str) -> Report:
    target = tmp_path_factory.mktemp("per_pixel") / "m.onnx"
    options = ExportOptions(vary=OPEN, frames=frames)
    return build(f"{MIXING}:PerPixel", target, SourceOptions(), options, Phases(quiet=True))


def test_proof_says_what_it_compared(per_pixel: Report) -> None:
    together = per_pixel.proof.together
    assert together is not None
    assert together.batches == (2, 5)
    assert together.max_error < 1e-4
    stored = json.loads(json.dumps(per_pixel.spec.measured["proof"]))["batches"]
    assert stored == {**dataclasses.asdict(together), "batches": [2, 5]}
    (line,) = [line for line in facts(per_pixel) if "in batches of" in line]
    assert line.startswith("in batches of 2 and 5 every frame is as it is alone, within ")


def test_dynamic_quantisation_says_that_a_batch_shares_its_ranges(
    per_pixel: Report, samples: list[Sample], tmp_path: Path
) -> None:
    model, _ = open_float32(per_pixel.target)
    made = apply(DynamicRecipe("dynamic"), Material(model, pixel_zero(model), samples))
    path = tmp_path / "dynamic.onnx"
    write_model(made.model, path)
    network, _ = network_of("PerPixel")
    proof = prove(network, file_reference(per_pixel.target), path, samples, OPEN)
    together = proof.together
    assert together is not None
    assert together.ranges_of_batch
    assert 1e-4 < together.max_error < 0.5
    assert proof.facts()["batches"]["ranges_of_batch"]
    line = next(x for x in facts(dataclasses.replace(per_pixel, proof=proof)) if "its batch" in x)
    assert line.startswith("the depth of a frame depends on its batch, whose ranges are taken")


def file_of(path: Path, *nodes: onnx.NodeProto) -> Path:
    """Grey pictures as depth N,H,W in ``grey``; the nodes make ``depth`` of it."""
    batch = ("batch", 3, 64, 96)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["grey"], keepdims=0),
            *nodes,
        ],
        "m",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, batch)],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ("batch", 64, 96))],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path


def grey(
    images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(images.astype(np.float32).mean(1))


def test_file_that_mixes_what_its_network_does_not(tmp_path: Path, samples: list[Sample]) -> None:
    """Alone every frame is exact; the mean over the batch is that of one frame then."""
    path = file_of(
        tmp_path / "m.onnx",
        helper.make_node("Constant", [], ["first"], value_ints=[0]),
        helper.make_node("ReduceMean", ["grey", "first"], ["mean"], keepdims=1),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Mul", ["grey", "half"], ["mine"]),
        helper.make_node("Mul", ["mean", "half"], ["ours"]),
        helper.make_node("Add", ["mine", "ours"], ["depth"]),
    )
    network, _ = network_of("Plain")
    prove(network, grey, path, samples)
    reference = file_reference(path)  # mixes the same way: only the frames alone tell
    with pytest.raises(UsageError, match="that depends on the other pictures of its batch"):
        prove(network, reference, path, samples, OPEN)


def test_file_that_throws_dice(tmp_path: Path, samples: list[Sample]) -> None:
    path = file_of(
        tmp_path / "m.onnx",
        helper.make_node("RandomNormalLike", ["grey"], ["noise"], scale=20.0),
        helper.make_node("Add", ["grey", "noise"], ["depth"]),
    )
    network, _ = network_of("Plain")
    with pytest.raises(UsageError, match="gives another depth whenever it sees the same picture"):
        prove(network, grey, path, samples)


def test_batches_that_cannot_be_run(samples: list[Sample]) -> None:
    network, run = network_of("Plain")

    def single(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(images) > 1:
            raise RuntimeError("one at a time\nplease")
        return run(images)

    with pytest.raises(UsageError, match=r"an error \(one at a time\) for a batch of 2: export"):
        require_alone(network, single, samples, batch_open=True)
