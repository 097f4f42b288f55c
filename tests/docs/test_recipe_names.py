"""The guide explains every part of the names that a search gives its candidates."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthrt_export.quantise.targets import TARGETS
from depthrt_export.search.candidates import FLOAT

GUIDE = Path(__file__).parents[2] / "docs/guide/quantise.md"
PARTS = {
    part
    for target in TARGETS.values()
    for recipe in (*target.convolutional, *target.transformer)
    for part in recipe.name.split(", ")
}


@pytest.mark.parametrize("part", sorted({FLOAT, *PARTS}))
def test_every_part_of_a_name_is_explained(part: str) -> None:
    rows = [line for line in GUIDE.read_text().splitlines() if line.startswith("| `")]
    assert any(f"`{part}`" in row.split("|")[1] for row in rows), part
