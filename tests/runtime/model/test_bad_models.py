"""Models that are none, give nonsense, or ask for a machine that is not here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from depthrt import DepthModel, InferenceError
from helpers.commands import Command
from helpers.files.clips import probe
from helpers.models.small_model import build_model, build_spec

MakeClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _corrupt(path: Path) -> None:
    build_model(path)
    path.write_bytes(path.read_bytes()[:200])


def _without_spec(path: Path) -> None:
    build_model(path, spec="")


def _from_the_future(path: Path) -> None:
    text = build_spec().to_json().replace('"schema_version": 1', '"schema_version": 99')
    build_model(path, spec=text)


def _text(path: Path) -> None:
    path.write_text("no model")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _data_outside(path: Path) -> None:
    folder = path.parent / "elsewhere"
    folder.mkdir()
    build_model(path)
    model = onnx.load(path)
    kernel = model.graph.initializer[0]
    (folder / "weights").write_bytes(numpy_helper.to_array(kernel).tobytes())
    kernel.ClearField("raw_data")
    kernel.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "../elsewhere/weights"), ("offset", "0"), ("length", "12")):
        entry = kernel.external_data.add()
        entry.key, entry.value = key, value
    inside = path.parent / "inside"
    inside.mkdir()
    (inside / path.name).write_bytes(model.SerializeToString())
    path.unlink()
    path.symlink_to(inside / path.name)


def _data_missing(path: Path) -> None:
    build_model(path)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="gone", size_threshold=0)
    (path.parent / "gone").unlink()


def _other_operator(path: Path) -> None:
    build_model(path)
    model = onnx.load(path)
    model.graph.node[0].op_type = "NoSuchOperator"
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("name", ["best.pt", "best.pth", "last.ckpt"])
def test_weights_of_pytorch_are_no_model(command: Command, name: str) -> None:
    Path(name).write_bytes(b"PK\x03\x04 weights")
    ended = command("info", name)
    assert ended.code == 2
    assert ended.complaint == (
        f"{name} is a file of PyTorch, not an ONNX model: make one with `depthrt export`"
    )


def test_no_code_of_onnxruntime_is_shown(command: Command) -> None:
    for spoil in (_corrupt, _other_operator):
        spoil(Path("bad.onnx").absolute())
        complaint = command("info", "bad.onnx").complaint
        assert "[ONNXRuntimeError]" not in complaint
        assert "INVALID" not in complaint


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_corrupt, "bad.onnx is corrupt or no ONNX model"),
        (_text, "bad.onnx is corrupt or no ONNX model"),
        (_empty, "bad.onnx"),
        (_without_spec, "no depthrt model (no 'depthrt' entry in its metadata)"),
        (_from_the_future, "schema version 99, but this depthrt reads up to 2: upgrade depthrt"),
        (_data_outside, "bad.onnx keeps weights in another file"),
        (_data_missing, "bad.onnx keeps weights in another file"),
        (_other_operator, "bad.onnx is corrupt or no ONNX model"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "info"])
def test_a_model_that_is_none(
    command: Command,
    make_clip: MakeClip,
    spoil: Callable[[Path], None],
    says: str,
    verb: str,
) -> None:
    spoil(Path("bad.onnx").absolute())
    arguments = ["run", make_clip(), "-m"] if verb == "run" else ["info"]
    ended = command(*arguments, "bad.onnx")
    assert says in ended.complaint
    assert ended.code == 2
    assert not list(Path.cwd().glob("*.mp4"))


@pytest.mark.parametrize(
    ("model", "says"),
    [("gone.onnx", "no model file at gone.onnx"), ("nobody", "no built-in model 'nobody'")],
)
def test_a_model_that_is_not_there(
    command: Command, make_clip: MakeClip, model: str, says: str
) -> None:
    ended = command("run", make_clip(), "-m", model)
    assert says in ended.complaint
    assert ended.code == 2


def build_nan_model(path: Path, limit: float) -> Path:
    """The tiny model, but the depth of a frame whose mean exceeds the limit is NaN."""
    build_model(path)
    model = onnx.load(path)
    graph = model.graph
    graph.node[-1].output[0] = "sum"
    graph.initializer.append(numpy_helper.from_array(np.array(limit, np.float32), "limit"))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    graph.initializer.append(numpy_helper.from_array(np.array([1, 2], np.int64), "sides"))
    graph.node.extend(
        [
            helper.make_node("ReduceMean", ["sum", "sides"], ["mean"]),
            helper.make_node("Sub", ["limit", "mean"], ["room"]),
            helper.make_node("Sqrt", ["room"], ["root"]),
            helper.make_node("Mul", ["root", "zero"], ["nothing"]),
            helper.make_node("Add", ["sum", "nothing"], ["depth"]),
        ]
    )
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.npz", "out"])
def test_nan_depth_ends_the_run_and_keeps_what_was_good(
    command: Command, make_clip: MakeClip, output: str
) -> None:
    from depthrt import read_depth

    model = build_nan_model(Path("nan.onnx"), 100)
    ended = command("run", make_clip(event_s=0.8, sound="aac"), "-m", model, "-o", output)
    assert "frame 20: model tiny gave 100.0% non-finite depth values" in ended.complaint
    assert ended.kept.match(output.replace("out", "out.partial-*"))
    assert ended.code == 1
    assert not Path(output).exists()
    if output == "out.mp4":
        assert len(probe(ended.kept).times_s) == 20
    else:
        assert len(list(read_depth(ended.kept))) == 20


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "qnn", "warp"])
def test_a_provider_that_is_not_here(
    command: Command, make_clip: MakeClip, model_path: Path, provider: str
) -> None:
    import onnxruntime as ort

    offered = " ".join(ort.get_available_providers()).lower()
    if provider in offered:
        pytest.skip(f"this onnxruntime has {provider}")
    ended = command("run", make_clip(), "-m", model_path, "--provider", provider, "-o", "o.mp4")
    assert provider in ended.complaint
    assert ended.code == 5
    assert not list(Path.cwd().iterdir())


def _shaped(path: Path, depth: list[int | str], batch: int | str = "batch") -> None:
    """A model whose depth is said to be, and at run time is, of another shape than its image."""
    model = onnx.load(build_model(path, batch=batch))
    rows = depth[1]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("depth", TensorProto.FLOAT, depth))
    model.graph.node[-1].output[0] = "whole"
    model.graph.initializer.append(numpy_helper.from_array(np.array([rows, 64], np.int64), "sides"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 2], np.int64), "hw"))
    ends = helper.make_node("Slice", ["whole", "zero", "sides", "hw"], ["depth"])
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 0], np.int64), "zero"))
    model.graph.node.append(ends)
    onnx.save(model, path)


def test_depth_of_another_shape_is_refused(command: Command, make_clip: MakeClip) -> None:
    place = Path("half.onnx").absolute()
    _shaped(place, ["batch", 24, 64])
    ended = command("run", make_clip(), "-m", "half.onnx")
    assert "depth is ['batch', 24, 64] for an image of ['batch', 3, 48, 64]" in ended.complaint
    assert ended.code == 2


def test_depth_that_comes_in_another_shape_is_an_error(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = DepthModel.load(model_path)

    class Session:
        def run(self, *given: object) -> list[np.ndarray]:
            return [np.zeros((1, 24, 64), np.float32)]

    monkeypatch.setattr(model, "session", Session())
    with pytest.raises(InferenceError, match=r"gave depth of shape \(1, 24, 64\) for pixels of"):
        model.infer(np.zeros((2, 3, 48, 64), np.uint8))


def test_a_batch_of_none_is_refused(command: Command) -> None:
    build_model(Path("none.onnx").absolute(), batch=0)
    ended = command("info", "none.onnx")
    assert "none.onnx" in ended.complaint
    assert ended.code == 2


def test_a_name_longer_than_names_can_be(command: Command) -> None:
    ended = command("info", "x" * 300)
    assert "is no usable path (File name too long)" in ended.complaint
    assert ended.code == 2
