"""The model contract: what a file says of itself, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import onnx
import pytest

from depthrt import InputSpec, ModelError, ModelSpec
from depthrt.model.catalogue.registry import built_in_models
from depthrt.spec import METADATA_KEY

FULL = ModelSpec(
    name="metric",
    kind="depth",
    unit="m",
    input=InputSpec(196, 252, "pad", 14, "cubic"),
    valid_range=(0.001, 80.0),
    output_range=(0.5, 62.0),
    precision="int8",
    float_nodes=("head", "stem"),
    licence="Apache-2.0",
    provenance={"source": "net.py:factory", "packages": {"torch": "2.13.0"}},
    measured={"fidelity": {"sqnr_db": 31.5}},
)


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(FULL.to_json()), **fields})


def test_json_form_reads_back_as_the_same_spec() -> None:
    assert ModelSpec.from_json(FULL.to_json()) == FULL


def test_json_form_tells_other_readers_version_and_direction() -> None:
    content = json.loads(FULL.to_json())
    assert content["schema_version"] == 1
    assert content["larger_is"] == "farther"
    inverse = ModelSpec("relative", "inverse_depth", InputSpec(8, 8))
    assert json.loads(inverse.to_json())["larger_is"] == "nearer"


def test_only_a_file_with_optional_outputs_needs_a_newer_reader() -> None:
    richer = dataclasses.replace(FULL, outputs=("confidence", "fov_deg"))
    content = json.loads(richer.to_json())
    assert content["schema_version"] == 2
    assert content["outputs"] == ["confidence", "fov_deg"]
    assert ModelSpec.from_json(richer.to_json()) == richer
    assert "outputs" not in json.loads(FULL.to_json())


def test_the_spec_of_version_1_in_the_built_in_model_is_read() -> None:
    model = onnx.load(next(iter(built_in_models().values())))
    text = {entry.key: entry.value for entry in model.metadata_props}[METADATA_KEY]
    assert json.loads(text)["schema_version"] == 1
    spec = ModelSpec.from_json(text)
    assert (spec.name, spec.outputs) == ("depthrt-s", ())
    assert json.loads(spec.to_json()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        (changed(schema_version=3), "schema version 3, but this depthrt reads up to 2: upgrade"),
        (changed(schema_version=None), "no usable schema_version"),
        (changed(schema_version=True), "no usable schema_version"),
        (changed(colour_space="bgr"), "unknown fields: colour_space"),
        (changed(input={"height": 8}), "missing fields: input.width"),
        (changed(input={"height": 8, "width": 8, "crop": 1}), "unknown fields: input.crop"),
        (changed(input=None), "lacks the object input"),
        (changed(kind="disparity"), "kind='disparity', which is not one of inverse_depth, depth"),
        (changed(unit="mm"), "unit='mm'"),
        (changed(precision="int4"), "precision='int4'"),
        (changed(valid_range=[3.0, 1.0]), "valid_range"),
        (changed(valid_range=[1.0]), "valid_range"),
        (changed(larger_is="nearer"), "contradicts itself"),
        (changed(name=""), "name=''"),
        (changed(input={"height": 100, "width": 98, "multiple_of": 14}), "a multiple of 14"),
        (changed(input={"height": 0, "width": 8}), "height=0"),
        (changed(input={"height": 8.5, "width": 8}), "height=8.5"),
        (changed(valid_range=[0, 10**400]), "valid_range"),
        (changed(measured={"error": 0.5}).replace("0.5", "NaN"), "NaN is no number"),
        (changed(name="\x1b[31mred"), "name="),
        (changed(name="\ud800"), "name="),
        (changed(licence=5), "licence=5"),
        (changed(provenance="hello"), "provenance='hello'"),
        (changed(measured=[1, 2]), "measured=(1, 2)"),
        (changed(float_nodes=7), "float_nodes=7"),
        (changed(outputs=["valid"]), "names outputs, which schema version 1 has not"),
        (changed(schema_version=2, outputs=["sky"]), "outputs=('sky',), which is not a list of"),
        (changed(schema_version=2, outputs=["valid", "valid"]), "each once, of confidence, valid"),
        (changed(schema_version=2, outputs="valid"), "outputs='valid'"),
        (changed(schema_version=2, outputs=[["valid"]]), "outputs=(['valid'],)"),
        ("[" * 200_000, "not valid JSON"),
    ],
)
def test_what_is_not_understood_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        ModelSpec.from_json(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_field_of_the_spec_itself_is_named() -> None:
    content = json.loads(FULL.to_json())
    del content["kind"]
    with pytest.raises(ModelError, match="missing fields: kind"):
        ModelSpec.from_json(json.dumps(content))


def test_words_may_be_written_with_a_hyphen() -> None:
    spec = ModelSpec(
        "net",
        "inverse-depth",  # type: ignore[arg-type]
        InputSpec(48, 64, resize="keep-aspect"),  # type: ignore[arg-type]
        precision="int8-dynamic",  # type: ignore[arg-type]
    )
    assert (spec.kind, spec.input.resize, spec.precision) == (
        "inverse_depth", "keep_aspect", "int8_dynamic",
    )  # fmt: skip
    assert ModelSpec.from_json(spec.to_json()) == spec
