"""An onnxruntime session that is what it was asked to be."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from depthrt.errors import DepthrtError, ModelError, ProviderError
from depthrt.files.json_file import parse_json
from depthrt.model import cpu, cuda
from depthrt.model.providers import (
    PROVIDERS,
    SessionOptions,
    candidates,
    provider_options,
    short_name,
)
from depthrt.process_state import Borrowed, default_variables, is_own_process
from depthrt.spec import METADATA_KEY, WEIGHT_BITS_KEY

if TYPE_CHECKING:
    import onnxruntime as ort

_FATAL_ONLY = 4
_WARNING = 2

_no_telemetry = Borrowed(lambda: default_variables({"ORT_DISABLE_TELEMETRY": "1"}))


def open_session(path: Path, options: SessionOptions, *, parallel: int = 1) -> ort.InferenceSession:
    """Load an ONNX file into a session whose first provider is the one asked for.

    int8 is summed exactly on every processor: where the fast way would cut sums off
    (:func:`depthrt.model.cpu.sums_saturate`) and the weights are not made for it, the slow way is
    taken; OpenVINO has none, and is refused.

    ``parallel``: inferences that will run at a time; on a CPU they share the cores.

    Raises:
        ModelError: missing, unreadable or corrupt file.
        ProviderError: the provider cannot be had here.
    """
    ort = import_onnxruntime()
    if not path.is_file():
        raise ModelError(f"no model file at {path}: check the path, or see `depthrt models`")
    failures: list[str] = []
    for name in candidates(options.provider, ort.get_available_providers()):
        settings = session_options(options, parallel, name)
        if name != "cpu":  # being bound says nothing of which nodes it takes
            settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        provider = [(PROVIDERS[name], provider_options(name, options))]
        cuda.preload(name)
        try:
            with _quiet(ort):
                session = _session(ort, path, settings, provider)
                if name == "cpu" and needs_exact_sums(session):
                    sum_exactly(settings)
                    session = _session(ort, path, settings, provider)
        except Exception as error:  # onnxruntime's own classes derive from nothing narrower
            failure = _load_error(path, name, error)
            if not isinstance(failure, ProviderError):
                raise failure from error
            failures.append(str(failure))
            continue
        unfit = _unfit(session, name, path)
        if not unfit:
            return session
        failures.append(unfit)
    advice = "`depthrt doctor` says which providers work here"
    raise ProviderError(f"{'; '.join(failures) or 'no provider'} ({advice})")


def _session(
    module: ModuleType,
    path: Path,
    settings: ort.SessionOptions,
    provider: list[tuple[str, dict[str, str]]],
) -> ort.InferenceSession:
    """One that raises what its provider fails with.

    Left to itself, onnxruntime prints that on standard output and goes on with the CPU, when the
    session is made and in the middle of a run.
    """
    made: ort.InferenceSession = module.InferenceSession(
        str(path), settings, providers=provider, enable_fallback=False
    )
    return made


def session_options(
    options: SessionOptions, parallel: int = 1, name: str = "cpu"
) -> ort.SessionOptions:
    """onnxruntime's session options for use inside a pipeline, for the provider of this name.

    Only the CPU provider's threads ever spin: another provider has its own, and onnxruntime's, idle
    and spinning, took OpenVINO's cores away (1.8 times its time on two cores).
    """
    ort = import_onnxruntime()
    result = ort.SessionOptions()
    # EXTENDED costs 2x and BASIC 5x on int8 graphs.
    result.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    result.intra_op_num_threads = options.threads or max(1, usable_cores() // parallel)
    result.inter_op_num_threads = 1
    result.log_severity_level = _FATAL_ONLY  # what fails is raised, and said in one sentence
    result.add_session_config_entry(
        "session.intra_op.allow_spinning", "1" if options.spinning and name == "cpu" else "0"
    )
    result.add_session_config_entry("session.force_spinning_stop", "1")  # at the end of each run
    if name == "cuda":
        # CUDA has no int8 kernels: it computes in float between the levels. With this, weights are
        # brought back to float when the session is made, not in every run: 0.71 of the time.
        result.add_session_config_entry("session.disable_quant_qdq", "1")
    return result


def _unfit(session: ort.InferenceSession, name: str, path: Path) -> str:
    """Why a session is not what was asked for; empty if it is."""
    bound = short_name(session.get_providers()[0])
    if bound != name:
        missing = cuda.obstacle(name)
        why = f": {missing}" if missing else ""
        return f"provider {name} was asked for, but onnxruntime bound {bound} instead{why}"
    if name == "openvino" and cpu.sums_saturate() and (weight_bits(session) or 0) > 7:
        return (
            f"provider openvino cuts int8 sums off on this CPU, which has no VNNI: {path.name} has "
            "8-bit weights; export it again with --target x86-avx2, or take --provider cpu"
        )
    if name != "cpu" and not _takes_part(session, name):
        return f"provider {name} was bound, but takes no part of {path.name}"
    return ""


def sum_exactly(settings: ort.SessionOptions) -> None:
    """Have the CPU provider sum int8 in 32 bits: its weights become uint8, which is slower."""
    settings.add_session_config_entry("session.x64quantprecision", "1")


def needs_exact_sums(session: ort.InferenceSession) -> bool:
    """Whether int8 in this file is cut off here when it is summed the fast way.

    On an x86 processor without VNNI that is so of 8-bit weights: the error of depthrt-s became
    twice to six times what int8 costs otherwise, and nothing said so.
    """
    if not cpu.sums_saturate():
        return False
    bits = weight_bits(session)
    return bits is None or bits > 7  # of a graph under way, or nobody's, what is slow is safe


def weight_bits(session: ort.InferenceSession) -> int | None:
    """Of int8 weights; 0 where the file says that it has none, None where it says nothing."""
    metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    bits = metadata.get(WEIGHT_BITS_KEY, "")
    if bits.isdecimal() and len(bits) <= 2:
        return int(bits)
    try:
        precision = str(parse_json(metadata[METADATA_KEY])["precision"])
    except (KeyError, TypeError, ValueError):
        return None
    return 8 if precision.startswith("int") else 0


def _takes_part(session: ort.InferenceSession, name: str) -> bool:
    """Whether any node runs on the provider; onnxruntime before 1.24 cannot say, and counts."""
    try:
        parts = session.get_provider_graph_assignment_info()
    except Exception:  # no such method, or onnxruntime's own class for "not recorded"
        return True
    return any(part.ep_name == PROVIDERS[name] and part.get_nodes() for part in parts)


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def import_onnxruntime() -> ModuleType:
    """The onnxruntime module, or a sentence that says how to install one.

    From 1.32 on it keeps an identity of the machine and reports runs to its maker, unless a
    variable says otherwise while it is imported; who wants that sets it to 0.
    """
    try:
        with nullcontext() if "onnxruntime" in sys.modules else _no_telemetry():
            import onnxruntime as module
    except ImportError as error:
        raise ProviderError(
            "onnxruntime is not installed or does not load: install exactly one of "
            '"depthrt[cpu]", "depthrt[gpu]", "depthrt[openvino]"'
        ) from error
    if not hasattr(module, "get_available_providers"):  # a folder that uninstalling left behind
        raise ProviderError(
            "onnxruntime's files are gone, as when one of two wheels was uninstalled: uninstall "
            'every onnxruntime wheel, then install one of "depthrt[cpu]", "depthrt[gpu]", '
            '"depthrt[openvino]"'
        )
    return cast(ModuleType, module)


@contextmanager
def _quiet(module: ModuleType) -> Iterator[None]:
    """Keep onnxruntime's own lines off the terminal, where it is the command's own.

    A provider that cannot start logs pages of C++ before it falls back; the check says it in one
    line. The level of a host's process cannot be read, so that it could not be put back.
    """
    if not is_own_process():
        yield
        return
    module.set_default_logger_severity(_FATAL_ONLY)
    try:
        yield
    finally:
        module.set_default_logger_severity(_WARNING)


def _load_error(path: Path, provider: str, error: Exception) -> DepthrtError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if any(words in reason.lower() for words in ("external data", "cannot get file size")):
        return ModelError(
            f"{path} keeps weights in another file that cannot be read from here; a depthrt model "
            f"is one file: export it again ({reason})"
        )
    kinds = ("InvalidProtobuf", "InvalidGraph", "InvalidArgument", "NoSuchFile", "NotImplemented")
    if provider == "cpu" or type(error).__name__ in kinds:
        return ModelError(f"{path} is corrupt or no ONNX model that onnxruntime can run ({reason})")
    return ProviderError(
        f"provider {provider} does not work here ({cuda.obstacle(provider) or reason})"
    )
