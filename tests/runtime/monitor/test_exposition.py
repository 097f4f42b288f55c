"""The page of metrics, the alert rules and the dashboard: they speak of the same names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import depthrt.monitor
from depthrt.errors import TargetError, UsageError
from depthrt.latency import Latency
from depthrt.monitor.exposition import server_table
from depthrt.monitor.exposition.http import serve_metrics
from depthrt.monitor.exposition.metric_table import METRICS as OF_RUN
from depthrt.monitor.exposition.text_format import (
    BUCKETS_S,
    CONTENT_TYPE,
    Family,
    Metric,
    to_text,
)
from depthrt.monitor.features import FEATURES

FOLDER = Path(depthrt.monitor.__file__).parent
DOCS = Path(__file__).parents[3] / "docs/reference/metrics.md"
METRICS = (*OF_RUN, *server_table.METRICS)
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_labels_and_values_survive() -> None:
    gauge = Metric("a_gauge", "gauge", 'Says "what"\nand\\how.', ("stream",))
    hostile = 'a "clip"\\of\nmine.mp4'
    values = [({"stream": hostile}, 0.1 + 0.2), ({"stream": "b"}, math.inf), ({}, math.nan)]
    text = to_text([Family(gauge, values)])
    found = parsed(text)["a_gauge"]
    assert found[0] == ({"stream": hostile}, 0.1 + 0.2)
    assert found[1] == ({"stream": "b"}, math.inf)
    assert math.isnan(found[2][1])
    assert to_text([Family(gauge, [({"stream": "\udce9"}, 1.0)])]).encode()


def test_a_histogram_has_its_times_in_buckets() -> None:
    times = Latency()
    for seconds in (0.0002, 0.003, 0.02, 0.02, 0.7, 30.0):
        times.add(seconds)
    metric = Metric("a_second", "histogram", "Times.", ("stage",))
    found = parsed(to_text([Family(metric, [({"stage": "infer"}, times)])]))
    buckets = {labels["le"]: value for labels, value in found["a_second_bucket"]}
    assert len(buckets) == len(BUCKETS_S) + 1
    assert [buckets[le] for le in ("0.0005", "0.0025", "0.005", "0.025", "0.5", "1", "10")] == [
        1, 1, 2, 4, 4, 5, 5,
    ]  # fmt: skip
    assert buckets["+Inf"] == 6
    assert found["a_second_count"] == [({"stage": "infer"}, 6)]
    assert found["a_second_sum"][0][1] == pytest.approx(30.7432)


@pytest.fixture
def url() -> Iterator[str]:
    with serve_metrics("0", lambda: "a_gauge 1\n") as found:
        yield found


def test_the_page_is_served_to_this_machine(url: str) -> None:
    assert url.startswith("http://127.0.0.1:")
    for place in (url, url.removesuffix("metrics"), f"{url}?x=1"):
        with urlopen(place, timeout=10) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            assert answer.read() == b"a_gauge 1\n"


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/metrics", "evil.example", HTTPStatus.FORBIDDEN),
        ("/other", "127.0.0.1", HTTPStatus.NOT_FOUND),
        ("/metrics", "localhost:9100", HTTPStatus.OK),
    ],
)
def test_what_is_refused(url: str, path: str, host: str, status: HTTPStatus) -> None:
    connection = HTTPConnection("127.0.0.1", urlsplit(url).port or 0, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    assert connection.getresponse().status == status
    connection.close()


def test_a_port_in_use_and_an_address_that_is_none(url: str) -> None:
    port = urlsplit(url).port
    with (
        pytest.raises(TargetError, match=f"--metrics {port} cannot be opened .*another port"),
        serve_metrics(str(port), str),
    ):
        pass
    with (
        pytest.raises(UsageError, match="--metrics a:b is neither PORT nor HOST:PORT"),
        serve_metrics("a:b", str),
    ):
        pass


def queries(content: Any) -> list[str]:
    """Each ``expr`` in the content of a JSON or YAML file."""
    if isinstance(content, list):
        return [query for each in content for query in queries(each)]
    if isinstance(content, dict):
        own = [content["expr"]] if "expr" in content else []
        return own + [query for each in content.values() for query in queries(each)]
    return []


def rules() -> Any:
    return yaml.safe_load((FOLDER / "alerts.yml").read_text())


def dashboard() -> Any:
    return json.loads((FOLDER / "dashboard.json").read_text())


@pytest.mark.parametrize("content", [rules(), dashboard()], ids=["alerts", "dashboard"])
def test_every_metric_and_label_in_a_query_exists(content: Any) -> None:
    known: dict[str, set[str]] = {}
    for metric in METRICS:
        for suffix in _SUFFIXES[metric.kind]:
            known.setdefault(metric.name + suffix, {"instance", "job"}).update(metric.labels)
    found = queries(content)
    assert len(found) >= 18
    for query in found:
        for name, inside in re.findall(r"\b(depthrt_\w+)(?:\{([^}]*)\})?", query):
            assert name in known, query
            for label in re.findall(r"(\w+)\s*[=!]~?", inside):
                assert label in known[name], query


def test_every_alert_is_explained() -> None:
    page = (DOCS.parents[1] / "guide/production.md").read_text()
    names = [rule["alert"] for group in rules()["groups"] for rule in group["rules"]]
    assert len(names) == len(set(names)) == 19
    for name in names:
        assert f"`{name}`" in page


def test_the_page_of_metrics_lists_each_metric_and_feature_as_it_is() -> None:
    page = DOCS.read_text()
    for metric in METRICS:
        labels = ", ".join(metric.labels)
        assert f"| `{metric.name}` | {metric.kind} | {labels} | {metric.text} |" in page
    for name, feature in FEATURES.items():
        assert f"| `{name}` | {feature.text} | {feature.smallest:g} |" in page


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    taken = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"])
             for y in range(p["y"], p["y"] + p["h"])]  # fmt: skip
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
