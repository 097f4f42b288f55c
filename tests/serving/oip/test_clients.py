"""The clients that people have: Triton's and KServe's own."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.model.depth_model import DepthModel
from helpers.models.small_model import SIZE
from helpers.web.oip_client import Oip
from helpers.web.served import Running, encoded, picture

# The packages themselves warn, of their own old habits.
pytestmark = pytest.mark.filterwarnings("ignore")


def pixels(images: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 256, (images, 3, *SIZE), np.uint8)


@pytest.fixture
def triton(running: Running) -> Any:
    http = pytest.importorskip("tritonclient.http")
    client = http.InferenceServerClient(running.address.partition("//")[2], concurrency=2)
    yield client
    client.close()


def triton_input(name: str, values: NDArray[Any], kind: str, *, binary: bool) -> Any:
    from tritonclient.http import InferInput

    tensor = InferInput(name, [*values.shape], kind)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


@pytest.mark.parametrize("kind", ["UINT8", "FP32", "FP16"])
@pytest.mark.parametrize("sent", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("wanted", [None, True, False], ids=["all", "binary", "json"])
def test_triton_infers(
    triton: Any, model: DepthModel, kind: str, sent: bool, wanted: bool | None
) -> None:
    from tritonclient.http import InferRequestedOutput
    from tritonclient.utils import triton_to_np_dtype

    if kind == "FP16" and not sent:
        pytest.skip("FP16 has no form in JSON")
    batch = pixels()
    tensor = triton_input("image", batch.astype(triton_to_np_dtype(kind)), kind, binary=sent)
    outputs = None if wanted is None else [InferRequestedOutput("depth", binary_data=wanted)]
    found = triton.infer("tiny", [tensor], outputs=outputs, request_id="7", timeout=20_000_000)
    assert np.array_equal(found.as_numpy("depth"), model.infer(batch))
    assert found.get_response()["id"] == "7"


def test_triton_sends_files(triton: Any, model: DepthModel) -> None:
    image = picture(2)
    files = np.array([encoded(image)], object)
    tensor = triton_input("picture", files, "BYTES", binary=True)
    found = triton.infer("tiny", [tensor], model_version="1")
    assert np.array_equal(found.as_numpy("depth")[0], model(image).values)


def test_triton_infers_in_the_background(triton: Any, model: DepthModel) -> None:
    batches = [pixels(count) for count in (1, 2, 3)]
    asked = [
        triton.async_infer("tiny", [triton_input("image", each, "UINT8", binary=True)])
        for each in batches
    ]
    for batch, each in zip(batches, asked, strict=True):
        assert np.array_equal(each.get_result().as_numpy("depth"), model.infer(batch))


def test_triton_asks_what_there_is(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("tiny")
    assert triton.is_model_ready("tiny", "1")
    assert not triton.is_model_ready("tiny", "2")
    assert not triton.is_model_ready("none")
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert triton.get_model_metadata("tiny")["inputs"] == [
        {"name": "image", "datatype": "UINT8", "shape": [-1, 3, *SIZE]}
    ]


def test_triton_is_told_what_is_wrong(triton: Any) -> None:
    from tritonclient.utils import InferenceServerException

    tensor = triton_input("image", pixels()[:, :, :5], "UINT8", binary=True)
    wrong = [
        (lambda: triton.infer("tiny", [tensor]), "400", "the shape [N, 3, 48, 64]"),
        (lambda: triton.infer("none", [tensor]), "404", 'this server has "tiny"'),
        (lambda: triton.register_system_shared_memory("r", "/r", 8), "400", "no shared memory"),
    ]
    for ask, status, said in wrong:
        with pytest.raises(InferenceServerException) as raised:
            ask()
        assert raised.value.status() == status
        assert said in raised.value.message()


@pytest.mark.parametrize("sent", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("wanted", [None, True, False], ids=["all", "binary", "json"])
def test_kserve_infers(ours: Oip, model: DepthModel, sent: bool, wanted: bool | None) -> None:
    kserve = pytest.importorskip("kserve")
    from kserve.protocol.infer_type import RequestedOutput

    batch = pixels()

    async def ask() -> Any:
        tensor = kserve.InferInput("image", [*batch.shape], "UINT8")
        tensor.set_data_from_numpy(batch, binary_data=sent)
        outputs = None
        if wanted is not None:
            outputs = [RequestedOutput("depth", {"binary_data": wanted})]
        request = kserve.InferRequest("tiny", [tensor], "9", request_outputs=outputs)
        async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
            assert await client.is_server_ready(ours.url)
            assert await client.is_server_live(ours.url)
            assert await client.is_model_ready(ours.url, "tiny")
            assert not await client.is_model_ready(ours.url, "none")
            return await client.infer(ours.url, request, model_name="tiny")

    found = asyncio.run(ask())
    assert found.id == "9"
    assert np.array_equal(found.outputs[0].as_numpy(), model.infer(batch))


def test_kserve_is_told_what_is_wrong(ours: Oip) -> None:
    kserve = pytest.importorskip("kserve")

    async def ask() -> None:
        tensor = kserve.InferInput("image", [1, 3, 2, 2], "UINT8")
        tensor.set_data_from_numpy(np.zeros((1, 3, 2, 2), np.uint8))
        request = kserve.InferRequest("tiny", [tensor])
        async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
            await client.infer(ours.url, request, model_name="tiny")

    with pytest.raises(Exception, match=r"the shape \[N, 3, 48, 64\].*400 Bad Request"):
        asyncio.run(ask())
