"""The dashboard's queries and the alerts, as they are asked of Prometheus."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from experiments.containers.prometheus import is_there
from experiments.containers.queries import dashboard_queries, filled, measure, variable_queries

CONTENT = json.loads((files("depthrt.monitor") / "dashboard.json").read_text("utf-8"))


def test_variables_are_filled_in() -> None:
    query = 'rate(a{instance=~"$instance",feature="$feature"}[$__rate_interval])'
    assert filled(query) == 'rate(a{instance=~".*",feature="brightness"}[30s])'


def test_every_query_and_variable_of_the_dashboard_is_asked() -> None:
    asked = list(dashboard_queries(CONTENT))
    targets = sum(json.dumps(panel).count('"expr"') for panel in CONTENT["panels"])
    assert len(asked) == targets > 20
    assert not any("$" in query for _, query in asked)
    chosen = {name for name, _, _ in variable_queries(CONTENT)}
    wanted = {v["name"] for v in CONTENT["templating"]["list"] if v["type"] == "query"}
    assert chosen == wanted


@pytest.mark.slow
@pytest.mark.skipif(not is_there(), reason="Prometheus is not installed")
@pytest.mark.filterwarnings("default")
def test_prometheus_understands_all_of_them() -> None:
    found = measure(10)
    assert found["up"] == [1.0, 1.0]
    assert found["broken"] == []
    assert {each["health"] for each in found["alerts"]} == {"ok"}
