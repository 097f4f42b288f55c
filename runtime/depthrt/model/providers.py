"""onnxruntime's execution providers by short names, and which of them are truly usable here."""

from __future__ import annotations

import json
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
PRECISION_HINTS = ("f32", "bf16", "f16")
AUTO_ORDER = ("cuda", "openvino", "cpu")  # tensorrt builds engines for minutes: only when asked for

_PACKAGE_OF = {
    "cuda": "install the extra gpu in place of cpu, an NVIDIA driver, CUDA and cuDNN",
    "tensorrt": "install the extra gpu in place of cpu, an NVIDIA driver, CUDA and TensorRT",
    "openvino": "install the extra openvino in place of cpu: pip uninstall onnxruntime first",
}


@dataclass(frozen=True)
class SessionOptions:
    """How a session uses the machine.

    - ``provider``: a name of :data:`PROVIDERS`, or ``auto``;
    - ``threads``: threads inside one operator; None takes every core this process may use;
    - ``spinning``: busy waiting between the operators of an inference, and never between two: one
      frame alone is done in 0.75 (int8) to 0.87 of the time on two cores, and a pipeline that has
      work for all cores loses a fifth of its rate; of the CPU provider alone;
    - ``precision``: what OpenVINO computes the float part of a graph in, a name of
      :data:`PRECISION_HINTS`; empty for the provider's own choice. Other providers have no such
      hint: they compute what the graph says.
    """

    provider: str = "auto"
    threads: int | None = None
    spinning: bool = False
    precision: str = ""

    @classmethod
    def named(cls, name: str) -> SessionOptions:
        """A provider, or one with a precision, as :meth:`line` says it: ``openvino, bf16``."""
        provider, _, precision = name.partition(", ")
        return cls(provider, precision=precision)

    def line(self) -> str:
        """The options in a few words."""
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}" if self.threads else ""
        parts = [self.provider, threads, "spinning" if self.spinning else "", self.precision]
        return ", ".join(part for part in parts if part)


def provider_options(name: str, options: SessionOptions) -> dict[str, str]:
    """What onnxruntime is told of one provider, given by its short name.

    OpenVINO takes neither onnxruntime's thread count nor its precision; its own keys are those of
    https://onnxruntime.ai/docs/execution-providers/OpenVINO-ExecutionProvider.html.
    """
    if name != "openvino":
        return {}
    found = {"device_type": "CPU"}
    if options.threads is not None:
        found["num_of_threads"] = str(options.threads)
    if options.precision:
        hint = {"CPU": {"INFERENCE_PRECISION_HINT": options.precision}}
        found["load_config"] = json.dumps(hint)
    return found


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
