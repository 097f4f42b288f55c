"""The table of published networks, names of pulled models, and what `depthrt models` lists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from depthrt.errors import ModelError, UsageError
from depthrt.model.catalogue.hub_models import (
    HUB_MODELS,
    HubPlace,
    hub_model,
    pulled_file,
    pulled_models,
)
from depthrt.model.catalogue.registry import built_in_models, find_model
from depthrt.spec import InputSpec, ModelSpec
from helpers.commands import Command
from helpers.models.small_model import build_model, build_spec


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own: the folder of pulled models, which is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "depthrt" / "models"
    folder.mkdir(parents=True)
    return folder


def test_every_row_says_what_a_model_file_must() -> None:
    names = [row.name for row in HUB_MODELS]
    assert len(set(names)) == len(names)
    assert not set(names) & set(built_in_models())
    for row in HUB_MODELS:
        assert re.fullmatch(r"[a-z0-9-]+", row.name)
        assert HubPlace.parse(f"hf:{row.repo}/{row.file}@{row.revision}").repo == row.repo
        assert row.revision == "main" or re.fullmatch("[0-9a-f]{40}", row.revision)
        assert row.sha256 == "" or re.fullmatch("[0-9a-f]{64}", row.sha256)
        assert all(side % row.multiple_of == 0 for side in row.size)
        assert row.licence
        assert row.unit is None or row.kind == "depth"
        # The spec refuses what cannot be.
        ModelSpec(row.name, row.kind, InputSpec(*row.size), unit=row.unit)
        assert row.tried is False  # none could be fetched where the table was written


@pytest.mark.parametrize(
    ("text", "place", "file"),
    [
        ("hf:a/b", HubPlace("a/b"), "hf--a--b.onnx"),
        ("hf:a/b@v1", HubPlace("a/b", "", "v1"), "hf--a--b@v1.onnx"),
        ("hf:a/b/onnx/m.onnx", HubPlace("a/b", "onnx/m.onnx"), "hf--a--b--onnx--m.onnx"),
        ("hf:a/b/m.onnx@refs/pr/1", HubPlace("a/b", "m.onnx", "refs/pr/1"),
         "hf--a--b--m@refs--pr--1.onnx"),
    ],
)  # fmt: skip
def test_places_of_the_hub(text: str, place: HubPlace, file: str, own_cache: Path) -> None:
    assert HubPlace.parse(text) == place
    assert pulled_file(text) == own_cache / file


@pytest.mark.parametrize("text", ["hf:", "hf:a", "hf:a/", "hf:a/b/../c.onnx", "hf:a/b@", "hf:/b/c"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not hf:ORG/REPO, hf:ORG/REPO/FILE\.onnx"):
        HubPlace.parse(text)
    with pytest.raises(UsageError):
        find_model(text)


def test_a_pulled_model_is_found_by_its_name(own_cache: Path) -> None:
    kept = build_model(own_cache / "midas-small.onnx")
    other = build_model(own_cache / "hf--a--b.onnx")
    assert find_model("midas-small") == kept
    assert find_model("hf:a/b") == find_model("hf--a--b") == other
    assert pulled_models() == {"midas-small": kept, "hf--a--b": other}


def test_what_is_not_here_says_how_it_gets_here() -> None:
    row = hub_model("depth-anything-v2-small")
    assert row is not None
    with pytest.raises(ModelError) as told:
        find_model(row.name)
    assert str(told.value) == (
        "depth-anything-v2-small (Apache-2.0, 99.1 MB) is not here yet: fetch it with "
        "`depthrt pull depth-anything-v2-small`"
    )
    with pytest.raises(ModelError, match="hf:a/b is not here yet: fetch it with `depthrt pull hf:"):
        find_model("hf:a/b")


def test_a_file_or_folder_of_that_name_is_not_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("midas-small").mkdir()
    with pytest.raises(ModelError, match="is not here yet"):
        find_model("midas-small")
    kept = build_model(own_cache / "midas-small.onnx")
    assert find_model("midas-small") == kept
    Path("dpt-large").write_text("a file")
    assert find_model("dpt-large") == Path("dpt-large")


def test_the_list_says_where_each_is(command: Command, own_cache: Path) -> None:
    build_model(own_cache / "midas-small.onnx", spec=build_spec(name="a-midas"))
    (own_cache / "broken.onnx").write_bytes(b"broken")
    listed = {row["name"]: row for row in json.loads(command("models", "--json").out)}
    states = {name: row["state"] for name, row in listed.items()}
    assert states["depthrt-s"] == "built in"
    assert states["midas-small"] == "pulled"
    assert states["broken"] == "broken"
    assert states["zoedepth-nyu-kitti"] == "to pull"
    assert listed["midas-small"]["path"] == str(own_cache / "midas-small.onnx")
    assert listed["depth-pro"]["tried"] is False
    assert listed["depth-pro"]["source"].startswith(
        "https://huggingface.co/onnx-community/DepthPro"
    )
    text = command("models").out
    assert "\nmidas-small (pulled): inverse_depth, 48x64, float32, 0.0 MB\n" in text
    assert (
        "\ndepth-anything-v2-base (to pull): inverse_depth, 518x518, 388.9 MB, CC-BY-NC-4.0, "
        "not tried\n" in text
    )
    assert "\nbroken (broken): 0.0 MB, " in text


def test_without_a_home_folder_nothing_is_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")

    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    assert pulled_models() == {}
    assert find_model("depthrt-s").is_file()
