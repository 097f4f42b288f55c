"""The protocol over gRPC, asked by Triton's own client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.model.depth_model import DepthModel
from depthrt_serving.settings import Queueing
from helpers.models.full_model import FOV_DEG
from helpers.models.small_model import SIZE
from helpers.web.served import Running, encoded, picture, serving, until

grpc = pytest.importorskip("grpc")
client_module = pytest.importorskip("tritonclient.grpc")

# The package itself warns, of its own old habits.
pytestmark = pytest.mark.filterwarnings("ignore")


def pixels(images: int = 2, seed: int = 4) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (images, 3, *SIZE), np.uint8)


def tensor(name: str, values: NDArray[Any], kind: str) -> Any:
    made = client_module.InferInput(name, [*values.shape], kind)
    made.set_data_from_numpy(values)
    return made


def address(running: Running) -> str:
    assert running.server.rpc is not None
    return f"127.0.0.1:{running.server.rpc.port}"


def connected(running: Running) -> Any:
    return client_module.InferenceServerClient(address(running))


@pytest.fixture(scope="module")
def speaking(tiny: Path) -> Iterator[Running]:
    with serving(tiny, grpc_port=0) as running:
        yield running


@pytest.fixture
def triton(speaking: Running) -> Iterator[Any]:
    client = connected(speaking)
    yield client
    client.close()


def refused(ask: Any) -> tuple[str, str]:
    """Status and message of what is refused."""
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException) as raised:
        ask()
    return raised.value.status(), raised.value.message()


@pytest.mark.parametrize("kind", ["UINT8", "FP32", "FP16"])
def test_depth_is_equal_to_the_bit(triton: Any, model: DepthModel, kind: str) -> None:
    from tritonclient.utils import triton_to_np_dtype

    batch = pixels()
    sent = tensor("image", batch.astype(triton_to_np_dtype(kind)), kind)
    found = triton.infer("tiny", [sent], request_id="7", timeout=20_000_000)
    assert np.array_equal(found.as_numpy("depth"), model.infer(batch))
    assert found.get_response().id == "7"


def test_files_are_decoded(triton: Any, model: DepthModel) -> None:
    image = picture(2)
    sent = tensor("picture", np.array([encoded(image)], object), "BYTES")
    found = triton.infer("tiny", [sent], model_version="1")
    assert np.array_equal(found.as_numpy("depth")[0], model(image).values)


def test_what_there_is(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("tiny")
    assert triton.get_server_metadata().name == "depthrt"
    (found,) = triton.get_model_metadata("tiny").inputs
    assert (found.name, found.datatype, list(found.shape)) == ("image", "UINT8", [-1, 3, *SIZE])


def test_what_is_wrong_is_said(triton: Any) -> None:
    invalid, absent = "StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND"
    small = tensor("image", pixels()[:, :, :5], "UINT8")
    status, message = refused(lambda: triton.infer("tiny", [small]))
    assert status == invalid
    assert "the shape [N, 3, 48, 64]" in message
    assert refused(lambda: triton.infer("none", [small]))[0] == absent
    assert refused(lambda: triton.is_model_ready("tiny", "2"))[0] == absent
    unknown = tensor("other", pixels(), "UINT8")
    assert "there is no input" in refused(lambda: triton.infer("tiny", [unknown]))[1]
    region = tensor("image", pixels(), "UINT8")
    region.set_shared_memory("region", 9)
    status, message = refused(lambda: triton.infer("tiny", [region]))
    assert status == invalid
    assert "shared memory" in message
    assert refused(lambda: triton.get_model_repository_index())[0] == "StatusCode.UNIMPLEMENTED"


def test_numbers_in_the_place_of_bytes(speaking: Running, model: DepthModel) -> None:
    """Some clients fill in `contents`; the protocol allows either."""
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    batch = pixels(1)
    with grpc.insecure_channel(address(speaking)) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for kind, field in (("UINT8", "uint_contents"), ("FP32", "fp32_contents")):
            request = service_pb2.ModelInferRequest(model_name="tiny")
            sent = request.inputs.add(name="image", datatype=kind, shape=batch.shape)
            getattr(sent.contents, field).extend(batch.ravel().tolist())
            values = np.frombuffer(stub.ModelInfer(request).raw_output_contents[0], "<f4")
            assert np.array_equal(values.reshape(1, *SIZE), model.infer(batch))
        sent.datatype = "UINT8"
        sent.contents.uint_contents.extend([256] * batch.size)
        with pytest.raises(grpc.RpcError, match="a pixel is 256"):
            stub.ModelInfer(request)


def test_what_is_no_message_is_refused(
    speaking: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    with grpc.insecure_channel(address(speaking)) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for content in (b"\xff" * 9, b"hello", b"\x0a\xff\xff\xff\xff\x0f"):
            with pytest.raises(grpc.RpcError) as raised:
                call(content)
            assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "this is no ModelInferRequest" in raised.value.details()
        with pytest.raises(grpc.RpcError, match='there is no model ""'):
            call(b"")
    assert "Traceback" not in capfd.readouterr().err


def test_a_port_that_is_taken_is_a_sentence(tiny: Path, speaking: Running) -> None:
    assert speaking.server.rpc is not None
    port = str(speaking.server.rpc.port)
    command = [sys.executable, "-m", "depthrt", "serve", tiny, "--port", "0", "--grpc-port", port]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    said = f"depthrt: cannot listen at 127.0.0.1:{port} for gRPC (it is taken)"
    assert ended.stderr.splitlines() == [said]


def test_every_output(full_file: Path) -> None:
    with serving(full_file, grpc_port=0) as running:
        client = connected(running)
        batch = pixels(3)
        found = client.infer("full", [tensor("image", batch, "UINT8")])
        client.close()
    expected = DepthModel.load(full_file, threads=1).predict(batch)
    assert np.array_equal(found.as_numpy("depth"), expected.depth)
    for name in ("confidence", "valid", "normals"):
        assert np.array_equal(found.as_numpy(name), expected.optional[name])
    assert found.as_numpy("fov_deg").tolist() == [FOV_DEG] * 3


def test_overload_is_said_with_when_to_come_back(tiny: Path) -> None:
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    queueing = Queueing(images=1, deadline_s=30.0)
    with (
        serving(tiny, alone=True, queueing=queueing, grpc_port=0) as running,
        ThreadPoolExecutor(4) as others,
        running.held(),
    ):
        asked = [others.submit(running.ask, "/v1/depth", encoded(picture()))]
        until(lambda: running.service.batcher.running == 1)
        asked.append(others.submit(running.ask, "/v1/depth", encoded(picture())))
        running.until_waiting(1)
        request = service_pb2.ModelInferRequest(model_name="tiny")
        request.inputs.add(name="image", datatype="UINT8", shape=[1, 3, *SIZE])
        request.raw_input_contents.append(pixels(1).tobytes())
        with grpc.insecure_channel(address(running)) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            with pytest.raises(grpc.RpcError) as full:
                stub.ModelInfer(request, timeout=20)
    assert full.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    said = dict(full.value.trailing_metadata())
    assert int(said["depthrt-retry-after-ms"]) >= 1
    assert said["grpc-retry-pushback-ms"] == said["depthrt-retry-after-ms"]
    assert [each.result().status for each in asked] == [200, 200]


def test_a_token_is_wanted(tiny: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("correct-horse\n")
    with serving(tiny, token_file=token, grpc_port=0) as running:
        client = connected(running)
        assert client.is_server_live()
        sent = [tensor("image", pixels(), "UINT8")]
        for headers in (None, {"authorization": "Bearer wrong-horse"}):
            status, _ = refused(lambda headers=headers: client.infer("tiny", sent, headers=headers))
            assert status == "StatusCode.UNAUTHENTICATED"
        found = client.infer("tiny", sent, headers={"authorization": "Bearer correct-horse"})
        assert found.as_numpy("depth").shape == (2, *SIZE)
        client.close()


def test_who_leaves_takes_the_images_along_and_the_end_answers_the_rest(
    tiny: Path, model: DepthModel
) -> None:
    batch = pixels(1)
    with serving(tiny, alone=True, grpc_port=0) as running, ThreadPoolExecutor(2) as others:
        client = connected(running)
        sent = [tensor("image", batch, "UINT8")]
        with running.held():
            first = others.submit(client.infer, "tiny", sent)
            until(lambda: running.service.batcher.running == 1)
            leaving = client.async_infer("tiny", sent, callback=lambda result, error: None)
            running.until_waiting(1)
            leaving.cancel()
            running.until_waiting(0)
            second = others.submit(client.infer, "tiny", sent)
            running.until_waiting(1)
            running.server.end()
        for each in (first, second):
            assert np.array_equal(each.result().as_numpy("depth"), model.infer(batch))
        running.thread.join(20)
        client.close()
    assert running.metric("depthrt_images_total") == 2


def test_the_messages_are_those_of_the_protocol() -> None:
    """Names, numbers and types of every field are those that Triton's client has."""
    from tritonclient.grpc import service_pb2

    from depthrt_serving.oip.rpc.protocol import METHODS, SERVICE, messages

    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert service.full_name == SERVICE

    def alike(own: Any, theirs: Any) -> None:
        for field in own.fields:
            if (own.name, field.name) == ("ModelMetadataResponse", "properties"):
                continue  # KServe's alone
            other = theirs.fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (
                other.number, other.type, other.is_repeated,
            ), field.full_name  # fmt: skip
            if field.message_type is not None:
                alike(field.message_type, other.message_type)

    for name in METHODS:
        method = service.methods_by_name[name]
        alike(messages()[f"{name}Request"].DESCRIPTOR, method.input_type)
        alike(messages()[f"{name}Response"].DESCRIPTOR, method.output_type)


# In a process of its own: its messages have the names of Triton's, and protobuf takes one of them.
_KSERVE = """
import asyncio, sys
import kserve, numpy as np

async def ask():
    batch = np.load(sys.argv[2])
    sent = kserve.InferInput("image", [*batch.shape], "UINT8")
    sent.set_data_from_numpy(batch)
    request = kserve.InferRequest("tiny", [sent], "9")
    async with kserve.InferenceGRPCClient(sys.argv[1]) as client:
        assert await client.is_server_ready()
        assert await client.is_model_ready("tiny")
        return await client.infer(request)

found = asyncio.run(ask())
assert found.id == "9"
np.save(sys.argv[2], found.outputs[0].as_numpy())
"""


def test_kserve_infers(speaking: Running, model: DepthModel, tmp_path: Path) -> None:
    if util.find_spec("kserve") is None:
        pytest.skip("kserve is not installed")
    batch, file = pixels(), tmp_path / "batch.npy"
    np.save(file, batch)
    subprocess.run([sys.executable, "-c", _KSERVE, address(speaking), file], check=True, timeout=60)
    assert np.array_equal(np.load(file), model.infer(batch))
