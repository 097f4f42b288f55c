"""The journal of a search: it goes on from whatever is whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.errors import WriteError
from depthrt_export.proof.evaluator import LatencyRatio
from depthrt_export.search.candidates import Candidate, Journal
from helpers.made_up_latency import Run, by_integers


def test_search_goes_on_from_its_journal(run: Run, tmp_path: Path) -> None:
    journal = tmp_path / "search.json"
    first = run(journal=journal)

    def never(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> LatencyRatio:
        raise AssertionError("measured again")

    again = run(never, journal=journal)
    assert (again.candidates, again.picked) == (first.candidates, first.picked)
    assert again.reused == len(first.candidates) + len(first.sensitivity)
    assert run(journal=journal, key="another").reused == 0
    journal.write_text("{half")
    assert run(journal=journal).reused == 0


def test_full_disk_midway_is_one_sentence_and_resumes(run: Run, tmp_path: Path) -> None:
    disk, away = tmp_path / "disk", tmp_path / "away"
    disk.mkdir()
    journal = disk / "search.json"
    calls = 0

    def fills(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> LatencyRatio:
        nonlocal calls
        calls += 1
        if calls == 2:
            disk.rename(away)  # from now on nothing can be written there
        return by_integers(path, reference, image)

    with pytest.raises(WriteError, match=r"search\.json"):
        run(fills, journal=journal)
    away.rename(disk)
    assert len(json.loads(journal.read_text())["entries"]) == 1
    assert run(journal=journal).reused == 1


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"\xff", b'{"key": "k"}'])
def test_a_broken_journal_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "model.onnx.search.json"
    place.write_bytes(content)
    assert Journal.open(place, "k").entries == {}


def test_entries_that_are_none_are_measured_again(run: Run, tmp_path: Path) -> None:
    journal = tmp_path / "search.json"
    first = run(journal=journal)
    content = json.loads(journal.read_text())
    damaged: list[Any] = [None, [1, 2], "fast", {}, 5]
    for number, name in enumerate(content["entries"]):
        content["entries"][name] = damaged[number % len(damaged)]
    journal.write_text(json.dumps(content))
    again = run(journal=journal)
    assert again.reused == 0
    assert [c.name for c in again.candidates] == [c.name for c in first.candidates]


MEASURED = Candidate("int8", ("a", "b"), 0.01, 0.02, None, LatencyRatio(0.5, 0.4, 0.6, 1.0, 2.0, 9))


@pytest.mark.parametrize(
    "damage",
    [
        {"error": "0.01"},
        {"drop": True},
        {"float_blocks": 3},
        {"float_blocks": [["a"], "b"]},
        {"float_blocks": ["a", "c"]},
        {"latency": 0.5},
        {"latency": {"ratio": 0.1}},
        {"latency": {**asdict(MEASURED)["latency"], "ratio": -1}},
        {"latency": {**asdict(MEASURED)["latency"], "ratio": None}},
        {"provider": "another"},
        {"recipe": "another"},
        {"refused": 1},
    ],
)
def test_entry_of_something_else(damage: dict[str, Any]) -> None:
    good = json.loads(json.dumps(MEASURED.to_dict()))
    journal = Journal(None, "", {"good": good, "bad": {**good, **damage}})
    assert journal.candidate("good", MEASURED) == MEASURED
    assert journal.candidate("bad", MEASURED) is None
    assert journal.candidate("absent", MEASURED) is None


def test_sensitivity_of_other_blocks() -> None:
    entries = {"good": {"a": 1, "b": 0.5}, "text": {"a": 1, "b": "2"}, "one": {"a": 1}, "list": [1]}
    journal = Journal(None, "", entries)
    assert journal.sensitivity("good", ["a", "b"]) == {"a": 1.0, "b": 0.5}
    for name in ("text", "one", "list", "absent"):
        assert journal.sensitivity(name, ["a", "b"]) is None
