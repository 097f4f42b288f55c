"""What `/metrics` of the server says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from depthrt.errors import InferenceError
from depthrt.model.inference import Prediction
from depthrt.monitor.exposition import server_table
from helpers.web.served import Running, encoded, picture, serving, until

BODY = encoded(picture())


@pytest.fixture(scope="module")
def asked(tiny: Path) -> Iterator[Running]:
    """A server that has answered three pictures, refused one, and sent four as one request."""
    with serving(tiny) as found:
        for _ in range(3):
            assert found.ask("/v1/depth", BODY).status == 200
        assert found.ask("/v1/depth", b"no picture").status == 415
        assert found.ask("/v1/depth", BODY, {"Depthrt-Deadline-Ms": "0.001"}).status == 503
        yield found


def test_each_family_is_in_the_table(asked: Running) -> None:
    text = asked.ask("/metrics").content.decode()
    known = {
        m.name.removesuffix("_total"): m for m in (*server_table.METRICS, *server_table.SHARED)
    }
    families = list(text_string_to_metric_families(text))
    assert len(families) >= 20
    for family in families:
        assert family.name in known, family.name
        metric = known[family.name]
        assert family.documentation == metric.text
        assert family.type == metric.kind
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), sample
    assert "_created" not in text


def test_stages_are_counted_by_model(asked: Running) -> None:
    label = asked.service.deployments.stable.label
    sha256 = asked.service.model.sha256()
    assert label == f"{asked.service.spec.name}@{sha256[:8]}"
    for stage in ("decode", "prepare", "wait", "infer", "answer"):
        assert asked.metric("depthrt_stage_seconds_count", model=label, stage=stage) == 3
        assert asked.metric("depthrt_stage_seconds_sum", model=label, stage=stage) < 3
    assert asked.metric("depthrt_stage_seconds_sum", stage="decode") > 0
    assert asked.metric("depthrt_model_info", model=label, sha256=sha256, provider="cpu") == 1
    assert asked.metric("depthrt_model_share", model=label, role="stable") == 1
    assert asked.metric("depthrt_images_total", model=label) == 3
    assert asked.metric("depthrt_batch_images_count", model=label) == 3


def test_errors_are_counted_by_cause(asked: Running) -> None:
    assert asked.metric("depthrt_errors_total", cause="unknown_type") == 1
    assert asked.metric("depthrt_errors_total", cause="late") == 1
    assert asked.metric("depthrt_errors_total", cause="failed") == 0
    assert asked.metric("depthrt_rejected_total", reason="late") == 1


def test_an_answer_says_which_model_gave_it(asked: Running) -> None:
    label = asked.service.deployments.stable.label
    assert asked.ask("/v1/depth", BODY).headers["depthrt-model"] == label


def test_a_client_that_leaves_is_counted(tiny: Path) -> None:
    from helpers.web.served import head

    with serving(tiny, alone=True) as running, running.held():
        client = running.send(head("/v1/depth", len(BODY)) + BODY)
        until(lambda: running.service.batcher.running == 1)
        client.close()
        until(lambda: running.metric("depthrt_errors_total", cause="gone") == 1)


def test_images_on_which_the_network_fails_are_counted(tiny: Path) -> None:
    def failing(*arguments: object) -> Prediction:
        raise InferenceError("the network failed")

    with serving(tiny) as running:
        running.service.batcher._predict = failing
        assert running.ask("/v1/depth", BODY).status == 500
        assert running.metric("depthrt_images_failed_total") == 1
        assert running.metric("depthrt_errors_total", cause="failed") == 1
