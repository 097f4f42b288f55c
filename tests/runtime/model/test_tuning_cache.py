"""Tunings that are kept: one for a file, whole or none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from depthrt.errors import TargetError
from depthrt.model import tuning_cache as tuned
from depthrt.model.depth_model import DepthModel
from depthrt.model.providers import SessionOptions
from depthrt.model.tuning_cache import Choice, Tuning, find_tuning, save
from depthrt.system.cpu_cores import usable_cores
from helpers.commands import Command
from helpers.models.small_model import build_model

ONE = Choice(SessionOptions("cpu", 1), 1, 2.0, 3.0)
FILES = Choice(SessionOptions("cpu", 1), 4, 7.0, 2.0)
CORES = usable_cores()


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache for every test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def content(**options: object) -> str:
    """A cache file with some session options of its latency choice changed."""
    whole = {"version": tuned.CACHE_VERSION, **Tuning(ONE, FILES).as_dict()}
    whole["latency"]["options"].update(options)
    return json.dumps(whole)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"version": 99}',
        content()[:-20],
        content().replace('"version": 3', '"version": 2'),
        content(threads=CORES + 1),
        content(threads=0),
        content(threads="1"),
        content(spinning="yes"),
        content(provider="abacus"),
        content(precision="int1"),
        content(parallel=0),
        content(parallel=5),
        content(parallel="2"),
        content(provider="openvino", parallel=2),
        content(colour="blue"),
        content().replace('"batch": 4', '"batch": 0'),
        content().replace('"frame_ms": 2.0', '"frame_ms": -1'),
        "\udce9",
    ],
)
def test_a_broken_cache_is_as_none(model_path: Path, text: str, command: Command) -> None:
    file = save(model_path, Tuning(ONE, FILES))
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert find_tuning(model_path) is None
    assert DepthModel.load(model_path).tuned is None
    shown = command("info", model_path)
    assert (shown.code, shown.err) == (0, "")
    assert re.search(r"^tuned +no$", shown.out, re.M)


def test_another_file_is_another_model(model_path: Path, tmp_path: Path) -> None:
    save(model_path, Tuning(ONE, FILES))
    assert find_tuning(model_path) == Tuning(ONE, FILES)
    assert find_tuning(build_model(tmp_path / "other.onnx", gain=2.0)) is None
    assert find_tuning(tmp_path / "gone.onnx") is None


def test_a_cache_that_cannot_be_written(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert find_tuning(model_path) is None
    with pytest.raises(TargetError, match="set XDG_CACHE_HOME to a folder that can be written"):
        save(model_path, Tuning(ONE, FILES))


def test_a_tuning_is_kept_beside_whatever_else_is_in_the_cache(model_path: Path) -> None:
    place = save(model_path, Tuning(ONE, ONE))
    for name in (f"{place.stem}.partial.json", "notes.partial"):
        place.with_name(name).write_text("theirs")
    assert save(model_path, Tuning(ONE, FILES)) == place
    assert find_tuning(model_path) == Tuning(ONE, FILES)
    assert len(list(place.parent.iterdir())) == 3
    place.unlink()
    place.mkdir()  # not ours to remove
    with pytest.raises(TargetError, match=r"the tuning cannot be kept \(.* is in .*\.partial-"):
        save(model_path, Tuning(ONE, ONE))
    assert place.is_dir()


def test_a_tuning_from_before_parallel_is_still_read(model_path: Path) -> None:
    old = json.loads(content())
    for objective in ("latency", "throughput"):
        del old[objective]["options"]["parallel"]
    save(model_path, Tuning(ONE, ONE)).write_text(json.dumps(old))
    assert find_tuning(model_path) == Tuning(ONE, FILES)
    assert DepthModel.load(model_path, objective="throughput").parallel == 1
