"""Requests as odd clients send them: pictures of rare kinds, headers, methods and addresses."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from depthrt.model.depth_model import DepthModel
from helpers.web.served import Running, encoded, head, picture

IMAGE = picture(1)


def pillow(form: str, mode: str = "RGB", **options: Any) -> bytes:
    """The picture as Pillow writes it."""
    image = pytest.importorskip("PIL.Image").fromarray(IMAGE)
    file = io.BytesIO()
    if mode == "I;16":
        grey = (IMAGE[..., 0].astype(np.uint16)) * 257
        image = pytest.importorskip("PIL.Image").fromarray(grey)
    elif mode != "RGB":
        image = image.convert(mode)
    if options.pop("animated", False):
        options |= {"save_all": True, "append_images": [image.rotate(90)], "duration": 100}
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("PNG", "RGBA", {}),
        ("PNG", "RGB", {"animated": True}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGB", {"lossless": True, "animated": True}),
    ],
)
def test_kinds_that_hold_the_very_pixels(
    running: Running, model: DepthModel, form: str, mode: str, options: dict[str, Any]
) -> None:
    """Alpha is dropped, and of an animation the first picture counts."""
    content = pillow(form, mode, **options)
    found = running.ask("/v1/depth", content, {"Accept": "application/x-npy"})
    assert np.array_equal(np.load(io.BytesIO(found.content)), model(IMAGE).values)


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "LA"), ("PNG", "I;16")]
)
def test_other_colours(running: Running, model: DepthModel, form: str, mode: str) -> None:
    content = pillow(form, mode)
    if mode == "I;16":
        seen = np.repeat(IMAGE[..., :1], 3, axis=2)
    else:
        seen = np.asarray(pytest.importorskip("PIL.Image").open(io.BytesIO(content)).convert("RGB"))
    reply = running.ask("/v1/depth", content, {"Accept": "application/x-npy"})
    assert np.abs(np.load(io.BytesIO(reply.content)) - model(seen).values).mean() < 1.5


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_single_pixel_and_thin_pictures(running: Running, suffix: str) -> None:
    for size in ((1, 1), (1, 300), (200, 1)):
        content = encoded(np.full((*size, 3), 77, np.uint8), suffix)
        assert running.ask("/v1/depth", content).document["image_size"] == list(size)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*", "application/json"),
        (",, ,", "application/json"),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/json"),
        ("IMAGE/PNG", "image/png"),
        ("image/png; q=0.5, application/x-npz", "application/x-npz"),
        ("application/json;charset=utf-8", "application/json"),
    ],
)
def test_odd_accepts(running: Running, accept: str, media: str) -> None:
    reply = running.ask("/v1/depth", encoded(IMAGE), {"Accept": accept})
    assert (reply.status, reply.headers["content-type"]) == (200, media)


@pytest.mark.parametrize("accept", ["application/x-npy;q=0", "text/*", "image/png;q=abc"])
def test_what_cannot_be_accepted(running: Running, accept: str) -> None:
    assert running.ask("/v1/depth", encoded(IMAGE), {"Accept": accept}).status == 406


def test_a_body_in_pieces(running: Running, model: DepthModel) -> None:
    content = encoded(IMAGE)
    pieces = [content[at : at + 700] for at in range(0, len(content), 700)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    lines = head("/v1/depth", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with running.send(lines + body) as client:
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")


def test_methods(running: Running) -> None:
    for path in ("/", "/v1/models", "/health/live", "/docs"):
        reply = running.ask(path, method="HEAD")
        assert (reply.status, reply.content) == (200, b"")
    for method in ("OPTIONS", "PUT", "DELETE"):
        reply = running.ask("/v1/depth", method=method)
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
        assert reply.error["message"] == "this address takes POST alone"


@pytest.mark.parametrize(
    "path",
    [
        "/nichts/%C3%BC/%E2%9C%93", "/v1/clips/%E2%9C%93", "/%00", "//v1/models", "/v1/models/",
        "/v2/models/d%C3%A9p",
    ],
)  # fmt: skip
def test_addresses_where_nothing_is(running: Running, path: str) -> None:
    assert running.ask(path).status == 404


def test_options_that_would_be_left_unused_are_refused(running: Running) -> None:
    size = running.ask("/v1/depth?width=3&height=2", encoded(IMAGE))
    assert (size.status, size.error["message"]) == (
        400, "width and height are of raw RGB, which comes as application/octet-stream",
    )  # fmt: skip
    absent = running.ask("/v1/depth?output=normals", encoded(IMAGE))
    assert absent.error["message"] == 'the model gives no "normals": output is one of depth'


@pytest.mark.parametrize("extra", [b"", b"junk" * 50])
def test_what_follows_a_jpeg_does_not_matter(running: Running, extra: bytes) -> None:
    assert running.ask("/v1/depth", encoded(IMAGE, ".jpg") + extra).status == 200
