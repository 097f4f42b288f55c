"""Numbers of depth files that are no distance: unknown, or said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt_benchmarks.evaluation.scoring.truth_facts import plateau
from helpers.commands import Command, Outcome
from helpers.files.labelled import exact_depth_m, grey_picture, write_picture, write_png16

Values = NDArray[Any]
COUNT = 4


def write_pairs(folder: Path, save: Callable[[Path, Values], None]) -> Path:
    """Pairs that the tiny model sees exactly; ``save`` gets place and metres."""
    for number in range(COUNT):
        picture = grey_picture(number)
        write_picture(folder / f"rgb/{number}.png", picture)
        (folder / "depth").mkdir(exist_ok=True)
        save(folder / f"depth/{number}", exact_depth_m(picture))
    return folder


def png16(code: int | None = None, share: int = 4) -> Callable[[Path, Values], None]:
    """Millimetres, every ``share``-th column a code."""

    def save(place: Path, depth_m: Values) -> None:
        codes = np.rint(depth_m * 1000).astype(np.uint16)
        if code is not None:
            codes[:, ::share] = code
        write_png16(place.with_suffix(".png"), codes)

    return save


def npy(code: float | None = None, dtype: str = "float32") -> Callable[[Path, Values], None]:
    """Metres, every fourth column a code."""

    def save(place: Path, depth_m: Values) -> None:
        values = depth_m.astype(dtype)
        if code is not None:
            values[:, ::4] = code
        np.save(place.with_suffix(".npy"), values)

    return save


def figures(done: Outcome) -> dict[str, Any]:
    assert done.code == 0, done.err
    (found,) = done.document["evaluations"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (png16(0), ""),
        (
            png16(65535),
            "25.00% of the depth pixels of 4 of 4 images hold 65535, the largest uint16",
        ),
        (npy(0.0), ""),
        (npy(-1.0), ""),
        (npy(np.nan), ""),
        (npy(np.inf), ""),
        (npy(-np.inf), ""),
        (npy(1e10), ""),
        (npy(float(np.finfo(np.float32).max)), ""),
        (npy(1e300, "float64"), ""),
        (npy(65504.0, "float16"), ""),  # beyond the range
    ],
)
def test_codes_are_unknown(
    command: Command, model_path: Path, tmp_path: Path,
    save: Callable[[Path, Values], None], said: str,
) -> None:  # fmt: skip
    done = command("eval", model_path, write_pairs(tmp_path / "set", save), "--json")
    found = figures(done)
    assert found["metrics"]["abs_rel"]["value"] < 2e-3
    assert found["truth"]["valid_share"] == pytest.approx(0.75)
    if said:
        assert said in done.complaint
        assert found["truth"]["saturated_share"] == pytest.approx(0.25)
    else:
        assert done.err == ""


@pytest.mark.parametrize(
    ("save", "depth"),
    [
        (png16(10000), "10 m"),
        (png16(60000, share=60), "60 m"),
        (npy(40.0), "40 m"),
        (npy(2.0), "2 m"),  # just behind the scene: a cap
    ],
)
def test_one_greatest_depth_in_many_pixels_is_said(
    command: Command, model_path: Path, tmp_path: Path,
    save: Callable[[Path, Values], None], depth: str,
) -> None:  # fmt: skip
    folder = write_pairs(tmp_path / "set", save)
    done = command("eval", model_path, folder, "--json")
    found = figures(done)
    assert f"in 4 of 4 images hold one greatest depth, {depth} (first: 0)" in done.err
    assert found["truth"]["plateau"]["images"] == COUNT
    assert found["truth"]["plateau"]["greatest_m"] == float(depth.split()[0])
    without = figures(
        command("eval", model_path, folder, "--max-depth", depth.split()[0], "--json")
    )
    assert without["metrics"]["abs_rel"]["value"] < 2e-3
    assert without["warnings"] == []


def test_numbers_that_the_user_names_are_unknown(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    def save(place: Path, depth_m: Values) -> None:
        codes = np.rint(depth_m * 1000).astype(np.uint16)
        codes[:, ::4], codes[:, 1::8] = 10000, 9999
        write_png16(place.with_suffix(".png"), codes)

    folder = write_pairs(tmp_path / "set", save)
    found = figures(command("eval", model_path, folder, "--invalid", "10000,9999", "--json"))
    assert found["metrics"]["abs_rel"]["value"] < 2e-3
    assert found["warnings"] == []
    wrong = command("eval", model_path, folder, "--invalid", "many")
    assert wrong.code == 2
    assert "--invalid many: give numbers as they stand in the depth files" in wrong.complaint


def test_a_scene_without_a_plateau_says_nothing(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    done = command("eval", model_path, write_pairs(tmp_path / "set", png16()), "--json")
    assert figures(done)["warnings"] == []
    assert done.err == ""


def test_what_is_a_plateau() -> None:
    ramp = np.linspace(1, 5, 1000)
    assert plateau(ramp) == (None, 0)
    assert plateau(np.array([])) == (None, 0)
    assert plateau(np.full(100, 3.0)) == (None, 0)  # said as a map of one value
    assert plateau(np.concatenate([ramp, np.full(100, 5.1)])) == (5.1, 100)
    assert plateau(np.concatenate([ramp, np.full(40, 5.1)])) == (None, 0)  # few, and near the rest
    assert plateau(np.concatenate([ramp, np.full(12, 60.0)])) == (60.0, 12)
    assert plateau(np.concatenate([ramp, np.full(9, 60.0)])) == (None, 0)
    assert plateau(np.repeat([2.0, 2.2, 2.4], [25, 50, 25])) == (None, 0)  # coarse steps
