"""The simulated scale of archives: the result that the page quotes, and what it must show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from experiments.archives.cluster_model import Costs
from experiments.archives.simulate import WORKERS, scenarios

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "guide" / "archives.md"
RESULT = json.loads((ROOT / "benchmarks" / "results" / "archives_scale.json").read_text())
ROWS: dict[str, list[dict[str, Any]]] = RESULT["rows"]


def test_every_row_is_there_and_none_beats_its_bounds() -> None:
    assert set(ROWS) == set(scenarios(Costs(**RESULT["costs"])))
    for row in ROWS.values():
        assert [each["workers"] for each in row] == [*WORKERS]
        for each in row:
            assert each["hours"] >= 0.999 * max(each["bounds_hours"].values())
            assert 0 < each["efficiency"] <= 1


def test_more_workers_are_slower_only_where_they_crowd_the_store() -> None:
    for name, row in ROWS.items():
        hours = [each["hours"] for each in row]
        assert hours == sorted(hours, reverse=True) or "store" in name


def test_the_page_says_what_the_result_has() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = {
        cells[0]: cells[1:]
        for line in text.splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")])[0] in ROWS
    }
    assert set(table) == set(ROWS)
    for name, cells in table.items():
        shown = [float(re.sub(r"[%,]", "", cell)) for cell in cells]
        expected = [100 * each["efficiency"] for each in ROWS[name] if each["workers"] > 1]
        assert shown == pytest.approx(expected, abs=0.5)
