"""A labelled set whose ``dataset.json`` is broken: one sentence that says what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthrt.errors import SourceError
from depthrt.spec import InputSpec
from depthrt_export.proof.labelled_frames import labelled_frames, open_labelled
from helpers.files.hostile_json import ALL, write_unreadable
from helpers.files.labelled import write_set


@pytest.mark.parametrize("kind", ALL)
def test_a_labelled_set_whose_facts_are_broken(tmp_path: Path, kind: str) -> None:
    folder = write_set(tmp_path / "set", 1)
    write_unreadable(folder / "dataset.json", kind)
    with pytest.raises(SourceError, match="does not say depth_unit_m") as caught:
        labelled_frames(open_labelled(folder), 1, InputSpec(48, 64))
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("facts", [{"invalid": ["0"]}, {"invalid": [None]}, {"depth_unit_m": True}])
def test_facts_that_are_no_numbers(tmp_path: Path, facts: dict[str, object]) -> None:
    with pytest.raises(SourceError, match=next(iter(facts))):
        labelled_frames(
            open_labelled(write_set(tmp_path / "set", 1, **facts)), 1, InputSpec(48, 64)
        )
