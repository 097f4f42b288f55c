"""The float32 likeness of a half-precision graph, and the file it proves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from depthrt.errors import ModelError
from depthrt.model.depth_model import DepthModel
from depthrt.model.golden.entry import GOLDEN_KEY
from depthrt.spec import METADATA_KEY, ModelSpec
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.quantise.emulate_half import rounding_graph
from depthrt_export.quantise.half import to_half
from depthrt_export.report.export_report import Report
from networks.half_chain import SAMPLES, chain
from networks.half_chain import run_first as run

UNET = f"{Path(__file__).parents[2] / 'networks' / 'small_unet.py'}:small_unet"


def test_float16_likeness_is_within_a_last_place_of_float16_itself() -> None:
    model = chain()
    half = to_half(model, "float16", SAMPLES)
    real, exact = run(half.model), run(model)
    likeness = run(rounding_graph(model, "float16", half.kept))
    last_place = np.spacing(np.abs(real).max().astype(np.float16)).astype(np.float32)
    assert np.abs(real - likeness).max() <= last_place
    assert np.abs(exact - likeness).max() > 0


def test_bfloat16_likeness_gives_bfloat16_numbers() -> None:
    model = chain()
    half = to_half(model, "bfloat16", SAMPLES)
    depth = run(rounding_graph(model, "bfloat16", half.kept))
    assert not (depth.view(np.uint32) & 0xFFFF).any()  # what bfloat16 lacks of a float32
    np.testing.assert_allclose(depth, run(model), rtol=0.02)


@pytest.fixture(scope="module")
def bfloat16(tmp_path_factory: pytest.TempPathFactory, frames: str) -> Report:
    """The small U-Net in bfloat16."""
    target = tmp_path_factory.mktemp("bfloat16") / "half.onnx"
    options = ExportOptions(precision="bfloat16", frames=frames)
    return build(UNET, target, SourceOptions(), options, Phases(quiet=True))


def test_bfloat16_is_proven_where_it_does_not_run(bfloat16: Report) -> None:
    assert any("this CPU does not run it (no kernel for Conv" in note for note in bfloat16.notes)
    assert bfloat16.proof.figures["worst_mean_error"] < 0.05
    model = onnx.load(bfloat16.target)
    entries = {p.key: p.value for p in model.metadata_props}
    spec = ModelSpec.from_json(entries[METADATA_KEY])
    assert spec.precision == "bfloat16"
    assert "rounds every tensor" in spec.measured["bfloat16"]["proven_by"]
    assert TensorProto.BFLOAT16 in {i.data_type for i in model.graph.initializer}
    with pytest.raises(ModelError, match="onnxruntime"):
        DepthModel.load(bfloat16.target, provider="cpu")


def test_its_golden_frames_are_of_the_graph_that_rounds(bfloat16: Report) -> None:
    entries = {p.key: p.value for p in onnx.load(bfloat16.target).metadata_props}
    assert GOLDEN_KEY in entries
    if "proven_by" in bfloat16.spec.measured["bfloat16"]:  # a CPU that has no kernels for it
        assert (
            '"by": "a float32 graph that rounds every tensor to bfloat16, on' in entries[GOLDEN_KEY]
        )
