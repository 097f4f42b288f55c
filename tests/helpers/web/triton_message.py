"""Triton's own classes of its configuration, without the gRPC that their package asks for."""

from __future__ import annotations

import importlib.util
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from google.protobuf import text_format


def parse_config(path: Path) -> Any:
    """The message ``ModelConfig`` of a ``config.pbtxt``; unknown fields are an error."""
    file = distribution("tritonclient").locate_file("tritonclient/grpc/model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", str(file))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return text_format.Parse(path.read_text(encoding="utf-8"), module.ModelConfig())
