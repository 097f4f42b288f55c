"""onnxruntime's execution providers by short names, and how a session uses the machine."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

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
AUTO_ORDER = ("cuda", "openvino", "cpu")  # not tensorrt, which builds engines for minutes
MOST_PARALLEL = 4  # each inference that runs holds its activations in memory

Purpose: TypeAlias = Literal["latency", "throughput", "live"]
"""What a session is for: the lowest latency of one frame, alone or (``live``) beside a decoder, or
the most frames per second."""

_PACKAGE_OF = {
    "cuda": "install the extra gpu in place of cpu, an NVIDIA driver, CUDA and cuDNN",
    "tensorrt": "install the extra gpu in place of cpu, an NVIDIA driver, CUDA and TensorRT",
    "openvino": "install the extra openvino in place of cpu: pip uninstall onnxruntime first",
}


@dataclass(frozen=True)
class SessionOptions:
    """How a session uses the machine.

    - ``provider``: a name of :data:`PROVIDERS`, or ``auto``;
    - ``threads``: threads inside one operator. None shares the usable cores out evenly among the
      ``parallel`` inferences; OpenVINO then chooses by itself;
    - ``spinning``: the CPU provider's threads wait busily between the operators of an inference,
      and never between two inferences. On two cores one frame alone then takes 0.75 (int8) to 0.87
      of the time, but a pipeline that has work for all cores loses a fifth of its rate;
    - ``precision``: the type in which OpenVINO computes the float part of a graph, a name of
      :data:`PRECISION_HINTS`; empty for OpenVINO's own choice. Other providers compute in the types
      of the graph;
    - ``parallel``: inferences that run at a time in the session. Several share out the cores better
      beside a decoder than one on all cores does: none waits for the slowest part of an operator.
      Only the CPU provider runs more than one;
    - ``fast_math``: the CPU provider multiplies float32 matrices in bfloat16, on Arm processors
      that have instructions for it; elsewhere it changes nothing.
    """

    provider: str = "auto"
    threads: int | None = None
    spinning: bool = False
    precision: str = ""
    parallel: int = 1
    fast_math: bool = False

    @classmethod
    def named(cls, name: str) -> SessionOptions:
        """Parse a provider, or a provider and a precision: ``openvino, bf16``."""
        provider, _, precision = name.partition(", ")
        return cls(provider, precision=precision)

    def line(self) -> str:
        """The options in a few words."""
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}" if self.threads else ""
        parts = [self.provider, threads, "spinning" if self.spinning else "", self.precision]
        parts.append(f"{self.parallel} at a time" if self.parallel > 1 else "")
        parts.append("products in bfloat16" if self.fast_math else "")
        return ", ".join(part for part in parts if part)

    def bound_to(self, provider: str, cores: int) -> SessionOptions:
        """What these options come to with a provider, given by its short name, on so many cores.

        The CPU provider's threads become a number. What the provider does not have is left out:
        only the CPU provider spins, runs inferences in parallel and has fast math; only OpenVINO
        has a precision.
        """
        if provider == "cpu":
            threads = self.threads or max(1, cores // self.parallel)
            return replace(self, provider=provider, threads=threads, precision="")
        precision = self.precision if provider == "openvino" else ""
        return SessionOptions(provider, self.threads, precision=precision)


def untuned_options(
    purpose: Purpose,
    cores: int,
    *,
    provider: str = "auto",
    threads: int | None = None,
    spinning: bool | None = None,
    parallel: int | None = None,
) -> SessionOptions:
    """How a session is opened where ``depthrt tune`` has not been run; None: as suits the purpose.

    For throughput as many inferences run at a time as there are cores for their threads, up to
    :data:`MOST_PARALLEL`; else one. Threads spin for the latency of one frame alone.
    """
    if parallel is None:
        fitting = max(1, cores // (threads or 1))
        parallel = min(fitting, MOST_PARALLEL) if purpose == "throughput" else 1
    busy = purpose == "latency" if spinning is None else spinning
    return SessionOptions(provider, threads, busy, parallel=parallel)


def provider_options(name: str, options: SessionOptions) -> dict[str, str]:
    """onnxruntime's options of one provider, given by its short name.

    OpenVINO does not read onnxruntime's thread count. Its own keys are listed at
    https://onnxruntime.ai/docs/execution-providers/OpenVINO-ExecutionProvider.html, CoreML's at
    https://onnxruntime.ai/docs/execution-providers/CoreML-ExecutionProvider.html. Those with which
    a provider keeps what it compiles are in :mod:`depthrt.model.engines.engine_options`.
    """
    if name == "coreml":
        return {"ModelFormat": "MLProgram"}  # knows more operators than the older NeuralNetwork
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
    """Short names to try, in order, for the provider that was asked for.

    Args:
        provider: ``auto`` or a short name.
        available: the providers of this onnxruntime, by its own names.

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
