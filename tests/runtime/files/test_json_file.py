"""JSON of anybody: what is wrong with it is one sentence, wherever it is read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from depthrt.errors import ModelError, SourceError, UsageError
from depthrt.files.json_file import MOST_DEEP, JsonObject, parse_json, read_json, read_object
from depthrt.model import tuning_cache as tuned
from depthrt.model.depth_model import DepthModel
from depthrt.model.session import weight_bits
from depthrt.sinks.reader import read_depth
from depthrt.spec import METADATA_KEY, WEIGHT_BITS_KEY, ModelSpec
from helpers.commands import Command
from helpers.files.hostile_json import ALL, NO_OBJECT, PLACES, UNREADABLE, write_unreadable
from helpers.models.small_model import build_model, build_spec


@pytest.mark.parametrize("kind", ALL)
def test_no_object_is_a_sentence_of_the_class_asked_for(tmp_path: Path, kind: str) -> None:
    path = write_unreadable(tmp_path / "some.json", kind)
    with pytest.raises(UsageError) as caught:
        read_object(path, UsageError)
    said = str(caught.value)
    assert said.startswith(f"{path} ")
    assert len(said) < len(str(path)) + 120
    assert "\n" not in said


def test_what_is_right_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, -3e2, "\xc3\xa9", null, true]}')
    assert read_json(path) == {"a": [1, 2.5, -300.0, "é", None, True]}


def test_nesting_is_taken_up_to_a_limit() -> None:
    assert parse_json("[" * MOST_DEEP + "]" * MOST_DEEP) != []
    with pytest.raises(ValueError, match=f"nested more than {MOST_DEEP} deep"):
        parse_json("[" * (MOST_DEEP + 1) + "]" * (MOST_DEEP + 1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "b": 2, "a": 3}', 'the key "a" twice'),
        ("[NaN]", "NaN is no number"),
        ("[-1e400]", "-1e400 is too large a number"),
        ("[" + "1" * 1001 + "]", "a number has 1001 digits"),
    ],
)
def test_what_python_lets_through_is_refused(text: str, says: str) -> None:
    json.loads(text)
    with pytest.raises(ValueError, match=says):
        parse_json(text)


@pytest.mark.parametrize("wrong", ["1", True, None, [1], {}, 10**400, -1])
def test_a_number_is_a_number(wrong: object) -> None:
    entry = JsonObject({"step": wrong}, "x.json")
    with pytest.raises(SourceError, match=r'^x\.json says "step": .*: give a number above 0'):
        entry.number("step", above=0)
    with pytest.raises(SourceError, match=r'^x\.json lacks "offset"'):
        entry.number("offset")


def recording(folder: Path, **changed: object) -> Path:
    """A folder with two maps as `depthrt run` writes it, and what is changed in its index."""
    folder.mkdir(parents=True)
    frames = []
    for number in range(2):
        name = f"{number:06d}.png"
        cv2.imwrite(str(folder / name), np.full((4, 6), 100 + number, np.uint16))
        frames.append({"file": name, "index": number, "time_s": 0.04 * number})
    content = {"kind": "depth", "unit": "m", "step": 0.01, "offset": 0.0, "frames": frames}
    (folder / "depth.json").write_text(json.dumps({**content, **changed}))
    return folder


def frame(file: object, time_s: object = 0.0) -> list[dict[str, object]]:
    return [{"file": file, "time_s": time_s}]


def test_a_recording_as_it_should_be(tmp_path: Path) -> None:
    known = list(read_depth(recording(tmp_path / "out")))
    assert [(r.time_s, r.kind, r.unit, r.values[0, 0]) for r in known] == [
        (0.0, "depth", "m", pytest.approx(1.0)),
        (0.04, "depth", "m", pytest.approx(1.01)),
    ]


@pytest.mark.parametrize("kind", ALL)
def test_a_broken_index_is_no_recording(tmp_path: Path, kind: str) -> None:
    folder = recording(tmp_path / "out")
    write_unreadable(folder / "depth.json", kind)
    with pytest.raises(SourceError, match="is no depth recording of depthrt") as caught:
        read_depth(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"step": "0.1"}, '"step"'),
        ({"step": 0}, "step 0"),
        ({"step": -1}, "step -1"),
        ({"step": 1e300}, r"step 1e\+300"),
        ({"step": 10**400}, '"step"'),
        ({"offset": [0]}, '"offset"'),
        ({"kind": "nearness"}, '"kind": "nearness"'),
        ({"kind": ["depth"]}, '"kind"'),
        ({"unit": "feet"}, '"unit": "feet"'),
        ({"frames": {}}, '"frames"'),
        ({"frames": None}, '"frames"'),
        ({"frames": ["000000.png"]}, '"frames"'),
        ({"frames": [{"file": "000000.png"}]}, 'lacks "time_s"'),
        ({"frames": [{"time_s": 0}]}, 'lacks "file"'),
        ({"frames": frame(3)}, '"file": 3'),
        ({"frames": frame("000000.png", "0")}, '"time_s": "0"'),
        ({"frames": frame("../secret.png")}, "a file in this folder"),
        ({"frames": frame("/etc/passwd")}, "a file in this folder"),
        ({"frames": frame("deeper/000000.png")}, "a file in this folder"),
        ({"frames": frame("..")}, "a file in this folder"),
        ({"frames": frame("")}, "a file in this folder"),
        ({"frames": frame("000000.png\0")}, "a file in this folder"),
    ],
)
def test_an_index_that_says_nonsense(tmp_path: Path, changed: dict[str, object], says: str) -> None:
    cv2.imwrite(str(tmp_path / "secret.png"), np.ones((4, 6), np.uint16))
    folder = recording(tmp_path / "out", **changed)
    with pytest.raises(SourceError, match=says) as caught:
        read_depth(folder)
    assert "is no depth recording of depthrt" in str(caught.value)


@pytest.mark.parametrize("kind", PLACES)
def test_a_map_that_is_no_file(tmp_path: Path, kind: str) -> None:
    folder = recording(tmp_path / "out")
    write_unreadable(folder / "000001.png", kind)
    maps = read_depth(folder)
    next(maps)
    with pytest.raises(SourceError, match=r"000001\.png is missing or no 16-bit PNG"):
        next(maps)


def test_a_map_in_colour(tmp_path: Path) -> None:
    folder = recording(tmp_path / "out")
    cv2.imwrite(str(folder / "000000.png"), np.ones((4, 6, 3), np.uint16))
    with pytest.raises(SourceError, match=r"000000\.png is missing or no 16-bit PNG"):
        next(read_depth(folder))


MAPS = np.ones((2, 4, 6), np.float32)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"depth": np.array("deep")}, "its depth is"),
        ({"depth": MAPS[0, 0, 0]}, "its depth is"),
        ({"depth": MAPS[0]}, "its depth is"),
        ({"time_s": np.zeros(3)}, "2 finite times"),
        ({"time_s": np.array([0, np.nan])}, "2 finite times"),
        ({"time_s": np.array(["a", "b"])}, "2 finite times"),
        ({"kind": np.array("nearness")}, '"kind"'),
        ({"depth": np.array([None, {}], object)}, "allow_pickle"),
    ],
)
def test_arrays_that_are_no_recording(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    content: dict[str, Any] = {"depth": MAPS, "time_s": np.zeros(2), "kind": np.array("depth"),
                               "unit": np.array("m")}  # fmt: skip
    np.savez(tmp_path / "out.npz", **{**content, **changed})
    with pytest.raises(SourceError, match=says):
        read_depth(tmp_path / "out.npz")


def test_an_archive_that_lies_about_its_size(tmp_path: Path) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 480, 640)}
    with (
        zipfile.ZipFile(tmp_path / "out.npz", "w") as archive,
        archive.open("depth.npy", "w") as entry,
    ):
        np.lib.format.write_array_header_1_0(entry, header)
    with pytest.raises(SourceError, match="is no depth recording of depthrt"):
        read_depth(tmp_path / "out.npz")


def test_a_packed_archive_with_a_wrong_byte(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    maps = np.random.default_rng(0).normal(size=MAPS.shape).astype(np.float32)
    np.savez_compressed(path, depth=maps, time_s=np.zeros(2), kind="depth", unit="m")
    content = bytearray(path.read_bytes())
    begin = 30 + sum(int.from_bytes(content[i : i + 2], "little") for i in (26, 28))
    content[begin] = 0xFF  # no kind of block that the packing has
    path.write_bytes(content)
    with pytest.raises(SourceError, match="is no depth recording of depthrt"):
        read_depth(path)


@pytest.mark.parametrize("name", ["out.mkv", "out.npz"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="it is no regular file"):
        read_depth(write_unreadable(tmp_path / name, "a pipe"))


@pytest.mark.parametrize("kind", [*UNREADABLE, *NO_OBJECT])
def test_a_spec_that_is_none(kind: str) -> None:
    text = {**UNREADABLE, **NO_OBJECT}[kind].decode("utf-8", "replace")
    with pytest.raises(ModelError, match=r"the depthrt spec (is not|has no)") as caught:
        ModelSpec.from_json(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("levels", [50_000, 500])
def test_a_model_whose_spec_is_nested(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, levels: int
) -> None:
    path = build_model(tmp_path / "deep.onnx")
    model = onnx.load(path)
    deep = '{"a":' * levels + "1" + "}" * levels
    text = build_spec().to_json().replace('"provenance": {', f'"provenance": {{"x": {deep}, ', 1)
    text = text.replace(f"{deep}, }}", f"{deep}}}")
    model.metadata_props.clear()
    onnx.helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, path)
    done = Command(capfd, monkeypatch)("info", path, "--json")
    assert done.code == 2
    assert "not valid JSON (it is nested more than" in done.complaint


def test_a_long_value_of_a_spec_is_cut() -> None:
    content = json.loads(build_spec().to_json())
    with pytest.raises(ModelError, match="kind='xxx") as caught:
        ModelSpec.from_json(json.dumps({**content, "kind": "x" * 100_000}))
    assert len(str(caught.value)) < 400
    with pytest.raises(ModelError, match="unknown fields") as caught:
        ModelSpec.from_json(json.dumps({**content, "\x1b[2J": 1}))
    assert str(caught.value).isprintable()


def test_weight_bits_of_many_digits(tmp_path: Path) -> None:
    path = build_model(tmp_path / "tiny.onnx")
    model = onnx.load(path)
    onnx.helper.set_model_props(
        model, {METADATA_KEY: build_spec().to_json(), WEIGHT_BITS_KEY: "7" * 5000}
    )
    onnx.save(model, path)
    assert weight_bits(DepthModel.load(path, provider="cpu").session) == 0


@pytest.mark.parametrize("kind", ALL)
def test_a_broken_tuning_counts_as_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = build_model(tmp_path / "tiny.onnx")
    write_unreadable(tuned.cache_file(model), kind)
    assert tuned.find_tuning(model) is None
