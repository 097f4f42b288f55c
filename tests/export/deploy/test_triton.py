"""Triton's model repository, read by Triton's own classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from depthrt.errors import ModelError, TargetError
from depthrt.spec import InputSpec, ModelSpec
from depthrt_export.deploy.depth_file import open_depth_file
from depthrt_export.deploy.settings import TritonSettings
from depthrt_export.deploy.text_proto import Word, text_of
from depthrt_export.deploy.triton import Deployed, write_repository
from helpers.models.small_model import SIZE, build_model, build_spec
from helpers.web.triton_message import parse_config

UINT8, FP32, BOOL = 2, 11, 1  # numbers of Triton's DataType


def written(model: Path, folder: Path, settings: TritonSettings | None = None) -> Deployed:
    return write_repository(
        open_depth_file(model), folder / "repo", settings or TritonSettings(), overwrite=False
    )


def test_an_open_batch_is_batched(tmp_path: Path) -> None:
    model = build_model(tmp_path / "m.onnx")
    done = written(model, tmp_path, TritonSettings(batch=6, delay_us=500, instances=2, threads=3))
    config = parse_config(done.place / "config.pbtxt")
    assert (config.name, config.platform) == ("tiny", "onnxruntime_onnx")
    assert done.place == tmp_path / "repo" / "tiny"
    assert config.max_batch_size == 6
    (fed,), (given,) = config.input, config.output
    assert (fed.name, fed.data_type, [*fed.dims]) == ("image", UINT8, [3, *SIZE])
    assert (given.name, given.data_type, [*given.dims]) == ("depth", FP32, [*SIZE])
    assert [*config.dynamic_batching.preferred_batch_size] == [3, 6]
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    (group,) = config.instance_group
    assert (group.count, group.kind) == (2, 0)  # KIND_AUTO
    assert config.version_policy.latest.num_versions == 1
    assert [each.batch_size for each in config.model_warmup] == [1, 6]
    for each in config.model_warmup:
        image = each.inputs["image"]
        assert (image.data_type, [*image.dims], image.random_data) == (UINT8, [3, *SIZE], True)
    assert config.parameters["intra_op_thread_count"].string_value == "3"


def test_the_spec_and_the_very_file_are_there(tmp_path: Path) -> None:
    spec = ModelSpec("tiny", "depth", InputSpec(*SIZE), unit="m", licence='Ünï "x" \\ é')
    model = build_model(tmp_path / "m.onnx", spec=spec)
    done = written(model, tmp_path)
    parameters = parse_config(done.place / "config.pbtxt").parameters
    assert ModelSpec.from_json(parameters["depthrt"].string_value) == spec
    assert parameters["depthrt_sha256"].string_value == open_depth_file(model).sha256
    assert (done.place / "1" / "model.onnx").read_bytes() == model.read_bytes()
    assert sorted(path.name for path in done.place.iterdir()) == [
        "1",
        "config.pbtxt",
        "depthrt.json",
    ]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_said_and_not_batched(tmp_path: Path, batch: int) -> None:
    done = written(build_model(tmp_path / "m.onnx", batch=batch), tmp_path)
    config = parse_config(done.place / "config.pbtxt")
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert [*config.input[0].dims] == [batch, 3, *SIZE]
    assert [*config.output[0].dims] == [batch, *SIZE]
    (warm,) = config.model_warmup
    assert (warm.batch_size, [*warm.inputs["image"].dims]) == (1, [batch, 3, *SIZE])
    assert f"takes {batch} image" in done.notes[0]
    assert "--dynamic batch" in done.notes[0]


def test_ranges_of_a_batch_keep_pictures_alone(tmp_path: Path) -> None:
    spec = replace(build_spec(), precision="int8_dynamic")
    done = written(build_model(tmp_path / "m.onnx", spec=spec), tmp_path)
    config = parse_config(done.place / "config.pbtxt")
    assert config.max_batch_size == 1
    assert not config.HasField("dynamic_batching")
    assert [*config.input[0].dims] == [3, *SIZE]
    assert "ranges" in done.notes[0]


def test_an_open_size_stays_open(tmp_path: Path) -> None:
    done = written(build_model(tmp_path / "m.onnx", dynamic_size=True), tmp_path)
    config = parse_config(done.place / "config.pbtxt")
    assert [*config.input[0].dims] == [3, -1, -1]
    assert [*config.output[0].dims] == [-1, -1]
    assert [*config.model_warmup[0].inputs["image"].dims] == [3, *SIZE]
    assert "images of different sizes do not share a batch" in done.notes


def test_outputs_beside_depth_have_their_types(tmp_path: Path) -> None:
    """One value an image has no dims of its own: Triton takes it as a reshaped 1."""
    path = build_model(
        tmp_path / "m.onnx", spec=replace(build_spec(), outputs=("valid", "fov_deg"))
    )
    model = onnx.load(path)
    model.graph.node.extend(
        [
            helper.make_node("Cast", ["depth"], ["valid"], to=TensorProto.BOOL),
            helper.make_node("ReduceMax", ["pixels"], ["fov_deg"], keepdims=0),
        ]
    )
    model.graph.output.extend(
        [
            helper.make_tensor_value_info("valid", TensorProto.BOOL, ["batch", *SIZE]),
            helper.make_tensor_value_info("fov_deg", TensorProto.FLOAT, ["batch"]),
        ]
    )
    onnx.save(model, path)
    done = written(path, tmp_path)
    found = {each.name: each for each in parse_config(done.place / "config.pbtxt").output}
    assert (found["valid"].data_type, [*found["valid"].dims]) == (BOOL, [*SIZE])
    assert (found["fov_deg"].data_type, [*found["fov_deg"].dims]) == (FP32, [1])
    assert found["fov_deg"].HasField("reshape")
    assert [*found["fov_deg"].reshape.shape] == []


def test_a_name_with_slashes_gets_a_folder(tmp_path: Path) -> None:
    done = written(build_model(tmp_path / "m.onnx", spec=build_spec(name="some/net v2")), tmp_path)
    assert done.place.name == "some--net--v2"
    assert parse_config(done.place / "config.pbtxt").name == "some--net--v2"
    assert any("some/net v2" in note for note in done.notes)


def test_models_live_side_by_side_and_are_replaced_only_when_told(tmp_path: Path) -> None:
    written(build_model(tmp_path / "a.onnx"), tmp_path)
    written(build_model(tmp_path / "b.onnx", spec=build_spec(name="other")), tmp_path)
    assert sorted(path.name for path in (tmp_path / "repo").iterdir()) == ["other", "tiny"]
    new = build_model(tmp_path / "c.onnx", gain=2.0)
    with pytest.raises(TargetError, match="--overwrite"):
        written(new, tmp_path)
    kept = tmp_path / "repo" / "tiny" / "1" / "model.onnx"
    assert kept.read_bytes() == (tmp_path / "a.onnx").read_bytes()
    write_repository(open_depth_file(new), tmp_path / "repo", TritonSettings(), overwrite=True)
    assert kept.read_bytes() == new.read_bytes()


def test_what_somebody_else_put_there_is_not_replaced(tmp_path: Path) -> None:
    model = build_model(tmp_path / "m.onnx")
    place = written(model, tmp_path).place
    (place / "config.pbtxt").write_text('name: "edited by hand"\n')
    with pytest.raises(TargetError):
        write_repository(
            open_depth_file(model), tmp_path / "repo", TritonSettings(), overwrite=True
        )
    assert (place / "config.pbtxt").read_text() == 'name: "edited by hand"\n'


def test_a_file_of_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no depthrt model: `depthrt export .* -o NEW\.onnx`"):
        open_depth_file(build_model(tmp_path / "m.onnx", spec=""))


def test_text_format_escapes_whatever_a_text_holds() -> None:
    fields = [("name", 'a"b\\c\nd\té€'), ("kind", Word("KIND_CPU")), ("dims", (1, -1)), ("x", [])]
    assert text_of(fields) == (
        'name: "a\\"b\\\\c\\nd\\011\\303\\251\\342\\202\\254"\nkind: KIND_CPU\ndims: [ 1, -1 ]\n'
        "x {\n}\n"
    )
