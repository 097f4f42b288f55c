"""Sets of one name stay apart: in names, pairs, tables and what is resumed."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depthrt_benchmarks.common.names import distinct_names
from depthrt_benchmarks.evaluation.scoring import evaluate as running
from helpers.commands import Command
from helpers.files.clips import Clip, write_clip
from helpers.files.labelled import write_set


@pytest.mark.parametrize(
    ("names", "places", "expected"),
    [
        (["a", "b"], ["/s/a", "/s/b"], ["a", "b"]),
        (["room", "room", "c"], ["/s/a/room", "/s/b/room", "/c"], ["a/room", "b/room", "c"]),
        (["room", "room"], ["/a/x/room", "/b/x/room"], ["a/x/room", "b/x/room"]),
        (["ETH3D", "ETH3D"], ["/s/one", "/s/two"], ["ETH3D (one)", "ETH3D (two)"]),
        (["room", "room"], ["/s/room", "/s/room"], ["room", "room #2"]),
    ],
)
def test_names_that_tell_sets_apart(
    names: list[str], places: list[str], expected: list[str]
) -> None:
    assert distinct_names(names, [Path(place) for place in places]) == expected


def rooms(folder: Path) -> tuple[Path, Path]:
    """Two sets of one name and of the same images' names; the second is wrong by more."""
    return write_set(folder / "A/room", 3, wrong=0.1), write_set(folder / "B/room", 3, wrong=0.4)


def errors(document: dict[str, Any]) -> list[float]:
    return [found["metrics"]["abs_rel"]["value"] for found in document["evaluations"]]


def test_two_rooms_are_compared_each_with_itself(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    first, second = rooms(tmp_path)
    table, page = tmp_path / "two.csv", tmp_path / "two.html"
    done = command(
        "eval", model_path, first, second, "--csv", table, "--report", page, "--json"
    )  # fmt: skip
    assert done.code == 0, done.err
    names = [found["dataset"] for found in done.document["evaluations"]]
    assert names == ["A/room", "B/room"]
    near, far = errors(done.document)
    assert far > 2 * near
    with table.open(newline="") as file:
        assert [line["dataset"] for line in csv.DictReader(file)] == 3 * ["A/room"] + 3 * ["B/room"]
    html = page.read_text()
    assert [html.count(f'<h2 id="set-{n}-room">{n}/room</h2>') for n in "AB"] == [1, 1]
    again = command("eval", model_path, second, first, "--compare", table, "--json")
    assert again.code == 0, again.err
    found = again.document["comparisons"]
    assert [c["dataset"] for c in found] == ["B/room", "A/room"]
    assert {d["value"] for c in found for d in c["differences"]} == {0.0}


def test_a_table_of_other_sets_is_refused(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    first, second = rooms(tmp_path)
    table = tmp_path / "one.csv"
    assert command("eval", model_path, first, "--csv", table).code == 0
    both = command("eval", model_path, first, second, "--compare", table)
    assert both.code == 2
    assert "is of room, but here A/room, B/room is measured" in both.complaint
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, *lines[1:]]))  # as sets of one name were written
    twice = command("eval", model_path, first, "--compare", table)
    assert twice.code == 2
    assert "has 000000 of room 2 times" in twice.complaint


def test_images_of_another_truth_are_said(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    first = write_set(tmp_path / "A/room", 3)
    second = write_set(tmp_path / "B/room", 3)
    facts = json.loads((second / "dataset.json").read_text())
    codes = sorted((second / "depth").iterdir())
    (second / "dataset.json").write_text(json.dumps({**facts, "invalid": [most_common(codes[1])]}))
    table = tmp_path / "one.csv"
    assert command("eval", model_path, first, "--csv", table).code == 0
    done = command("eval", model_path, second, "--compare", table)
    assert done.code == 0
    assert "images have other valid pixels (first: " in done.complaint
    assert command("eval", model_path, first, "--compare", table).err == ""


def most_common(path: Path) -> int:
    codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    values, counts = np.unique(np.asarray(codes), return_counts=True)
    return int(values[counts.argmax()])


def test_a_set_does_not_go_on_with_what_another_measured(
    command: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of one name, size and time, as copies and raw depth have."""
    first = write_set(tmp_path / "A/room", 3)
    second = tmp_path / "B/room"
    shutil.copytree(first, second)
    for path in second.rglob("*.*"):
        original = first / path.relative_to(second)
        os.utime(path, ns=(original.stat().st_atime_ns, original.stat().st_mtime_ns))
    score, calls = running.score, []

    def counting(name: str, *rest: object) -> object:
        calls.append(name)
        return score(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "score", counting)
    assert command("eval", model_path, first, second).code == 0
    assert len(calls) == 6


def test_clips_of_one_name(command: Command, model_path: Path, tmp_path: Path) -> None:
    for part in "AB":
        (tmp_path / part).mkdir()
        write_clip(tmp_path / part / "clip.mp4", Clip(frames=3))
    clips = (tmp_path / "A/clip.mp4", tmp_path / "B/clip.mp4")
    found = command("eval", model_path, *clips, "--json").document["clips"]
    assert [clip["clip"] for clip in found] == ["A/clip.mp4", "B/clip.mp4"]
