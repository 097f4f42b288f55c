"""HEIC photos sent to the server."""

from __future__ import annotations

import io

import numpy as np
import pytest

from depthrt.model.depth_model import DepthModel
from depthrt.sources.decode import heif
from depthrt.sources.images import decode_image
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.pictures.sent import checked_file
from helpers.files.heic_photos import heic
from helpers.web.served import Running, picture

needs_package = pytest.mark.skipif(not heif.can_decode_heif(), reason="pi-heif is not installed")
PHOTO = (96, 128)


@needs_package
def test_a_photo_is_turned_and_its_depth_is_that_of_the_model(
    running: Running, model: DepthModel
) -> None:
    photo = heic([picture(1, PHOTO)] * 4, columns=2, quarter_turns=1)
    seen = decode_image(np.frombuffer(photo, np.uint8), "photo")
    assert seen.shape == (256, 192, 3)
    reply = running.ask("/v1/depth", photo, {"Accept": "application/x-npy"})
    assert np.array_equal(np.load(io.BytesIO(reply.content)), model(seen).values)
    assert running.ask("/v1/depth", photo).document["image_size"] == [256, 192]


@needs_package
def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    photo = heic([picture(1, PHOTO)])
    with pytest.raises(ProblemError, match="128x96 pixels") as caught:
        checked_file("the picture", photo, 10_000)
    assert caught.value.status == 413


@needs_package
def test_a_torn_photo_and_one_that_is_larger_than_it_says(running: Running) -> None:
    whole = heic([picture(1, PHOTO)])
    for content in (whole[:300], whole[:-50], heic([picture(1, PHOTO)], claimed=(9, 12))):
        reply = running.ask("/v1/depth", content)
        assert (reply.status, reply.error["code"]) == (422, "unusable")


def test_without_the_package(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "_DECODERS", ())
    reply = running.ask("/v1/depth", heic([picture(1, PHOTO)]))
    assert (reply.status, reply.error["message"]) == (
        415,
        "the picture is HEIC, which needs the package pi-heif beside the server: send JPEG",
    )
