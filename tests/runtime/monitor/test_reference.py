"""References: as JSON and back, and what is wrong with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depthrt.errors import ModelError
from depthrt.monitor.features import FEATURES
from depthrt.monitor.kept import KeptReferences
from depthrt.monitor.reference import Reference, make_reference, read_reference


def rows(count: int = 100) -> list[dict[str, float]]:
    random = np.random.default_rng(0)
    return [
        {name: float(random.normal()) for name in FEATURES if name != "correction"}
        for _ in range(count)
    ]


@pytest.fixture
def reference() -> Reference:
    return make_reference(rows(), source="a test", sample_s=0.5, model="abc")


def test_json_gives_the_same_back(reference: Reference) -> None:
    text = reference.to_json()
    again = read_reference(text)
    assert again.to_json() == text
    assert (again.frames, again.in_order, again.sample_s) == (100, True, 0.5)
    assert (again.source, again.model) == ("a test", "abc")
    assert set(again.bins) == set(FEATURES) - {"correction"}
    assert again.codes["flicker"].tolist() == reference.codes["flicker"].tolist()


def test_a_file_s_worth_of_frames_is_a_few_kilobytes() -> None:
    assert len(make_reference(rows(80), source="frames").to_json()) < 8000


def test_few_frames_are_no_reference() -> None:
    with pytest.raises(ModelError, match="at least 8 frames, not 7"):
        make_reference(rows(7), source="frames")


def change(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.update({key: value})


def change_feature(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["features"]["flicker"].update({key: value})


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (change("version", 9), "of version 9, but this depthrt reads up to 1: upgrade"),
        (change("frames", 10**6), '"frames": 1000000: give 8 to 4096'),
        (change("frames", 99), '"bins": .* give 99 letters of its bins'),
        (change("sample_s", 0), "give a number above 0"),
        (change("features", {}), "at least one that is known"),
        (change("features", []), "give an object"),
        (change_feature("edges", [1, 1, 2]), "ascending numbers"),
        (change_feature("inner", [0, 99]), "the first and the last inner bin"),
        (change_feature("width", 0), "give a number above 0"),
        (change_feature("bins", "-" * 100), "100 letters of its bins"),
        (change_feature("bins", "~" * 100), "100 letters of its bins"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    reference: Reference, broken: Callable[[dict[str, Any]], None], said: str
) -> None:
    content = json.loads(reference.to_json())
    broken(content)
    with pytest.raises(ModelError, match=said):
        read_reference(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "null", '{"version": 1}', "{" * 500, "x" * 200_001])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="its reference of drift"):
        read_reference(text)


def test_features_of_later_versions_are_left_alone(reference: Reference) -> None:
    content = json.loads(reference.to_json())
    content["features"]["new"] = {"edges": "?"}
    assert "new" not in read_reference(json.dumps(content)).bins


def test_references_of_streams_are_kept_in_a_file(tmp_path: Path, reference: Reference) -> None:
    path, said = tmp_path / "cameras.json", list[str]()
    KeptReferences.open(path).keep("a", reference, said.append)
    KeptReferences.open(path).keep("b", reference, said.append)
    again = KeptReferences.open(path).references
    assert {name: each.to_json() for name, each in again.items()} == {
        "a": reference.to_json(),
        "b": reference.to_json(),
    }
    gone = KeptReferences(tmp_path / "missing" / "cameras.json")
    gone.keep("a", reference, said.append)
    assert len(said) == 1
    assert said[0].startswith("the reference is not kept: ")


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    for content in ('{"a": 1}', "no JSON", "[]"):
        path.write_text(content)
        with pytest.raises(ModelError, match=r"cameras\.json"):
            KeptReferences.open(path)
        assert path.read_text() == content
