"""onnxruntime's execution providers by short names, and which of them are truly usable here."""

from __future__ import annotations

from dataclasses import dataclass

from depthrt.errors import ProviderError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "qnn": "QNNExecutionProvider",
}
AUTO_ORDER = ("cuda", "openvino", "cpu")  # tensorrt builds engines for minutes: only when asked for

_PACKAGE_OF = {
    "cuda": 'pip install "depthrt[gpu]" on a machine with an NVIDIA driver, CUDA and cuDNN',
    "tensorrt": 'pip install "depthrt[gpu]" on a machine with an NVIDIA driver, CUDA and TensorRT',
    "openvino": 'pip install "depthrt[openvino]"',
}


@dataclass(frozen=True)
class SessionOptions:
    """How a session uses the machine.

    - ``provider``: a name of :data:`PROVIDERS`, or ``auto``;
    - ``threads``: threads inside one operator; None takes every core this process may use;
    - ``spinning``: busy waiting between operators; it helps a bare session (1.1-1.3x) and starves
      decoder and encoder in a pipeline, so it is off.
    """

    provider: str = "auto"
    threads: int | None = None
    spinning: bool = False


def short_name(provider: str) -> str:
    """The short name of an onnxruntime provider."""
    names = {full: short for short, full in PROVIDERS.items()}
    return names.get(provider, provider)


def candidates(provider: str, available: list[str]) -> list[str]:
    """The short names to try, in order, for the provider that was asked for.

    Raises:
        ProviderError: an unknown name, or one that this onnxruntime was not built with.
    """
    offered = [short_name(name) for name in available]
    if provider == "auto":
        return [name for name in AUTO_ORDER if name in offered]
    if provider not in PROVIDERS:
        raise ProviderError(
            f"unknown provider {provider!r}: choose auto or one of {', '.join(PROVIDERS)}"
        )
    if provider not in offered:
        advice = _PACKAGE_OF.get(provider, "install an onnxruntime that has it")
        raise ProviderError(
            f"provider {provider} is not in the installed onnxruntime "
            f"(it has {', '.join(offered)}): {advice}"
        )
    return [provider]
