"""A picture so long that a network which keeps the aspect would run at many times its size."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.client import connect

from depthrt.spec import InputSpec
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.pictures.sent import SentPicture
from helpers.files.clips import Clip, write_clip
from helpers.models.small_model import build_model, build_spec
from helpers.web.oip_client import Oip
from helpers.web.served import Running, encoded, picture, serving, until

LONG = picture(1, (48, 4000))


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of a model that keeps the aspect and takes every size."""
    spec = replace(build_spec(), input=InputSpec(48, 64, "keep_aspect", 16))
    path = tmp_path_factory.mktemp("dynamic") / "dynamic.onnx"
    with serving(build_model(path, spec=spec, dynamic_size=True)) as running:
        yield running


def raw(height: int, width: int) -> SentPicture:
    return SentPicture("the picture", bytes(height * width * 3), (height, width))


@pytest.mark.parametrize(("height", "width"), [(48, 4000), (4000, 48)])
def test_it_is_refused_before_the_network_runs(height: int, width: int) -> None:
    spec = InputSpec(48, 64, "keep_aspect", 16)
    with pytest.raises(ProblemError, match="cut the picture into parts") as caught:
        raw(height, width).prepare(spec)
    assert caught.value.status == 413


def test_a_panorama_of_common_length_and_fixed_sizes_are_taken() -> None:
    wide = raw(48, 160).prepare(InputSpec(48, 64, "keep_aspect", 16))
    assert wide.shape == (3, 48, 160)
    long = raw(48, 4000).prepare(InputSpec(48, 64))
    assert long.shape == (3, 48, 64)
    assert long.dtype == np.uint8


def test_every_way_in_refuses_it_and_computes_nothing(dynamic: Running) -> None:
    long = encoded(LONG)
    said = "is 4000x48, and the network keeps the aspect: it would run at 4000x48"
    reply = dynamic.ask("/v1/depth", long)
    assert (reply.status, reply.error["code"]) == (413, "too_large")
    assert said in reply.error["message"]
    oip = Oip(dynamic.address, "tiny")
    content = {"name": "picture", "datatype": "BYTES", "shape": [1]}
    refused = oip.infer([{**content, "data": [base64.b64encode(long).decode()]}])
    assert refused.status == 413
    assert said in refused.error
    tensor = oip.infer_binary([("image", np.zeros((1, 3, 48, 4000), np.uint8))])
    assert tensor.status == 400
    assert "more than 4 times the pixels" in tensor.error
    host, port = dynamic.place
    for query in ("", "?keyframes=5%25"):
        with connect(f"ws://{host}:{port}/v1/stream{query}") as client:
            client.send(long)
            answer = json.loads(client.recv(10))
            assert answer["error"]["code"] == "too_large"
            client.send(encoded(picture(2)))
            assert isinstance(client.recv(10), bytes)
    assert dynamic.metric("depthrt_images_total") == 2  # the two good frames


def test_raw_pixels_are_refused_too(dynamic: Running) -> None:
    kind = {"Content-Type": "application/octet-stream"}
    reply = dynamic.ask("/v1/depth?width=900&height=48", bytes(48 * 900 * 3), kind)
    assert reply.status == 413, reply.content


def test_a_clip_so_long_fails_and_says_why(dynamic: Running, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.mp4", Clip(frames=3, size=(48, 2000)))
    place = dynamic.ask("/v1/clips?format=npz", clip.read_bytes()).headers["location"]
    until(lambda: dynamic.ask(place).document["state"] == "failed")
    said = dynamic.ask(place).document["error"]
    assert said == (
        "the clip is 2000x48, and the network keeps the aspect: it would run at 2000x48; "
        "cut the clip into parts"
    )
