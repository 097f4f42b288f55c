"""`POST /v1/depth`: every form of picture in, every form of depth out."""

from __future__ import annotations

import email
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import depthrt
from depthrt.model.depth_model import DepthModel
from depthrt_serving.settings import Queueing
from helpers.models.small_model import SIZE, build_spec
from helpers.web.served import Reply, Running, encoded, picture, serving

NPY = {"Accept": "application/x-npy"}


def array(reply: Reply) -> NDArray[np.float32]:
    assert reply.status == 200, reply.content
    assert reply.headers["content-type"] == "application/x-npy"
    return np.asarray(np.load(io.BytesIO(reply.content)))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_depth_of_a_file_is_that_of_the_model(
    running: Running, model: DepthModel, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"photo{suffix}"
    file.write_bytes(encoded(picture(1), suffix))
    expected = model(depthrt.read_image(file)).values
    assert np.array_equal(array(running.ask("/v1/depth", file.read_bytes(), NPY)), expected)


def test_raw_pixels(running: Running, model: DepthModel) -> None:
    image = picture(2, (30, 50))
    headers = {**NPY, "Content-Type": "application/octet-stream"}
    reply = running.ask("/v1/depth?width=50&height=30", image.tobytes(), headers)
    assert np.array_equal(array(reply), model(image).values)
    wrong = running.ask("/v1/depth?width=50&height=31", image.tobytes(), headers)
    assert (wrong.status, wrong.error["message"]) == (
        400, "50x31 RGB is 4650 bytes, and 4500 came",
    )  # fmt: skip


def test_a_picture_is_turned_as_its_exif_entry_says(running: Running, model: DepthModel) -> None:
    jpeg = encoded(picture(3), ".jpg")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    reply = running.ask("/v1/depth", turned)
    assert reply.document["image_size"] == [120, 90]
    upright = cv2.rotate(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1), cv2.ROTATE_90_CLOCKWISE)
    expected = model(np.ascontiguousarray(upright[..., ::-1])).values
    assert np.array_equal(array(running.ask("/v1/depth", turned, NPY)), expected)


def test_16_bit_png_is_within_half_a_step(running: Running, model: DepthModel) -> None:
    image = picture(4)
    reply = running.ask("/v1/depth", encoded(image), {"Accept": "image/png"})
    codes = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert codes.dtype == np.uint16
    assert codes.shape == SIZE
    step, offset = (float(reply.headers[f"depthrt-{name}"]) for name in ("step", "offset"))
    values = offset + step * codes.astype(np.float64)
    assert np.abs(values - model(image).values).max() <= step / 2
    assert reply.headers["depthrt-larger-is"] == "nearer"
    assert reply.headers["depthrt-image-size"] == "90x120"


def test_depth_at_the_size_of_the_picture(running: Running, model: DepthModel) -> None:
    image = picture(5)
    found = array(running.ask("/v1/depth?size=source", encoded(image), NPY))
    assert np.array_equal(found, model(image).at_image_size())


@pytest.mark.parametrize(
    ("query", "accept"), [("?view=colour", "*/*"), ("", "image/png;view=colour")]
)
def test_a_picture_to_look_at(running: Running, model: DepthModel, query: str, accept: str) -> None:
    image = picture(6)
    reply = running.ask(f"/v1/depth{query}", encoded(image), {"Accept": accept})
    shown = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.shape == (90, 120, 3)
    depth = model(image)
    brightness, values = shown.sum(axis=2).ravel(), depth.at_image_size().ravel()
    assert np.corrcoef(brightness, values)[0, 1] > 0.9  # nearer is brighter


def test_statistics(running: Running, model: DepthModel) -> None:
    image = picture(7)
    values = model(image).values
    found = running.ask("/v1/depth", encoded(image)).document
    assert found["kind"] == "inverse_depth"
    assert found["unit"] is None
    assert found["depth_size"] == list(SIZE)
    assert found["statistics"]["min"] == float(values.min())
    assert found["statistics"]["mean"] == pytest.approx(float(values.mean(dtype=np.float64)))
    assert found["statistics"]["median"] == pytest.approx(float(np.median(values)))


def test_points_and_boxes(running: Running, model: DepthModel) -> None:
    image = picture(8)
    full = model(image).at_image_size()
    path = "/v1/depth?at=0,0&at=119,89&at=60,45&box=10,20,30,40&box=119,89,1,1"
    found = running.ask(path, encoded(image)).document
    assert [point["depth"] for point in found["at"]] == pytest.approx(
        [float(full[y, x]) for x, y in ((0, 0), (119, 89), (60, 45))], rel=1e-4
    )
    boxes = [box["depth"] for box in found["boxes"]]
    assert boxes == pytest.approx(
        [float(np.median(full[20:60, 10:40])), float(full[89, 119])], rel=1e-4
    )
    assert "distance_m" not in found["at"][0]


def test_distances_where_the_model_knows_metres(tmp_path: Path) -> None:
    from dataclasses import replace

    from helpers.models.small_model import build_model

    spec = replace(build_spec(), kind="inverse_depth", unit="m")
    with serving(build_model(tmp_path / "m.onnx", spec=spec, gain=0.01)) as running:
        point = running.ask("/v1/depth?at=3,4", encoded(picture(9))).document["at"][0]
    assert point["distance_m"] == pytest.approx(1 / point["depth"])


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("at=1", 400, "not x,y in whole pixels"),
        ("at=-1,2", 400, "not x,y in whole pixels"),
        ("at=120,0", 422, "outside the picture of 120x90"),
        ("box=0,0,121,1", 422, "not within the picture of 120x90"),
        ("box=0,0,0,1", 400, "no width or no height"),
        ("view=rainbow", 400, "neither depth nor colour"),
        ("size=huge", 400, "neither network nor source"),
        ("colormap=mud", 400, "none of inferno"),
        ("att=1,1", 400, 'there is no parameter "att" here: at, box, view'),
    ],
)
def test_wrong_questions(running: Running, query: str, status: int, said: str) -> None:
    reply = running.ask(f"/v1/depth?{query}", encoded(picture()))
    assert (reply.status, said in reply.error["message"]) == (status, True), reply.content


def test_forms_that_there_are_not(running: Running) -> None:
    reply = running.ask("/v1/depth", encoded(picture()), {"Accept": "text/html, image/gif"})
    assert (reply.status, reply.error["code"]) == (406, "not_acceptable")
    both = running.ask("/v1/depth?at=1,1", encoded(picture()), {"Accept": "image/png"})
    assert both.status == 406
    best = running.ask(
        "/v1/depth", encoded(picture()), {"Accept": "text/html, image/png;q=0.1, */*;q=0.5"}
    )
    assert best.headers["content-type"] == "application/json"


def test_several_pictures_of_several_sizes(running: Running, model: DepthModel) -> None:
    images = [picture(seed, (40 + seed, 60)) for seed in range(6)]
    body = b"".join(
        b'--XX\r\nContent-Disposition: form-data; name="p"; filename="p.png"\r\n\r\n'
        + encoded(image)
        + b"\r\n"
        for image in images
    )
    kind = {"Content-Type": "multipart/form-data; boundary=XX"}
    reply = running.ask("/v1/depth", body + b"--XX--\r\n", kind)
    assert [found["image_size"] for found in reply.document["images"]] == [
        [40 + seed, 60] for seed in range(6)
    ]
    mixed = running.ask("/v1/depth", body + b"--XX--\r\n", {**kind, **NPY})
    message = email.message_from_bytes(
        f"Content-Type: {mixed.headers['content-type']}\r\n\r\n".encode() + mixed.content
    )
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    assert len(parts) == 6
    for part, image in zip(parts, images, strict=True):
        assert isinstance(part, bytes)
        assert np.array_equal(np.load(io.BytesIO(part)), model(image).values)
    torn = running.ask("/v1/depth", body, kind)
    assert "cut off" in torn.error["message"]


def test_many_clients_share_batches_and_each_has_its_own_depth(
    tiny: Path, model: DepthModel
) -> None:
    images = [picture(seed) for seed in range(48)]
    with serving(tiny, queueing=Queueing(wait_s=0.05, deadline_s=30.0, batch=4)) as running:
        with ThreadPoolExecutor(16) as clients:
            replies = list(clients.map(lambda i: running.ask("/v1/depth", encoded(i), NPY), images))
        batches = running.metric("depthrt_batch_images_count")
        assert running.metric("depthrt_images_total") == 48
    for image, reply in zip(images, replies, strict=True):
        assert np.array_equal(array(reply), model(image).values)
    assert max(int(reply.headers["depthrt-batch"]) for reply in replies) > 1
    assert batches < 48


def test_the_built_in_model_gives_the_same_bits(tmp_path: Path) -> None:
    alone = depthrt.DepthModel.load("depthrt-xs")
    images = [picture(seed, (120, 160)) for seed in range(6)]
    with (
        serving("depthrt-xs", queueing=Queueing(deadline_s=60.0, wait_s=0.1)) as running,
        ThreadPoolExecutor(6) as clients,
    ):
        replies = list(clients.map(lambda i: running.ask("/v1/depth", encoded(i), NPY), images))
        assert running.service.served.exact
    for image, reply in zip(images, replies, strict=True):
        assert np.array_equal(array(reply), alone(image).values)


def test_what_is_said_of_the_model(running: Running) -> None:
    (found,) = json.loads(running.ask("/v1/models").content)["models"]
    assert found["name"] == "tiny"
    assert found["size"] == list(SIZE)
    assert found["batch"] == 4
    assert found["exact_in_batches"] is True
