"""Providers: how they are told, and whether one takes part."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime as ort
import pytest

from depthrt.model.providers import SessionOptions, provider_options
from depthrt.model.session import _takes_part


def test_openvino_is_told_in_its_own_words() -> None:
    options = SessionOptions("openvino", 3, precision="bf16")
    assert provider_options("cpu", options) == {}
    assert provider_options("openvino", SessionOptions("openvino")) == {"device_type": "CPU"}
    told = provider_options("openvino", options)
    assert told["num_of_threads"] == "3"
    assert json.loads(told["load_config"]) == {"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}
    assert options.line() == "openvino, 3 threads, bf16"
    assert SessionOptions.named("openvino, bf16") == SessionOptions("openvino", precision="bf16")
    assert SessionOptions.named("cpu") == SessionOptions("cpu")


@pytest.mark.skipif(
    not hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"),
    reason="this onnxruntime does not say where nodes run",
)
def test_a_provider_without_a_node_takes_no_part(model_path: Path) -> None:
    settings = ort.SessionOptions()
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(str(model_path), settings, providers=["CPUExecutionProvider"])
    assert _takes_part(session, "cpu")
    assert not _takes_part(session, "openvino")
    silent = ort.InferenceSession(str(model_path), providers=["CPUExecutionProvider"])
    assert _takes_part(silent, "openvino")  # it was not asked to keep count
