"""What is known of an ONNX file of others whose configuration lies beside it."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from depthrt.errors import UsageError
from depthrt_export.build.onnx_file.describe import Described, described
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.sources.onnx_file.reading import open_file, read_model
from experiments.foreign_onnx.make import save
from experiments.foreign_onnx.variant import Variant
from helpers.models.foreign_onnx import SAID


def known(
    folder: Path, variant: Variant, processor: Any, said: SourceOptions = SAID, **options: Any
) -> Described:
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    path = folder / "file.onnx"
    save(variant, path)
    file = open_file(path, read_model(path))
    return described(file, said, ExportOptions(**options), Phases(quiet=True))


def test_the_aspect_of_the_config_is_kept_where_the_size_is_open(tmp_path: Path) -> None:
    processor = {"keep_aspect_ratio": True, "size": {"height": 64, "width": 96}}
    found = known(tmp_path, Variant("", size_open=True), processor, vary=frozenset({"size"}))
    assert found.network.input.resize == "keep_aspect"
    assert "resize" not in found.network.assumed
    assert found.notes[0].endswith("size 64x96; keeps the aspect")
    assert len(found.notes) == 1


@pytest.mark.parametrize("size_open", [False, True])
def test_a_graph_of_one_size_cannot_keep_the_aspect(size_open: bool, tmp_path: Path) -> None:
    processor = {"keep_aspect_ratio": True, "size": {"height": 64, "width": 96}}
    variant = Variant("", size_open=size_open)
    found = known(tmp_path, variant, processor)
    assert found.network.input.resize == "stretch"
    assert "resize" not in found.network.assumed
    wanted = (
        "resize: the config keeps the aspect; the graph has one size, so pictures are stretched"
        + ("; --dynamic size keeps the aspect" if size_open else "")
    )
    assert found.notes[1] == wanted
    padded = known(tmp_path, variant, processor, dataclasses.replace(SAID, resize="pad"))
    assert padded.network.input.resize == "pad"
    assert len(padded.notes) == 1


def test_a_config_that_stretches_is_not_assumed(tmp_path: Path) -> None:
    found = known(tmp_path, Variant(""), {"keep_aspect_ratio": False})
    assert found.network.input.resize == "stretch"
    assert "resize" not in found.network.assumed
    assert "resize" in known(tmp_path, Variant(""), {}).network.assumed


def test_a_size_of_the_config_that_the_file_cannot_take_is_named(tmp_path: Path) -> None:
    found = known(tmp_path, Variant(""), {"size": {"height": 384, "width": 384}})
    assert found.size == (64, 96)
    assert "size: the file is fixed at 64x96; the config's 384x384 is not used" in found.notes
    same = known(tmp_path, Variant(""), {"size": {"height": 64, "width": 96}})
    assert len(same.notes) == 1


def test_an_odd_normalisation_is_told_before_the_frames_and_in_the_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for frames in ("_SCENES", "_CLIP"):  # few, to be quick
        monkeypatch.setattr(sys.modules["depthrt_export.proof.witness.trials"], frames, 4)
    path = tmp_path / "file.onnx"
    save(Variant(""), path)
    said = SourceOptions(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    phases = Phases(quiet=True)
    with pytest.raises(UsageError, match=r"cannot be found.*did you mean --scale 1\?"):
        described(open_file(path, read_model(path)), said, ExportOptions(), phases)
    assert phases.notes[0].startswith("normalisation: pixels of 0..255 become")
