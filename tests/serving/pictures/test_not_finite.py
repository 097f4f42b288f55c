"""Depth that is NaN or infinite in places: a gap in the answer, and no failure of the server."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import connect

from depthrt.errors import InferenceError
from depthrt.model.depth_model import DepthModel
from helpers.models.small_model import SIZE, build_gappy_model, expected_depth
from helpers.web.oip_client import Oip
from helpers.web.served import Running, encoded, picture, serving

GAPS = 12 * SIZE[1]  # pixels


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_gappy_model(tmp_path_factory.mktemp("gappy") / "gappy.onnx")


@pytest.fixture(scope="module")
def gappy(file: Path) -> Iterator[Running]:
    with serving(file) as running:
        yield running


def torn() -> NDArray[np.uint8]:
    """A picture at the network's size whose first 12 rows are black."""
    image = np.maximum(picture(1, SIZE), 40)
    image[:12] = 0
    return image


def expected() -> NDArray[np.float32]:
    values = expected_depth(torn().transpose(2, 0, 1)[None])[0]
    with np.errstate(divide="ignore"):
        found = values + np.float32(1) / values
    found[:12] = np.nan
    return np.asarray(found, np.float32)


def ask(running: Running, accept: str, query: str = "", image: Any = None) -> Any:
    content = encoded(torn() if image is None else image)
    return running.ask(f"/v1/depth{query}", content, {"Accept": accept})


def test_npy_and_npz_have_nan(gappy: Running) -> None:
    found = np.load(io.BytesIO(ask(gappy, "application/x-npy").content))
    assert np.allclose(found, expected(), rtol=1e-6, equal_nan=True)
    assert int(np.isnan(found).sum()) == GAPS
    arrays = np.load(io.BytesIO(ask(gappy, "application/x-npz").content))
    assert set(arrays) == {"depth", "valid"}
    assert np.array_equal(arrays["depth"], found, equal_nan=True)
    assert np.array_equal(arrays["valid"], ~np.isnan(found))


def test_png_has_the_code_for_none(gappy: Running) -> None:
    reply = ask(gappy, "image/png")
    codes = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert reply.headers["depthrt-invalid"] == "0"
    assert np.array_equal(codes == 0, np.isnan(expected()))
    step, offset = (float(reply.headers[f"depthrt-{name}"]) for name in ("step", "offset"))
    off = np.abs(offset + step * codes.astype(np.float64) - expected())
    assert np.nanmax(off) <= step / 2


def test_json_counts_and_has_null(gappy: Running) -> None:
    found = ask(gappy, "*/*", "?at=3,2&at=3,30&box=0,0,64,12&box=0,0,64,48").document
    assert found["invalid_values"] == GAPS
    assert found["valid_share"] == 0.75
    assert found["statistics"]["max"] == pytest.approx(float(np.nanmax(expected())))
    assert [point["depth"] for point in found["at"]] == [
        None,
        pytest.approx(float(expected()[30, 3]), rel=1e-5),
    ]
    assert [box["depth"] for box in found["boxes"]] == [
        None,
        pytest.approx(float(np.nanmedian(expected())), rel=1e-5),
    ]


def test_a_picture_to_look_at_and_an_enlarged_map(gappy: Running) -> None:
    reply = ask(gappy, "*/*", "?view=colour")
    shown = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.shape == (*SIZE, 3)
    image = cv2.resize(torn(), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    found = np.load(io.BytesIO(ask(gappy, "application/x-npy", "?size=source", image).content))
    assert np.isnan(found[:22]).all()
    assert np.isfinite(found[26:]).all()


def test_where_no_value_is_finite(gappy: Running) -> None:
    reply = ask(gappy, "*/*", image=torn() * 0)
    assert (reply.status, reply.error["message"]) == (
        422,
        "the picture: the model gives no finite depth for it (all is NaN or infinite)",
    )


def test_one_gap_costs_no_other_picture_its_depth(gappy: Running) -> None:
    files = [encoded(picture(2)), encoded(torn()), encoded(picture(3))]
    head = b'--X\r\nContent-Disposition: form-data; name="p"\r\n\r\n'
    body = b"".join(head + content + b"\r\n" for content in files) + b"--X--\r\n"
    found = gappy.ask("/v1/depth", body, {"Content-Type": "multipart/form-data; boundary=X"})
    assert [each["invalid_values"] for each in found.document["images"]] == [0, GAPS, 0]


def test_a_stream_goes_on(gappy: Running) -> None:
    host, port = gappy.place
    with connect(f"ws://{host}:{port}/v1/stream?format=npy&stabilise=1") as client:
        answers = []
        for image in (torn(), torn() * 0, torn()):
            client.send(encoded(image))
            answers.append(client.recv(10))
    first, said, last = answers
    for message in (first, last):
        assert isinstance(message, bytes)
        length = int.from_bytes(message[:4], "little")
        assert json.loads(message[4 : 4 + length])["invalid_values"] == GAPS
        assert int(np.isnan(np.load(io.BytesIO(message[4 + length :]))).sum()) == GAPS
    assert json.loads(said)["error"]["code"] == "unusable"


def test_tensors_have_nan(gappy: Running) -> None:
    oip = Oip(gappy.address, "tiny")
    pixels = torn().transpose(2, 0, 1)[None]
    found = oip.infer_binary([("image", pixels)]).tensors["depth"][0]
    assert np.allclose(found, expected(), rtol=1e-6, equal_nan=True)
    refused = oip.infer_binary([("image", np.concatenate([pixels, pixels * 0]))])
    assert refused.status == 422
    assert refused.error.startswith("image 2: the model gives no finite depth")


def test_the_model_itself_still_refuses(file: Path) -> None:
    model = DepthModel.load(file, threads=1)
    with pytest.raises(InferenceError, match=r"25.0% non-finite"):
        model(torn())
    found = model.predict(torn().transpose(2, 0, 1)[None], gaps=True)
    assert np.isfinite(found.depth).all()
    assert found.optional["valid"].sum() == SIZE[0] * SIZE[1] - GAPS
