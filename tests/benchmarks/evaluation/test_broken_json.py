"""Broken JSON and tables beside sets are a sentence; broken journals are measured again."""

from __future__ import annotations

import csv
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depthrt.cli import main
from depthrt.errors import SourceError
from depthrt_benchmarks.evaluation.datasets.base import ReadOptions
from depthrt_benchmarks.evaluation.datasets.open import open_datasets
from depthrt_benchmarks.evaluation.document import read_table
from depthrt_benchmarks.evaluation.scoring import evaluate as running
from depthrt_benchmarks.evaluation.scoring.resume_file import resume_folder
from helpers.commands import Command
from helpers.files.hostile_json import ALL, NO_OBJECT, UNREADABLE, write_unreadable
from helpers.files.labelled import grey_picture, write_picture, write_set


@pytest.mark.parametrize("kind", ALL)
def test_a_set_whose_facts_are_broken(
    command: Command, model_path: Path, tmp_path: Path, kind: str
) -> None:
    folder = write_set(tmp_path / "desk", 1)
    write_unreadable(folder / "dataset.json", kind)
    done = command("eval", model_path, folder)
    assert (done.code, done.out) == (2, "")
    assert f"{folder}/dataset.json does not say depth_unit_m" in done.complaint


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"fps": "thirty"}, '"fps": "thirty": give a number above 0'),
        ({"fps": [30]}, '"fps"'),
        ({"fps": -1}, '"fps"'),
        ({"min_depth_m": None}, "does not say depth_unit_m"),
        ({"max_depth_m": True}, "does not say depth_unit_m"),
        ({"depth_unit_m": 10**400}, "does not say depth_unit_m"),
        ({"invalid": [10**400]}, '"invalid"'),
        ({"intrinsics": {"fx": 10**400}}, '"intrinsics"'),
        ({"intrinsics": "x" * 100_000}, '"intrinsics"'),
    ],
)
def test_facts_of_other_kinds(
    command: Command, model_path: Path, tmp_path: Path, facts: dict[str, object], says: str
) -> None:
    done = command("eval", model_path, write_set(tmp_path / "desk", 1, **facts))
    assert (done.code, done.out) == (2, "")
    assert says in done.complaint
    assert len(done.complaint) < 500


def gta(folder: Path) -> Path:
    write_picture(folder / "rgba/0001.png", grey_picture(0))
    (folder / "depth").mkdir()
    np.save(folder / "depth/0001.npy", np.full((48, 64), 0.1, np.float32))
    return folder


@pytest.mark.parametrize("kind", ALL)
def test_a_camera_that_is_broken(tmp_path: Path, kind: str) -> None:
    folder = gta(tmp_path / "game")
    write_unreadable(folder / "camera.json", kind)
    with pytest.raises(SourceError, match=r"camera\.json (cannot be read|holds no JSON object)"):
        open_datasets(folder, None, ReadOptions())


@pytest.mark.parametrize(
    "camera",
    [
        {"near_m": "near"},
        {"far_m": [1]},
        {"frames": []},
        {"frames": {"0001": 3}},
        {"frames": {"0001": {"near_m": None}}},
    ],
)
def test_cameras_of_other_kinds(tmp_path: Path, camera: dict[str, object]) -> None:
    folder = gta(tmp_path / "game")
    (folder / "camera.json").write_text(json.dumps(camera))
    with pytest.raises(SourceError, match=r"camera\.json.* says "):
        open_datasets(folder, None, ReadOptions())


JOURNALS: dict[str, bytes] = {
    **{name: content + b"\n" for name, content in (UNREADABLE | NO_OBJECT).items()},
    "no row": b'["image 000000", {}]\n',
    "no figures": b'["image 000000", null]\n',
    "a key that is none": b'[["image 000000"], {}]\n',
}


@dataclass(frozen=True)
class Midway:
    """An evaluation that Ctrl-C ended at its second image, and what the whole one gives."""

    folder: Path
    whole: list[dict[str, Any]]
    journal: str
    rows: bytes

    def restore(self, rows: bytes) -> None:
        """Put a journal of these rows where the evaluation looks for its own."""
        place = resume_folder()
        place.mkdir(parents=True, exist_ok=True)
        (place / self.journal).write_bytes(rows)


@pytest.fixture(scope="module")
def midways(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[float, Midway]:
    """Of a model without errors, and of one with some; by how wrong the set says that it is."""

    def run(*words: object) -> tuple[object, str]:
        patch.setattr(sys, "argv", ["depthrt", "eval", str(model_path), *map(str, words)])
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(io.StringIO()), pytest.raises(SystemExit) as end:
            main()
        return end.value.code, out.getvalue()

    def stopping(name: str, *rest: object) -> object:
        if name == "000001":
            raise KeyboardInterrupt
        return score(name, *rest)  # type: ignore[arg-type]

    score, found = running.score, {}
    for wrong in (0.0, 0.2):
        folder = write_set(tmp_path_factory.mktemp("midway") / "desk", 2, wrong=wrong)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
            code, text = run(folder, "--json")
            assert code == 0
            patch.setattr(running, "score", stopping)
            assert run(folder)[0] == 130
            (journal,) = resume_folder().glob("*.jsonl")
            whole = json.loads(text)["evaluations"]
            found[wrong] = Midway(folder, whole, journal.name, journal.read_bytes())
    return found


def test_a_whole_journal_is_gone_on_from(
    command: Command, model_path: Path, midways: dict[float, Midway]
) -> None:
    """So that the tests below are about journals that would be."""
    midway = midways[0.2]
    name, row = json.loads(midway.rows)
    changed = {**row, "metrics": {**row["metrics"], "abs_rel": row["metrics"]["abs_rel"] + 0.125}}
    midway.restore(json.dumps([name, changed]).encode() + b"\n")
    done = command("eval", model_path, midway.folder, "--json")
    (before,), (after,) = midway.whole, done.document["evaluations"]
    gained = after["metrics"]["abs_rel"]["value"] - before["metrics"]["abs_rel"]["value"]
    assert gained == pytest.approx(0.0625)


@pytest.mark.parametrize("kind", JOURNALS)
def test_a_broken_journal_is_measured_again(
    command: Command, model_path: Path, midways: dict[float, Midway], kind: str
) -> None:
    midway = midways[0.0]
    midway.restore(JOURNALS[kind])
    done = command("eval", model_path, midway.folder, "--json")
    assert done.code == 0, done.err
    assert done.document["evaluations"] == midway.whole


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"abs_rel": 0.0}, "name": "000001"},
        {"metrics": {}},
        {"metrics": {"abs_rel": "0"}},
        {"metrics": None},
        {"moments": {}},
        {"flicker": 3},
        {"bins": [1]},
        {"non_finite": None},
        {"hollow": None},
    ],
)
def test_a_row_that_is_none_is_measured_again(
    command: Command,
    model_path: Path,
    midways: dict[float, Midway],
    change: dict[str, object],
) -> None:
    midway = midways[0.2]
    name, row = json.loads(midway.rows)
    midway.restore(json.dumps([name, {**row, **change}]).encode() + b"\n")
    done = command("eval", model_path, midway.folder, "--json")
    assert done.code == 0, done.err
    assert done.document["evaluations"] == midway.whole


@pytest.mark.parametrize(
    ("column", "value"),
    [("abs_rel", "nan"), ("delta1", "inf"), ("abs_rel", ""), ("abs_rel", "1e999"),
     ("valid_pixels", "9" * 5000), ("valid_pixels", "many")],
)  # fmt: skip
def test_a_table_with_a_figure_that_is_none(
    command: Command, model_path: Path, tmp_path: Path, column: str, value: str
) -> None:
    folder, table = write_set(tmp_path / "desk", 2), tmp_path / "t.csv"
    assert command("eval", model_path, folder, "--csv", table).code == 0
    with table.open(newline="") as file:
        lines = list(csv.reader(file))
    lines[1][lines[0].index(column)] = value
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    done = command("eval", model_path, folder, "--compare", table, "--json")
    assert (done.code, done.out) == (2, "")
    assert f"{table} is no table of images" in done.complaint


def test_a_table_that_is_cut_off_or_a_pipe(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder, table = write_set(tmp_path / "desk", 2), tmp_path / "t.csv"
    assert command("eval", model_path, folder, "--csv", table).code == 0
    text = table.read_text()
    table.write_text(text[: text.rindex(",0.")])
    with pytest.raises(SourceError, match="a line is cut off"):
        read_table(table)
    with pytest.raises(SourceError, match="it is no regular file"):
        read_table(write_unreadable(table, "a pipe"))
