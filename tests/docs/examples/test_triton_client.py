"""The client of a server of models, against a real one: the very depth of `DepthModel`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import depthrt
from helpers.commands import Outcome
from helpers.models.small_model import SIZE, build_model, build_spec
from helpers.web.served import picture, serving

RunExample = Callable[..., Outcome]

pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")


@pytest.mark.parametrize("resize", ["stretch", "pad", "keep_aspect"])
def test_it_gives_the_very_depth(run_example: RunExample, tmp_path: Path, resize: str) -> None:
    own = build_spec(name="my/net")
    spec = replace(own, input=replace(own.input, resize=resize))
    file = build_model(tmp_path / "m.onnx", spec=spec, dynamic_size=resize == "keep_aspect")
    photo, output = tmp_path / "photo.png", tmp_path / "depth.npy"
    cv2.imwrite(str(photo), picture(3, (90, 160))[..., ::-1])
    with serving(file) as server:
        address = server.address.removeprefix("http://")
        ended = run_example("triton_client.py", address, "my/net", photo, output)
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(
        r"my/net: \S+ to \S+, larger is nearer, relative, no unit", ended.out.strip()
    )
    expected = depthrt.DepthModel.load(file)(depthrt.read_image(photo)).values
    assert np.array_equal(np.load(output), expected)


def test_the_server_hands_out_the_spec_as_triton_does(tmp_path: Path) -> None:
    file = build_model(tmp_path / "m.onnx")
    with serving(file) as server:
        for path in ("/v2/models/tiny/config", "/v2/models/tiny/versions/1/config"):
            config = json.loads(server.ask(path).content)
            spec = depthrt.ModelSpec.from_json(config.pop("parameters")["depthrt"]["string_value"])
            assert spec == build_spec()
            assert config == {
                "name": "tiny",
                "platform": "onnxruntime_onnx",
                "max_batch_size": server.service.served.batch,
                "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": [3, *SIZE]}],
                "output": [{"name": "depth", "data_type": "TYPE_FP32", "dims": [*SIZE]}],
            }
        assert server.ask("/v2/models/none/config").status == 404
        assert server.ask("/v2/models/tiny/versions/2/config").status == 404
