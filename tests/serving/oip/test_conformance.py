"""What the protocol wants of any server, of any model whose inputs are numbers.

DEPTHRT_OIP_URL=http://host:port DEPTHRT_OIP_MODEL=name pytest tests/serving/oip/test_conformance.py
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from helpers.web.oip_client import HEAD_LENGTH, TYPES, Oip, json_input


def test_server_metadata(oip: Oip) -> None:
    found = oip.ask("/v2")
    assert (found.status, found.headers["content-type"]) == (200, "application/json")
    assert isinstance(found.document["name"], str)
    assert isinstance(found.document["version"], str)
    assert all(isinstance(name, str) for name in found.document["extensions"])


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
def test_health(oip: Oip, path: str) -> None:
    assert oip.ask(path).status == 200


def test_model_metadata(oip: Oip) -> None:
    assert oip.metadata["name"] == oip.model
    assert isinstance(oip.metadata["platform"], str)
    for tensor in [*oip.metadata["inputs"], *oip.metadata["outputs"]]:
        assert tensor["datatype"] in TYPES
        assert isinstance(tensor["name"], str)
        assert all(type(side) is int and (side == -1 or side > 0) for side in tensor["shape"])
    assert oip.metadata["inputs"]
    assert oip.metadata["outputs"]


def test_model_ready(oip: Oip) -> None:
    assert oip.ask(f"{oip.path}/ready").status == 200
    assert 400 <= oip.ask("/v2/models/no-such-model/ready").status < 500


def test_each_version_that_is_named_is_there(oip: Oip) -> None:
    for version in oip.metadata.get("versions") or []:
        assert oip.ask(f"{oip.path}/versions/{version}").document["name"] == oip.model
        assert oip.ask(f"{oip.path}/versions/{version}/ready").status == 200
        inputs = [json_input(*each) for each in oip.sample()]
        body = json.dumps({"inputs": inputs}).encode()
        found = oip.ask(f"{oip.path}/versions/{version}/infer", body)
        assert found.status == 200
        assert found.document["model_version"] == version


def test_inference_gives_every_output_as_the_metadata_say(oip: Oip) -> None:
    found = oip.infer([json_input(*each) for each in oip.sample()])
    assert found.headers["content-type"] == "application/json"
    assert found.document["model_name"] == oip.model
    outputs = {output["name"]: output for output in found.document["outputs"]}
    assert set(outputs) == {tensor["name"] for tensor in oip.metadata["outputs"]}
    for tensor in oip.metadata["outputs"]:
        output = outputs[tensor["name"]]
        assert output["datatype"] == tensor["datatype"]
        assert len(output["shape"]) == len(tensor["shape"])
        for side, stated in zip(output["shape"], tensor["shape"], strict=True):
            assert stated in (-1, side)
    assert found.tensors.keys() == outputs.keys()


def test_the_id_comes_back(oip: Oip) -> None:
    inputs = [json_input(*each) for each in oip.sample()]
    for name in ("42", "a b/ü\n", "x" * 500):
        assert oip.infer(inputs, id=name).document["id"] == name


def test_flat_and_nested_data_are_the_same(oip: Oip) -> None:
    sample = oip.sample(1)
    flat = oip.infer([json_input(*each) for each in sample]).tensors
    nested = oip.infer([json_input(*each, nested=True) for each in sample]).tensors
    for name, values in flat.items():
        assert np.array_equal(values, nested[name], equal_nan=values.dtype.kind == "f")


def test_outputs_that_are_asked_for(oip: Oip) -> None:
    inputs = [json_input(*each) for each in oip.sample()]
    for tensor in oip.metadata["outputs"]:
        found = oip.infer(inputs, outputs=[{"name": tensor["name"]}])
        assert list(found.tensors) == [tensor["name"]]


@pytest.fixture
def binary(oip: Oip) -> Oip:
    """A server that has the binary tensor data extension."""
    if "binary_tensor_data" not in oip.ask("/v2").document["extensions"]:
        pytest.skip("the server says nothing of binary_tensor_data")
    return oip


def test_binary_and_json_are_the_same_to_the_bit(binary: Oip) -> None:
    sample = binary.sample(2)
    inputs = [json_input(*each) for each in sample]
    expected = binary.infer(inputs).tensors
    both = binary.infer_binary(sample)
    assert both.headers["content-type"] == "application/octet-stream"
    mixed = binary.infer_binary(sample, parameters={})
    assert HEAD_LENGTH not in mixed.headers
    out = binary.infer(inputs, parameters={"binary_data_output": True})
    for found in (both, mixed, out):
        for name, values in expected.items():
            assert found.tensors[name].dtype == values.dtype
            equal = np.array_equal(found.tensors[name], values, equal_nan=values.dtype.kind == "f")
            assert equal, name


def test_an_output_may_be_binary_or_not_by_itself(binary: Oip) -> None:
    inputs = [json_input(*each) for each in binary.sample()]
    name = binary.metadata["outputs"][0]["name"]
    for wanted in (True, False):
        outputs = [{"name": name, "parameters": {"binary_data": wanted}}]
        found = binary.infer(inputs, outputs=outputs, parameters={"binary_data_output": not wanted})
        entry = found.document["outputs"][0]
        assert ("data" in entry) is not wanted
        assert (HEAD_LENGTH in found.headers) is wanted
        assert found.tensors[name].size


def wrong_requests(oip: Oip) -> dict[str, dict[str, Any]]:
    """Requests that a server must refuse, by what is wrong."""
    good = [json_input(*each) for each in oip.sample()]
    first, others = good[0], good[1:]

    def changed(**entries: Any) -> dict[str, Any]:
        return {"inputs": [{**first, **entries}, *others]}

    return {
        "no inputs": {},
        "no input": {"inputs": []},
        "inputs that are none": {"inputs": 3},
        "an input too few": {"inputs": others} if others else {"inputs": [{}]},
        "an unknown input": changed(name="no-such-input"),
        "no name": {"inputs": [{k: v for k, v in first.items() if k != "name"}, *others]},
        "no datatype": {"inputs": [{k: v for k, v in first.items() if k != "datatype"}, *others]},
        "no shape": {"inputs": [{k: v for k, v in first.items() if k != "shape"}, *others]},
        "no data": {"inputs": [{k: v for k, v in first.items() if k != "data"}, *others]},
        "an unknown datatype": changed(datatype="FLOAT32"),
        "another datatype": changed(datatype="BYTES"),
        "data too few": changed(data=first["data"][1:]),
        "data too many": changed(data=[*first["data"], 0]),
        "data that are none": changed(data="abc"),
        "a negative side": changed(shape=[-side for side in first["shape"]]),
        "a side more": changed(shape=[*first["shape"], 1]),
        "a side that is no number": changed(shape=["1", *first["shape"][1:]]),
        "a shape that is none": changed(shape=3),
        "an unknown output": {"inputs": good, "outputs": [{"name": "no-such-output"}]},
        "outputs that are none": {"inputs": good, "outputs": 3},
    }


WRONG = [
    "no inputs", "no input", "inputs that are none", "an input too few", "an unknown input",
    "no name", "no datatype", "no shape", "no data", "an unknown datatype", "another datatype",
    "data too few", "data too many", "data that are none", "a negative side", "a side more",
    "a side that is no number", "a shape that is none", "an unknown output",
    "outputs that are none",
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_requests_are_refused_in_the_form_of_the_protocol(oip: Oip, wrong: str) -> None:
    found = oip.ask(f"{oip.path}/infer", json.dumps(wrong_requests(oip)[wrong]).encode())
    assert 400 <= found.status < 500
    assert found.error


def test_every_wrong_request_is_tried(oip: Oip) -> None:
    assert list(wrong_requests(oip)) == WRONG


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"[]", b"3", b"\xff\xfe{}", b'{"inputs": [', b"{}"]
)
def test_a_body_that_is_no_request(oip: Oip, body: bytes) -> None:
    found = oip.ask(f"{oip.path}/infer", body)
    assert 400 <= found.status < 500
    assert found.error


def test_unknown_models_and_versions(oip: Oip) -> None:
    body = json.dumps({"inputs": [json_input(*each) for each in oip.sample()]}).encode()
    paths = ["/v2/models/no-such-model"]
    if oip.metadata.get("versions"):  # versions are optional
        paths.append(f"{oip.path}/versions/no-such-version")
    for path in paths:
        assert 400 <= oip.ask(path).status < 500
        assert oip.ask(path).error
        assert oip.ask(f"{path}/infer", body).error


@pytest.mark.parametrize("length", ["-1", "x", "", "1e3", "99999999", "0", "5", "9" * 40])
def test_a_wrong_length_of_the_json_object(binary: Oip, length: str) -> None:
    body = json.dumps({"inputs": [json_input(*each) for each in binary.sample()]}).encode()
    found = binary.ask(f"{binary.path}/infer", body, {HEAD_LENGTH: length})
    assert 400 <= found.status < 500
    assert found.error


@pytest.mark.parametrize("change", [-1, 1, 10**6, -(10**6)])
def test_binary_data_of_another_size(binary: Oip, change: int) -> None:
    sample = binary.sample()
    entries = [json_input(*each) for each in sample]
    contents = [values.tobytes() for _, values in sample]
    for entry, content in zip(entries, contents, strict=True):
        del entry["data"]
        entry["parameters"] = {"binary_data_size": len(content) + change}
    assert binary.infer(entries, b"".join(contents)).error
    for entry, content in zip(entries, contents, strict=True):
        entry["parameters"] = {"binary_data_size": len(content)}
    for bytes_left in (b"".join(contents)[:-1], b"".join(contents) + b"\0"):
        assert binary.infer(entries, bytes_left).error
