"""The experiments of overload, restarts and mutated requests, for seconds in place of minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.serving import abuse, overload, restarts
from experiments.serving.http_client import HUNG_UP
from helpers.models.small_model import build_slow_model

pytestmark = pytest.mark.slow


def test_overload_refuses_and_computes_for_nobody_who_left(tmp_path: Path) -> None:
    slow = build_slow_model(tmp_path / "slow.onnx", work=4)
    figures = overload.measure(str(slow), seconds=1.5, deadline_s=0.4, rounds=1)
    levels: dict[str, dict[str, Any]] = figures["levels"]
    assert list(levels) == ["0.5x", "1x", "2x", "4x"]
    for row in levels.values():
        statuses = {int(status): count for status, count in row["statuses"].items()}
        assert set(statuses) <= {200, 429, 503, HUNG_UP}
        # Depth that was computed was answered, or its client left while the answer was sent.
        computed_for_somebody = row["images"] - row["wasted_images"]
        assert computed_for_somebody <= statuses[200] + statuses.get(HUNG_UP, 0)
        assert computed_for_somebody >= statuses[200]
    refused = levels["4x"]["statuses"]
    assert refused.get("429", 0) + refused.get("503", 0) > refused["200"]
    burst = figures["burst"]
    assert burst["answered_at_once"] < burst["answered"] <= burst["clients"]


def test_every_request_is_answered_once_over_restarts(tmp_path: Path) -> None:
    found = restarts.run("depthrt-xs", requests=600, restarts=3, folder=tmp_path)
    assert found["answered"] == 600
    assert found["statuses"]["200"] == 600
    for what in ("unanswered", "lost", "doubled", "wrong_depth"):
        assert found[what] == 0, what


def test_mutated_requests_never_fail_the_server(tmp_path: Path) -> None:
    found = abuse.run("depthrt-xs", requests=300, seed=1, folder=tmp_path, schemathesis=None)
    assert found["failures"] == 0, found["failed"]
    assert found["neither_answered_nor_closed"] == {}
    assert found["tracebacks"] == 0
    assert found["exit_status"] == 0
    assert set(found["statuses"]) >= {"picture", "oip_json", "oip_binary", "websocket", "garbage"}
