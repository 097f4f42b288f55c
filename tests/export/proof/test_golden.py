"""Golden frames of exported files: small, of what the file gives, with a tolerance that tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from depthrt import DepthModel
from depthrt.model.golden.entry import GOLDEN_KEY, MOST_CHARACTERS, Golden
from depthrt.model.golden.replay import golden_of, replay
from depthrt.spec import InputSpec, ModelSpec
from depthrt_calibration.frames import Sample
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.model_file import put_in_place
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.field_checks import make_golden, tolerance_of
from depthrt_export.report.export_report import Report
from helpers.models.small_model import build_model, build_spec, expected_depth

NETWORKS = Path(__file__).parents[2] / "networks"
UNET = f"{NETWORKS / 'small_unet.py'}:small_unet"


def golden_in(path: Path) -> Golden:
    """The golden frames of a file, replayed on the CPU and found right."""
    model = DepthModel.load(path, provider="cpu", verify=False)
    golden = golden_of(model)
    assert golden is not None
    for frame in golden.frames:
        assert replay(model, frame).error <= golden.tolerance.cpu
    return golden


def entry(path: Path) -> str:
    """The entry in a file's metadata."""
    return {p.key: p.value for p in onnx.load(path).metadata_props}[GOLDEN_KEY]


def test_an_export_carries_three_golden_frames(unet: Report) -> None:
    golden = golden_in(unet.target)
    assert 1 <= len(golden.frames) <= 3
    assert golden.tolerance.cpu == 1e-3
    assert golden.tolerance.others == 0.05
    assert golden.by.startswith("onnxruntime ")
    assert len(entry(unet.target)) <= MOST_CHARACTERS
    first, *others = [frame.label for frame in golden.frames]
    assert first.endswith(" in high contrast")
    assert len({first.removesuffix(" in high contrast"), *others}) == len(golden.frames)
    count = len(golden.frames)
    assert any(f"{count} golden frame" in note and "of frames" in note for note in unet.notes)


def test_int8_allows_what_it_loses_itself(unet_int8: Report) -> None:
    golden = golden_in(unet_int8.target)
    own = unet_int8.proof.figures["worst_mean_error"]
    assert golden.tolerance.cpu >= max(0.02, float(f"{own / 3:.2g}"))
    assert golden.tolerance.others >= float(f"{own:.2g}")
    assert golden.tolerance.others >= golden.tolerance.cpu


def test_a_tolerance_follows_precision_and_error() -> None:
    assert tolerance_of("float32", 1e-6).cpu == 1e-3
    assert tolerance_of("float32", 0.2).cpu == 1e-3
    assert tolerance_of("int8", 0.001).cpu == 0.02
    assert tolerance_of("int8", 0.12345).others == 0.123
    assert tolerance_of("int8", 0.12345).cpu == 0.0411  # saturated sums differ by 0.12 and more
    assert tolerance_of("float16", 0.03).cpu == 0.03  # where float32's kernels serve
    assert tolerance_of("float16", 0.0).others == 0.05


def test_no_golden_leaves_them_out(tmp_path: Path, frames: str) -> None:
    options = ExportOptions(frames=frames, golden=False)
    report = build(UNET, tmp_path / "a.onnx", SourceOptions(), options, Phases(quiet=True))
    assert not any("golden" in note for note in report.notes)
    model = DepthModel.load(report.target, provider="cpu")
    assert golden_of(model) is None


def samples(size: tuple[int, int], count: int = 5) -> list[Sample]:
    """Noise, which no compression makes smaller."""
    random = np.random.default_rng(2)
    return [
        Sample(random.integers(0, 256, (3, *size), np.uint8), f"noise {i}") for i in range(count)
    ]


@pytest.mark.parametrize("size", [(518, 518), (1022, 770), (48, 64), (1, 1)])
def test_frames_of_any_size_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    spec = build_spec(size)
    path = build_model(tmp_path / "large.onnx", size=size, spec=spec)
    golden = make_golden(path, spec, samples(size))
    assert len(golden.to_json()) <= MOST_CHARACTERS - 10_000
    put_in_place(onnx.load(path), spec, tmp_path / "with.onnx", golden=golden)
    assert golden_in(tmp_path / "with.onnx") == golden
    assert (golden.frames[0].height == size[0]) == (size[0] < 100)  # as large as fits


def test_one_frame_alone_and_a_black_one_will_do(tmp_path: Path) -> None:
    spec = build_spec()
    path = build_model(tmp_path / "tiny.onnx")
    black = Sample(np.zeros((3, 48, 64), np.uint8), "black")
    golden = make_golden(path, spec, [black])
    assert [frame.label for frame in golden.frames] == ["black in high contrast"]
    grey = golden.frames[0].pixels(spec.input)  # steps of colour have no black
    assert grey.max() <= 2
    assert golden.frames[0].error(expected_depth(grey[None])[0]) == 0


def test_the_own_error_is_measured_beside_the_float_network(tmp_path: Path) -> None:
    spec = ModelSpec("tiny", "inverse_depth", InputSpec(48, 64), precision="int8")
    path = build_model(tmp_path / "tiny.onnx", gain=1.1)
    float_model = DepthModel.load(build_model(tmp_path / "float.onnx"), provider="cpu")
    golden = make_golden(path, spec, samples((48, 64)), reference=float_model.infer)
    assert golden.tolerance.others > 0.05


def test_frames_that_came_with_a_graph_are_not_kept(tmp_path: Path, unet: Report) -> None:
    target = tmp_path / "again.onnx"
    put_in_place(onnx.load(unet.target), unet.spec, target)
    assert golden_of(DepthModel.load(target, provider="cpu")) is None
