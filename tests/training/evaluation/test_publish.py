"""From new weights to released files: what is written, and that the card says what was measured."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from depthrt import DepthModel
from depthrt.model.catalogue.registry import find_model
from depthrt.monitor.reference import REFERENCE_KEY
from depthrt_export.model_file import put_in_place

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("tomllib", reason="training is for Python 3.11 and later")


def test_the_cards_tables_are_those_of_the_results() -> None:
    from depthrt_training.evaluation.publish import card

    for file, page in card.pages().items():
        assert page == file.read_text(encoding="utf-8")
    assert card.put_into("<!-- a: begin -->old<!-- a: end -->.", "new", "a").count("new") == 1
    with pytest.raises(ValueError, match="the page lacks"):
        card.put_into("no marks", "text", "int8")


def test_a_released_file_assumes_nothing_and_carries_golden_frames_but_no_reference(
    tmp_path: Path,
) -> None:
    from depthrt_training.evaluation.publish.built_in import settle

    file = tmp_path / "own.onnx"
    shutil.copy(find_model("depthrt-xs"), file)
    spec = DepthModel.load(file, provider="cpu", verify=False).spec
    doubtful = replace(spec, provenance={**spec.provenance, "assumed": {"channels": "RGB"}})
    put_in_place(onnx.load(file), doubtful, file, overwrite=True)
    model = onnx.load(file)
    model.metadata_props.add(key=REFERENCE_KEY, value="{}")
    onnx.save(model, file)
    settle(file)
    props = {p.key: p.value for p in onnx.load(file).metadata_props}
    assert REFERENCE_KEY not in props
    assert "depthrt_golden" in props
    settled = DepthModel.load(file, provider="cpu").spec
    assert "assumed" not in settled.provenance
    assert settled.provenance["checkpoint_sha256"] == spec.provenance["checkpoint_sha256"]


def test_every_step_names_its_commands(tmp_path: Path) -> None:
    from depthrt_training.evaluation.publish.__main__ import STEPS

    options = argparse.Namespace(
        weights=tmp_path / "w.safetensors", data=tmp_path, work=tmp_path / "work",
        config=tmp_path / "c.toml", note=None, smaller=None,
    )  # fmt: skip
    assert [len(step(options)) for step in STEPS.values()] == [1, 1, 4, 2, 2, 1]
    (tmp_path / "work" / "seed7" / "room").mkdir(parents=True)
    (tmp_path / "work" / "seed7" / "room" / "dataset.json").touch()
    assert len(STEPS["pictures"](options)) == 3
    options.smaller = tmp_path / "xs.safetensors"
    assert "depthrt-xs" in STEPS["weights"](options)[1]
