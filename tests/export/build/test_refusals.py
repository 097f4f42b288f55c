"""What export does not do, each in one sentence with the right exit code."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from depthrt.errors import AccuracyGateError, DepthrtError, InferenceError, UsageError
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions, Vary
from depthrt_export.sources.load import load_network
from depthrt_export.sources.network import nearest_size
from depthrt_export.sources.torch_network import run_grey

ODD = Path(__file__).parents[2] / "networks" / "odd_ones.py"


def attempt(
    factory: str,
    folder: Path,
    frames: str,
    said: SourceOptions | None = None,
    **options: object,
) -> DepthrtError:
    """The error of an export, which must leave nothing behind and be one sentence."""
    made = dataclasses.replace(ExportOptions(frames=frames), **options)  # type: ignore[arg-type]
    with pytest.raises(DepthrtError) as caught:
        build(f"{ODD}:{factory}", folder / "x.onnx", said or SourceOptions(), made, Phases(True))
    assert list(folder.iterdir()) == []
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("three_channels", "three-channels returns 3 channels (1, 3, 64, 96), not a depth map"),
        (
            "Ambiguous",
            "Ambiguous returns 2 maps of the picture: say which is the depth by --depth-output KEY",
        ),
        ("Classifier", "Classifier returns torch.float32 (1, 1), not a depth map"),
        ("Square", "returns 32x32 for a picture of 64x96: that is no depth map of the picture"),
        (
            "Unsupported",
            "bessel_j0 in module wave (Bessel), which has no ONNX operator in opset 20",
        ),
        ("Branching", "Branching cannot be traced by torch.export"),
        ("Flat", "Flat gives one depth everywhere on every frame: was its --checkpoint given?"),
        ("not_a_module", "gave a dict, not a torch.nn.Module"),
        ("fails", "failed: RuntimeError: no such variant"),
        ("absent", "has no callable 'absent'"),
    ],
)
def test_network_that_is_no_depth_network(
    factory: str, sentence: str, tmp_path: Path, frames: str
) -> None:
    error = attempt(factory, tmp_path, frames)
    assert sentence in str(error)
    assert isinstance(error, UsageError)
    assert error.exit_code == 2


def test_non_finite_depth(tmp_path: Path, frames: str) -> None:
    error = attempt("NotANumber", tmp_path, frames)
    assert "NotANumber itself gives 100.0% non-finite depth values" in str(error)
    assert isinstance(error, InferenceError)
    assert error.exit_code == 1


@pytest.mark.parametrize(
    ("factory", "vary", "sentence"),
    [
        ("LearnedMap", "size", "LearnedMap works at one size only"),
        (
            "SilentlyFrozen",
            "size",
            "the graph of SilentlyFrozen is frozen at the size that it was traced at (64x96)",
        ),
    ],
)
def test_size_that_cannot_vary(
    factory: str, vary: Vary, sentence: str, tmp_path: Path, frames: str
) -> None:
    error = attempt(factory, tmp_path, frames, vary=frozenset({vary}))
    assert sentence in str(error)
    assert str(error).endswith("leave out --dynamic size")
    assert error.exit_code == 2


def test_open_size_without_its_step(tmp_path: Path, frames: str) -> None:
    error = attempt(
        "SkipsOfStride4", tmp_path, frames, SourceOptions(multiple_of=1), vary=frozenset({"size"})
    )
    assert "takes only certain sizes: say which with --multiple-of" in str(error)


def test_size_that_does_not_fit_names_the_nearest(tmp_path: Path, frames: str) -> None:
    said = SourceOptions(size=(62, 97), multiple_of=1)
    error = attempt("SkipsOfStride4", tmp_path, frames, said)
    assert "cannot take 62x97" in str(error)
    assert str(error).endswith("the nearest size that it can is --size 64x96")
    network = load_network(f"{ODD}:SkipsOfStride4", said)
    found = nearest_size(
        (62, 97), lambda other: not isinstance(run_grey(network, other), Exception)
    )
    assert found == (64, 96)


def test_size_against_its_own_step(tmp_path: Path, frames: str) -> None:
    error = attempt("Convolved", tmp_path, frames, SourceOptions(size=(100, 96)))
    assert str(error) == ("100x96 is no multiple of 8: the nearest size that is, is --size 96x96")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("missing/x.onnx", "there is no folder"), ("x.onnx", "exists: give another output")],
)
def test_target_is_looked_at_before_any_work(
    name: str, sentence: str, tmp_path: Path, frames: str
) -> None:
    (tmp_path / "x.onnx").write_bytes(b"mine")
    with pytest.raises(DepthrtError, match=sentence) as caught:
        build(
            "no:source",
            tmp_path / name,
            SourceOptions(),
            ExportOptions(frames=frames),
            Phases(True),
        )
    assert caught.value.exit_code == 2
    assert (tmp_path / "x.onnx").read_bytes() == b"mine"


def test_int8_beyond_the_gate_keeps_nothing(tmp_path: Path, frames: str) -> None:
    said = SourceOptions(kind="inverse_depth", multiple_of=8)
    error = attempt("Patches", tmp_path, frames, said, precision="int8", max_error=1e-5)
    assert isinstance(error, AccuracyGateError)
    assert error.exit_code == 3
    assert "allowed 1e-05: keep float32" in str(error)


def test_int8_from_too_few_frames(tmp_path: Path, frames: str) -> None:
    one = str(sorted(Path(frames).iterdir())[0])
    error = attempt("Convolved", tmp_path, one, precision="int8")
    assert str(error) == (
        "int8 needs ranges from at least 10 frames, not 1: give a video or more images as --frames"
    )
