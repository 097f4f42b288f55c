"""What a search's journal is kept under: all that its measurements depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from depthrt.spec import InputSpec
from depthrt_calibration.frames import Sample
from depthrt_export.build.auto import _truth
from depthrt_export.proof.labelled_frames import labelled_frames, open_labelled
from depthrt_export.search.candidates import code_hash, search_key
from helpers.files.labelled import write_set
from helpers.models.small_model import SIZE, build_model


def test_key_depends_on_all_that_matters(tmp_path: Path) -> None:
    model = onnx.load(build_model(tmp_path / "m.onnx"))
    frame = Sample(np.zeros((3, 4, 4), np.uint8), "a")
    other = Sample(np.ones((3, 4, 4), np.uint8), "a")
    keys = {
        search_key(model, [[frame], [other]], [0.05]),
        search_key(model, [[other], [frame]], [0.05]),
        search_key(model, [[frame], [other]], [0.01]),
    }
    assert len(keys) == 3
    assert search_key(model, [[frame], [other]], [0.05]) in keys


def test_key_depends_on_the_ground_truth(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", 1)
    (plain,) = labelled_frames(open_labelled(folder), 1, InputSpec(*SIZE))
    (other,) = labelled_frames(
        open_labelled(write_set(folder, 1, depth_unit_m=2e-4)), 1, InputSpec(*SIZE)
    )
    assert _truth(plain) != _truth(other)
    assert _truth(plain) == _truth(replace(plain))


def test_key_depends_on_our_own_version_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, frames = (
        onnx.load(build_model(tmp_path / "m.onnx")),
        [[Sample(np.zeros((3, 4, 4), np.uint8), "a")]],
    )
    keys = {search_key(model, frames, [])}
    with monkeypatch.context() as patch:
        patch.setattr("depthrt_export.search.candidates.version", lambda name: "9.9")
        keys.add(search_key(model, frames, []))
    with monkeypatch.context() as patch:
        patch.setattr("depthrt_export.search.candidates.code_hash", lambda: "other")
        keys.add(search_key(model, frames, []))
    assert len(keys) == 3
    assert len(code_hash()) == 64


@pytest.mark.parametrize(
    "other",
    [
        ("depthrt.system.machine_key.usable_cores", lambda: 61),
        ("depthrt.system.cpu_features.name", lambda: "Another Processor 9000"),
        ("depthrt.system.cpu_features.flags", lambda: frozenset({"avx9"})),
        ("onnxruntime.__version__", "99.1"),
        ("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider", "New"]),
    ],
    ids=lambda other: other[0],
)
def test_key_depends_on_the_machine(
    other: tuple[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(build_model(tmp_path / "m.onnx"))
    before = search_key(model, [], [])
    with monkeypatch.context() as patch:
        patch.setattr(*other)
        assert search_key(model, [], []) != before
    assert search_key(model, [], []) == before


def test_key_does_not_depend_on_the_name_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(build_model(tmp_path / "m.onnx"))
    before = search_key(model, [], [])
    monkeypatch.setattr("platform.node", lambda: "another")
    assert search_key(model, [], []) == before


def test_key_depends_on_weights_beside_the_file(tmp_path: Path) -> None:
    model = onnx.load(build_model(tmp_path / "m.onnx"))
    path, weights = tmp_path / "apart.onnx", tmp_path / "weights.bin"
    onnx.save_model(
        model, path, save_as_external_data=True, location=weights.name, size_threshold=0
    )
    before = search_key(onnx.load(path), [], [])
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(content)
    assert search_key(onnx.load(path), [], []) != before
