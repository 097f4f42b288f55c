"""What lies beside a file as the Hugging Face hub holds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthrt.errors import ModelError, UsageError
from depthrt_export.options import SourceOptions
from depthrt_export.sources.onnx_file.config import beside
from depthrt_export.sources.onnx_file.find import onnx_source

PROCESSOR = {
    "image_processor_type": "DPTImageProcessor", "do_rescale": True, "rescale_factor": 1 / 255,
    "do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    "size": {"height": 518, "width": 518}, "ensure_multiple_of": 14, "resample": 3,
    "keep_aspect_ratio": True,
}  # fmt: skip


def folder(tmp_path: Path, config: Any, processor: Any = None) -> Path:
    (tmp_path / "net" / "onnx").mkdir(parents=True)
    for name, content in (("config.json", config), ("preprocessor_config.json", processor)):
        if content is not None:
            (tmp_path / "net" / name).write_text(json.dumps(content))
    (tmp_path / "net" / "onnx" / "model.onnx").write_bytes(b"")
    return tmp_path / "net"


def test_depth_anything_as_the_hub_holds_it(tmp_path: Path) -> None:
    place = folder(tmp_path, {"model_type": "depth_anything"}, PROCESSOR)
    (place / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\n# Model\n")
    found = beside(place / "onnx" / "model.onnx")
    assert found.options == SourceOptions(
        kind="inverse_depth", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), scale=1 / 255,
        size=(518, 518), multiple_of=14, interpolation="cubic", licence="apache-2.0",
        resize="keep_aspect",
    )  # fmt: skip
    assert found.notes[0] == "config.json: depth_anything, which gives inverse depth"


@pytest.mark.parametrize(
    ("config", "kind", "unit", "valid_range"),
    [
        ({"model_type": "depth_anything", "depth_estimation_type": "metric", "max_depth": 80},
         "depth", "m", (0.0, 80.0)),
        ({"model_type": "glpn"}, "depth", "m", (0.0, 10.0)),
        ({"model_type": "zoedepth"}, "depth", "m", (0.001, 10.0)),
        ({"model_type": "dpt"}, "inverse_depth", None, None),
        ({"model_type": "dpt", "backbone_config": {"model_type": "dinov2"}}, "depth", "m", None),
        ({"model_type": "depth_pro"}, None, None, None),
        ({"model_type": "vit"}, None, None, None),
    ],
)  # fmt: skip
def test_what_a_family_gives(
    config: Any, kind: str, unit: str, valid_range: Any, tmp_path: Path
) -> None:
    said = beside(folder(tmp_path, config) / "onnx" / "model.onnx").options
    assert (said.kind, said.unit, said.valid_range) == (kind, unit, valid_range)


@pytest.mark.parametrize(
    ("processor", "mean"),
    [
        ({"feature_extractor_type": "DPTFeatureExtractor", "size": 384}, (0.5,) * 3),
        ({"image_processor_type": "DPTImageProcessor", "do_normalize": False}, None),
        ({"image_processor_type": "GLPNImageProcessor"}, None),
        ({"do_normalize": True}, None),
        ({"image_mean": 0.25, "image_std": 0.5}, (0.25,) * 3),
    ],
)
def test_a_mean_that_the_processor_has_by_itself(
    processor: Any, mean: tuple[float, ...] | None, tmp_path: Path
) -> None:
    found = beside(folder(tmp_path, {}, processor) / "onnx" / "model.onnx").options
    assert found.mean == mean


@pytest.mark.parametrize(
    ("processor", "resize", "told"),
    [
        ({"keep_aspect_ratio": True}, "keep_aspect", "keeps the aspect"),
        ({"keep_aspect_ratio": False}, "stretch", "stretched"),
        ({"keep_aspect_ratio": True, "do_resize": False}, None, "pixels x 0.003922"),
        ({}, None, "pixels x 0.003922"),
    ],
)
def test_the_resize_rule(processor: Any, resize: str | None, told: str, tmp_path: Path) -> None:
    found = beside(folder(tmp_path, {}, processor) / "onnx" / "model.onnx")
    assert found.options.resize == resize
    assert found.notes[0].endswith(told)


def test_blue_first(tmp_path: Path) -> None:
    place = folder(tmp_path, {}, {"do_flip_channel_order": True})
    found = beside(place / "onnx" / "model.onnx")
    assert found.options.bgr
    assert "channels blue, green, red" in found.notes[0]


@pytest.mark.parametrize(
    "processor", ["{", "[]", '{"image_mean": [1, 2], "image_std": 1}', '{"image_mean": "x"}']
)
def test_files_of_no_use_are_one_sentence(processor: str, tmp_path: Path) -> None:
    place = folder(tmp_path, None)
    (place / "preprocessor_config.json").write_text(processor)
    if processor == '{"image_mean": "x"}':  # a mean without a std is no normalisation
        assert beside(place / "onnx" / "model.onnx").options.mean is None
        return
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        beside(place / "onnx" / "model.onnx")


def test_which_file_of_a_folder(tmp_path: Path) -> None:
    place = folder(tmp_path, {})
    (place / "onnx" / "model_fp16.onnx").write_bytes(b"")
    found = onnx_source(str(place))
    assert found is not None
    assert found.path == place / "onnx" / "model.onnx"
    assert found.note == "onnx/model.onnx of net is taken; beside it: model_fp16.onnx"
    (place / "onnx" / "model.onnx").rename(place / "onnx" / "other.onnx")
    with pytest.raises(UsageError, match=r"2 ONNX files: give one of them \(onnx/model_fp16.onnx"):
        onnx_source(str(place))
    (place / "model.safetensors").write_bytes(b"")
    assert onnx_source(str(place)) is None
