"""Depth by the protocol is that of the model, to the bit, in every form of pixels and pictures."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from depthrt.model.depth_model import DepthModel
from depthrt.spec import InputSpec
from depthrt_serving.settings import Queueing
from helpers.files.hostile_json import NO_OBJECT, UNREADABLE
from helpers.models.small_model import SIZE, build_model, build_spec
from helpers.web.oip_client import Oip, json_input
from helpers.web.served import encoded, picture, serving


def pixels(images: int = 1, seed: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (images, 3, *size), np.uint8)


def file_tensor(*files: bytes) -> NDArray[np.uint8]:
    """Files as the binary data of a BYTES tensor."""
    content = b"".join(len(file).to_bytes(4, "little") + file for file in files)
    return np.frombuffer(content, np.uint8)


def pictures_input(*files: bytes, shape: tuple[int, ...] | None = None) -> dict[str, object]:
    size = {"binary_data_size": len(file_tensor(*files))}
    sides = shape or (len(files),)
    return {"name": "picture", "datatype": "BYTES", "shape": list(sides), "parameters": size}


@pytest.mark.parametrize("kind", ["u1", "<f4", "<f2"])
@pytest.mark.parametrize("images", [1, 3])
def test_pixels_of_each_datatype(ours: Oip, model: DepthModel, kind: str, images: int) -> None:
    batch = pixels(images)
    found = ours.infer_binary([("image", batch.astype(kind))]).tensors["depth"]
    assert found.dtype == np.float32
    assert np.array_equal(found, model.infer(batch))


def test_depth_in_json_is_exact(tmp_path: Path) -> None:
    file = build_model(tmp_path / "odd.onnx", gain=0.1)  # most depth is no short decimal
    batch = pixels(2, 1)
    with serving(file) as running:
        found = Oip(running.address, "tiny").infer([json_input("image", batch)])
    assert np.array_equal(found.tensors["depth"], DepthModel.load(file).infer(batch))


def test_depth_as_fp16(ours: Oip, model: DepthModel) -> None:
    batch = pixels(2, 2)
    outputs = [{"name": "depth", "parameters": {"datatype": "FP16"}}]
    found = ours.infer_binary([("image", batch)], outputs=outputs,
                              parameters={"binary_data_output": True})  # fmt: skip
    assert found.document["outputs"][0]["datatype"] == "FP16"
    assert np.array_equal(found.tensors["depth"], model.infer(batch).astype(np.float16))
    assert "binary_data" in ours.infer_binary([("image", batch)], outputs=outputs,
                                              parameters={}).error  # fmt: skip


def test_depth_that_fp16_does_not_hold(tmp_path: Path) -> None:
    outputs = [{"name": "depth", "parameters": {"datatype": "FP16", "binary_data": True}}]
    with serving(build_model(tmp_path / "far.onnx", gain=1000.0)) as running:
        oip = Oip(running.address, "tiny")
        white = np.full((1, 3, *SIZE), 255, np.uint8)
        assert "ask for FP32" in oip.infer_binary([("image", white)], outputs=outputs).error


@pytest.mark.parametrize("value", [0.5, -1.0, 256.0, np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("kind", ["<f4", "<f2"])
def test_floats_that_are_no_pixels(ours: Oip, kind: str, value: float) -> None:
    with np.errstate(over="ignore"):
        batch = pixels().astype(kind)
        batch[0, 1, 2, 3] = value
    found = ours.infer_binary([("image", batch)])
    assert found.status == 400
    assert "no whole number from 0 to 255" in found.error


def test_what_json_may_hold(ours: Oip, model: DepthModel) -> None:
    batch = pixels()
    floats = [float(value) for value in batch.ravel()]
    entry = json_input("image", batch)
    assert np.array_equal(
        ours.infer([{**entry, "data": floats}]).tensors["depth"], model.infer(batch)
    )
    for wrong in ("7", True, None, [7], {}, 10**400, 300, -1, 0.5):
        assert ours.infer([{**entry, "data": [*floats[:-1], wrong]}]).status == 400
    assert "binary" in ours.infer([{**entry, "datatype": "FP16"}]).error


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_file_of_a_picture(
    ours: Oip, model: DepthModel, tmp_path: Path, shape: tuple[int, ...], suffix: str
) -> None:
    import depthrt

    path = tmp_path / f"photo{suffix}"
    path.write_bytes(encoded(picture(3), suffix))
    file = path.read_bytes()
    expected = model(depthrt.read_image(path)).values
    found = ours.infer([pictures_input(file, shape=shape)], file_tensor(file).tobytes())
    assert np.array_equal(found.tensors["depth"], expected[None])
    text = base64.b64encode(file).decode()
    entry = {"name": "picture", "datatype": "BYTES", "shape": list(shape), "data": [text]}
    assert np.array_equal(ours.infer([entry]).tensors["depth"], expected[None])


def test_several_pictures_of_several_sizes(ours: Oip, model: DepthModel) -> None:
    images = [picture(seed, (40 + 10 * seed, 70)) for seed in range(5)]
    files = [encoded(image) for image in images]
    found = ours.infer([pictures_input(*files)], file_tensor(*files).tobytes()).tensors["depth"]
    assert np.array_equal(found, np.stack([model(image).values for image in images]))


def test_pictures_that_are_none(ours: Oip) -> None:
    good = encoded(picture())
    for files, status in (([b"hello"], 415), ([b""], 400), ([good, good[:300]], 422)):
        found = ours.infer([pictures_input(*files)], file_tensor(*files).tobytes())
        assert found.status == status, found.content
        assert f"picture {len(files)}" in found.error
    content = file_tensor(good).tobytes()
    for torn in (content[:-1], content[:3], content + b"\0", content + b"\xff\xff\xff\xff", b""):
        entry = {**pictures_input(good), "parameters": {"binary_data_size": len(torn)}}
        assert "picture" in ours.infer([entry], torn).error
    entry = {"name": "picture", "datatype": "BYTES", "shape": [1], "data": ["no base64!"]}
    assert "base64" in ours.infer([entry]).error


def test_padding_is_cut_off_and_unlike_sizes_do_not_mix(tmp_path: Path) -> None:
    spec = replace(build_spec(), input=InputSpec(*SIZE, resize="pad"))
    file = build_model(tmp_path / "pad.onnx", spec=spec)
    wide, square = picture(1, (30, 120)), picture(2, (50, 50))
    with serving(file) as running:
        oip = Oip(running.address, "tiny")
        found = oip.infer([pictures_input(encoded(wide))], file_tensor(encoded(wide)).tobytes())
        expected = DepthModel.load(file)(wide).values
        assert expected.shape == (16, 64)
        assert np.array_equal(found.tensors["depth"], expected[None])
        files = [encoded(wide), encoded(square)]
        mixed = oip.infer([pictures_input(*files)], file_tensor(*files).tobytes())
        assert (mixed.status, "one by one" in mixed.error) == (422, True)


def test_every_optional_output(full: Oip, full_file: Path) -> None:
    batch = pixels(3, 5)
    expected = DepthModel.load(full_file).predict(batch)
    entries = {tensor["name"]: tensor for tensor in full.metadata["outputs"]}
    assert entries["valid"] == {"name": "valid", "datatype": "BOOL", "shape": [-1, *SIZE]}
    assert entries["normals"]["shape"] == [-1, 3, *SIZE]
    assert entries["fov_deg"]["shape"] == [-1]
    for found in (full.infer_binary([("image", batch)]), full.infer([json_input("image", batch)])):
        assert list(found.tensors) == ["depth", "confidence", "valid", "normals", "fov_deg"]
        assert np.array_equal(found.tensors["depth"], expected.depth)
        for name, values in expected.optional.items():
            assert found.tensors[name].dtype == values.dtype
            assert np.array_equal(found.tensors[name], values), name
    outputs = [{"name": "valid", "parameters": {"datatype": "FP16", "binary_data": True}}]
    assert "valid is BOOL" in full.infer_binary([("image", batch)], outputs=outputs).error


def test_optional_outputs_of_a_picture(full: Oip, full_file: Path) -> None:
    image = picture(6)
    expected = DepthModel.load(full_file)(image)
    found = full.infer([pictures_input(encoded(image))], file_tensor(encoded(image)).tobytes())
    for name in ("confidence", "valid", "normals", "fov_deg"):
        assert np.array_equal(found.tensors[name][0], getattr(expected, name)), name
    assert np.array_equal(found.tensors["depth"][0], expected.values)


def test_sizes_that_a_model_takes(tmp_path: Path) -> None:
    spec = replace(build_spec(), input=InputSpec(*SIZE, resize="keep_aspect", multiple_of=16))
    file = build_model(tmp_path / "any.onnx", spec=spec, dynamic_size=True)
    model = DepthModel.load(file)
    with serving(file) as running:
        oip = Oip(running.address, "tiny")
        assert oip.metadata["inputs"][0]["shape"] == [-1, 3, -1, -1]
        for size in ((48, 64), (16, 16), (96, 112)):
            batch = pixels(2, 7, size)
            found = oip.infer_binary([("image", batch)]).tensors["depth"]
            assert np.array_equal(found, model.infer(batch))
        for size, said in (((48, 60), "multiples of 16"), ((160, 160), "send it smaller")):
            assert said in oip.infer_binary([("image", pixels(1, 0, size))]).error


def test_a_size_at_which_the_network_fails(tmp_path: Path) -> None:
    spec = replace(build_spec(), input=InputSpec(*SIZE, resize="keep_aspect", multiple_of=16))
    file = build_model(tmp_path / "some.onnx", spec=spec, dynamic_size=True)
    network = onnx.load(file)
    network.graph.node[-1].output[0] = "sum"
    network.graph.node.append(helper.make_node("Add", ["sum", "position"], ["depth"]))
    position = numpy_helper.from_array(np.ones(SIZE, np.float32), "position")
    network.graph.initializer.append(position)
    onnx.save(network, file)
    with serving(file) as running:
        oip = Oip(running.address, "tiny")
        assert oip.infer_binary([("image", pixels())]).status == 200
        found = oip.infer_binary([("image", pixels(1, 0, (32, 32)))])
        assert (found.status, found.error) == (422, "the model fails on images of 32x32")


def test_a_name_with_a_slash(tmp_path: Path) -> None:
    name = "some org/a model"
    with serving(build_model(tmp_path / "m.onnx", spec=build_spec(name=name))) as running:
        oip = Oip(running.address, name)
        assert oip.metadata["name"] == name
        assert oip.infer_binary([("image", pixels())], id="7").document["model_name"] == name
        assert oip.ask(f"{oip.path}/versions/1/ready").document == {"name": name, "ready": True}
        assert "/stats" in oip.ask(f"{oip.path}/stats").error
        assert oip.ask(f"{oip.path}/infer").status == 405


def test_what_the_depth_means_is_among_the_metadata(ours: Oip) -> None:
    found = ours.metadata["parameters"]
    assert (found["kind"], found["larger_is"], found["unit"]) == ("inverse_depth", "nearer", "none")
    assert found["or_input"] == "picture BYTES [-1]"


def test_both_inputs_at_once(ours: Oip) -> None:
    entries = [json_input("image", pixels()), pictures_input(encoded(picture()))]
    found = ours.infer(entries, file_tensor(encoded(picture())).tobytes())
    assert "give one, either image or picture" in found.error


def test_wrong_shapes_are_told_the_way_out(ours: Oip) -> None:
    for shape in ((0, 3, *SIZE), (1, *SIZE, 3), (1, 3, 10, 10), (3, *SIZE), (1, 1, *SIZE)):
        found = ours.infer_binary([("image", np.zeros(shape, np.uint8))])
        assert found.status == 400
        assert "[N, 3, 48, 64]" in found.error
        assert "picture" in found.error


def test_shared_memory_is_refused(ours: Oip) -> None:
    region = {"shared_memory_region": "r", "shared_memory_byte_size": 4}
    entry = {**json_input("image", pixels()), "parameters": region}
    output = {"name": "depth", "parameters": region}
    for found in (
        ours.infer([entry]),
        ours.infer([json_input("image", pixels())], outputs=[output]),
        ours.ask("/v2/systemsharedmemory/status"),
        ours.ask("/v2/cudasharedmemory/region/r/register", b"{}"),
    ):
        assert found.status == 400
        assert "no shared memory" in found.error


@pytest.mark.parametrize("wrong", [*UNREADABLE, *NO_OBJECT])
def test_hostile_json(ours: Oip, wrong: str) -> None:
    found = ours.ask(f"{ours.path}/infer", {**UNREADABLE, **NO_OBJECT}[wrong])
    assert found.status == 400
    assert found.error


def test_json_that_is_too_large(ours: Oip) -> None:
    found = ours.ask(f"{ours.path}/infer", b'{"inputs": [' + b" " * (3 << 20) + b"]}")
    assert (found.status, "as binary data" in found.error) == (400, True)


def test_errors_before_the_route_have_the_form_of_the_protocol(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "token").write_text("sesame-street")
    with serving(tiny, token_file=tmp_path / "token") as running:
        closed = Oip(running.address, "tiny")
        assert "a token is needed" in closed.ask("/v2").error
        assert closed.ask("/v2/health/ready").status == 200
        opened = Oip(running.address, "tiny", {"Authorization": "Bearer sesame-street"})
        assert opened.metadata["name"] == "tiny"
        assert "nothing at this address" in opened.ask("/v2/repository/index", b"{}").error


def test_images_of_many_clients_share_batches(tiny: Path, model: DepthModel) -> None:
    batches = [pixels(3, seed) for seed in range(12)]
    with (
        serving(tiny, queueing=Queueing(wait_s=0.05, deadline_s=30.0, batch=4)) as running,
        ThreadPoolExecutor(6) as clients,
    ):
        oip = Oip(running.address, "tiny")
        answers = list(clients.map(lambda batch: oip.infer_binary([("image", batch)]), batches))
        assert running.metric("depthrt_images_total") == 36
        assert running.metric("depthrt_batch_images_count") < 36
    for batch, found in zip(batches, answers, strict=True):
        assert np.array_equal(found.tensors["depth"], model.infer(batch))


def test_the_log_and_the_metrics_know_the_route(
    tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tiny) as running:
        oip = Oip(running.address, "tiny")
        assert oip.infer_binary([("image", pixels(2))]).status == 200
        route = "/v2/models/{name:path}/infer"
        assert running.metric("depthrt_requests_total", route=route, status="200") == 1
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if "/infer" in line]
    assert [line["images"] for line in lines] == [2]
