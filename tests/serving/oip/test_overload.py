"""The protocol under load: images are counted, refusals are early, nobody's work is dropped."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from depthrt_serving.settings import Queueing
from helpers.models.small_model import SIZE, build_slow_model
from helpers.web.oip_client import HEAD_LENGTH, Oip, binary_input
from helpers.web.served import Running, head, serving


def pixels(images: int = 1) -> list[tuple[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]]:
    return [("image", np.zeros((images, 3, *SIZE), np.uint8))]


def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.005)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes some 50 ms for an image."""
    return build_slow_model(tmp_path_factory.mktemp("slow") / "slow.onnx", work=8)


@pytest.fixture
def busy(slow: Path) -> Iterator[Running]:
    """A server of a slow model, one image at a time, of which six may wait."""
    with serving(slow, queueing=Queueing(images=6, deadline_s=30.0), alone=True) as running:
        yield running


def in_background(oip: Oip, images: int) -> threading.Thread:
    thread = threading.Thread(target=oip.infer_binary, args=(pixels(images),))
    thread.start()
    return thread


def test_images_are_counted_not_requests(busy: Running) -> None:
    oip = Oip(busy.address, "tiny")
    many = oip.infer_binary(pixels(7))
    assert (many.status, "at most 6 may wait" in many.error) == (422, True)
    first = in_background(oip, 6)
    until(lambda: busy.service.batcher.waiting >= 4)
    found = oip.infer_binary(pixels(4))
    assert found.status == 429
    assert "too many images wait" in found.error
    assert int(found.headers["retry-after"]) >= 1
    assert int(found.headers["depthrt-retry-after-ms"]) >= 1
    first.join()
    assert oip.infer_binary(pixels(1)).status == 200


@pytest.mark.parametrize("by", ["timeout", "header"])
def test_a_deadline_that_cannot_be_kept_is_refused_before_it_is_computed(
    busy: Running, by: str
) -> None:
    # What one image takes twice: enough for it alone, and too little behind five others.
    allowed_s = 2 * busy.service.batcher.estimate.least_s_for(1)
    headers = {"depthrt-deadline-ms": str(1e3 * allowed_s)} if by == "header" else {}
    oip = Oip(busy.address, "tiny", headers)
    first = in_background(Oip(busy.address, "tiny"), 5)
    until(lambda: busy.service.batcher.waiting >= 4)
    more = {"timeout": round(1e6 * allowed_s)} if by == "timeout" else {}
    found = oip.infer_binary(pixels(), parameters={"binary_data_output": True, **more})
    assert found.status == 503
    assert "after its deadline" in found.error
    assert int(found.headers["retry-after"]) >= 1
    first.join()
    assert busy.metric("depthrt_images_total") == 5


@pytest.mark.parametrize("timeout", [-1, 1.5, "1", True, [], {}])
def test_a_timeout_that_is_none(ours: Oip, timeout: object) -> None:
    found = ours.infer_binary(pixels(), parameters={"timeout": timeout})
    assert found.status == 400
    assert "timeout" in found.error


def test_without_a_timeout(ours: Oip) -> None:
    for timeout in (0, 10**18, None):
        assert ours.infer_binary(pixels(), parameters={"timeout": timeout}).status == 200


def test_a_client_that_hangs_up_takes_its_work_with_it(busy: Running) -> None:
    oip = Oip(busy.address, "tiny")
    first = in_background(oip, 2)
    until(lambda: busy.service.batcher.waiting >= 1)
    entry, content = binary_input(*pixels(3)[0])
    text = json.dumps({"inputs": [entry]}).encode()
    path, length = f"{oip.path}/infer", len(text) + len(content)
    client = busy.send(head(path, length, f"{HEAD_LENGTH}: {len(text)}") + text + content)
    until(lambda: busy.service.batcher.waiting >= 4)
    client.close()
    until(lambda: busy.metric("depthrt_abandoned_images_total") == 3)
    first.join()
    assert oip.infer_binary(pixels()).status == 200
    assert busy.metric("depthrt_images_total") == 3
    assert busy.metric("depthrt_wasted_images_total") == 0


def test_it_is_not_ready_while_it_ends(tiny: Path) -> None:
    with serving(tiny) as running:
        oip = Oip(running.address, "tiny")
        running.service.draining = True
        for path in ("/v2/health/ready", f"{oip.path}/ready"):
            found = oip.ask(path)
            assert (found.status, found.error) == (503, "the server is ending")
        assert oip.ask("/v2/health/live").status == 200
        assert oip.infer_binary(pixels()).status == 200
