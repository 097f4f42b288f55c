"""All that is watched in one process: whose reference a watch has, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from depthrt.monitor.kept import KeptReferences
from depthrt.monitor.reference import make_reference
from depthrt.monitor.watches import WatchedModel, Watches

FIRST, SECOND = WatchedModel("1" * 64, "net@1", None), WatchedModel("2" * 64, "net@2", None)
ROWS = [{"brightness": float(v)} for v in np.random.default_rng(0).normal(0.5, 0.05, 300)]
USUAL = make_reference(ROWS, source="a test", sample_s=0.5, model=FIRST.sha256)


def test_a_model_that_takes_the_place_of_another_is_judged_by_what_was_usual() -> None:
    said: list[str] = []
    watches = Watches(KeptReferences(None), said.append)
    first = watches.watch("door", FIRST)
    assert (first.verdict.origin, first.verdict.learning) == ("stream", True)
    watches.keep("door", USUAL)
    watches.forget(FIRST)
    second = watches.watch("door", SECOND)
    second.settle()
    assert (second.verdict.origin, second.verdict.reference) == ("kept", USUAL)
    again = "door: its reference was made with another model file: depth may differ for that"
    assert said == [again]
    assert watches.watch("yard", SECOND).verdict.origin == "stream"


def test_a_model_that_is_over_has_no_series_any_more() -> None:
    watches = Watches(None, print)
    watches.watch("door", FIRST)
    watches.watch("door", SECOND)
    labels = [labels for labels, _ in watches.verdicts()]
    assert labels == [{"stream": "door", "model": f"net@{n}"} for n in (1, 2)]
    watches.forget(FIRST)
    assert [labels["model"] for labels, _ in watches.verdicts()] == ["net@2"]
    assert watches.is_over(FIRST)
    assert not watches.is_over(SECOND)
    loaded_again = WatchedModel(FIRST.sha256, FIRST.label, None)
    assert not watches.is_over(loaded_again)


def test_a_file_is_written_where_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "usual.json"
    Watches(KeptReferences.open(file), print).keep("door", USUAL)
    assert set(KeptReferences.open(file).references) == {"door"}
