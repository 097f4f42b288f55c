"""With which options each execution provider keeps what it compiles.

Names of options are onnxruntime's; where each is documented stands beside it. CoreML, MIGraphX, QNN
and TensorRT were not tried: only OpenVINO could be run here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

KEEPING = ("openvino", "tensorrt", "coreml", "migraphx", "qnn")
"""Short names of the providers that can keep what they compile."""

CONTEXT_FILE = "context.onnx"
"""In an engine folder: the model in which compiled parts stand in place of what they compute."""


@dataclass(frozen=True)
class EngineOptions:
    """What a session is given so that its provider keeps, or takes, what was compiled.

    - ``provider``: options of the provider;
    - ``session``: entries of the session's configuration;
    - ``model``: the file to load in place of the model file; None: the model file itself.
    """

    provider: dict[str, str] = field(default_factory=dict)
    session: dict[str, str] = field(default_factory=dict)
    model: Path | None = None


def engine_options(provider: str, folder: Path, timings: Path) -> EngineOptions:
    """The options of a provider, given by its short name; empty ones where it keeps nothing.

    Args:
        provider: a short name, see :data:`depthrt.model.providers.PROVIDERS`.
        folder: takes what is compiled of one model file; it exists.
        timings: takes TensorRT's timings of kernels, which serve all model files.
    """
    if provider == "openvino":
        # https://onnxruntime.ai/docs/execution-providers/OpenVINO-ExecutionProvider.html
        return EngineOptions({"cache_dir": str(folder)})
    if provider == "tensorrt":
        # https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html
        return EngineOptions(
            {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": str(folder),
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": str(timings),
            }
        )
    if provider == "coreml":
        # https://onnxruntime.ai/docs/execution-providers/CoreML-ExecutionProvider.html
        return EngineOptions({"ModelCacheDirectory": str(folder)})
    if provider == "migraphx":
        # onnxruntime/core/providers/migraphx/migraphx_execution_provider_info.h of microsoft's
        # repository; not in older builds, which refuse it
        return EngineOptions({"migraphx_model_cache_dir": str(folder)})
    if provider == "qnn":
        return _context(folder / CONTEXT_FILE)
    return EngineOptions()


def _context(file: Path) -> EngineOptions:
    """Write the compiled model to a file, or load it where it was written.

    https://onnxruntime.ai/docs/execution-providers/EP-Context-Design.html
    """
    if file.is_file():
        return EngineOptions(model=file)
    return EngineOptions(
        session={
            "ep.context_enable": "1",
            "ep.context_file_path": str(file),
            "ep.context_embed_mode": "0",
        }
    )
