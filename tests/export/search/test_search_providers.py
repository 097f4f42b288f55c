"""A search over several providers, and over float computed in 16 bits."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from depthrt_export.build.onnx_file.from_depthrt import open_float32
from depthrt_export.build.spec import _packages
from depthrt_export.proof.evaluator import LatencyRatio, Timer
from depthrt_export.quantise.targets import other_providers
from depthrt_export.report.export_report import explain
from depthrt_export.search.candidates import search_key
from helpers.made_up_latency import Run, by_integers, paired


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
