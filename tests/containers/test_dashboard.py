"""The dashboard is what Grafana knows: read into Grafana's own types, nothing of it is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DASHBOARD = Path(__file__).parents[2] / "runtime" / "depthrt" / "monitor" / "dashboard.json"
# Grafana itself writes it beside the query of a variable; its published types lack it.
UNTYPED = {"definition"}


def lost(given: Any, read: Any, place: str = "dashboard") -> Iterator[str]:
    """What of ``given`` is not in ``read``, by its place."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name, value in given.items():
            if name not in read:
                yield f"{place}.{name}"
            else:
                yield from lost(value, read[name], f"{place}.{name}")
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for number, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from lost(one, other, f"{place}[{number}]")
    elif given != read:
        yield place


def as_grafana_reads_it(content: Any) -> Any:
    """The dashboard, through Grafana's types and back."""
    pytest.importorskip("grafana_foundation_sdk", reason="pip install grafana-foundation-sdk")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(content)))


def test_nothing_of_the_dashboard_is_lost() -> None:
    content = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    missing = list(lost(content, as_grafana_reads_it(content)))
    assert [place for place in missing if place.rpartition(".")[2] not in UNTYPED] == []


def test_a_wrong_word_is_found() -> None:
    content = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    (panel, *_) = [p for p in content["panels"] if p["type"] == "stat"]
    panel["options"]["colourMode"] = "background"
    place = f"dashboard.panels[{content['panels'].index(panel)}].options.colourMode"
    assert place in list(lost(content, as_grafana_reads_it(content)))


def test_panels_do_not_overlap_and_have_queries() -> None:
    content = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in content["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] not in ("row", "text"):
            assert all(target["expr"] for target in panel["targets"]), panel["title"]
    ids = [panel["id"] for panel in content["panels"]]
    assert len(ids) == len(set(ids))
