"""An onnxruntime session that runs on the provider it was asked for, or an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from depthrt.errors import DepthrtError, ModelError, ProviderError, reason_of
from depthrt.files.json_file import parse_json
from depthrt.model.other_formats import other_format, why_unreadable
from depthrt.model.providers import (
    PROVIDERS,
    SessionOptions,
    candidates,
    provider_options,
    short_name,
)
from depthrt.spec import METADATA_KEY, WEIGHT_BITS_KEY
from depthrt.system import cpu_features, cuda
from depthrt.system.cpu_cores import usable_cores
from depthrt.system.installation import install_onnxruntime
from depthrt.system.process_settings import Borrowed, Undo, default_variables, is_own_process

if TYPE_CHECKING:
    import onnxruntime as ort

    from depthrt.model.engines.engine_options import EngineOptions

_FATAL_ONLY = 4
_WARNING = 2

_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")  # versions read one or the other


def _forbid_telemetry() -> Undo:
    """Set the variables that the user has not set, unless one of them asks for telemetry."""
    asked_for = any(os.environ.get(name, "1").lower() in ("0", "false") for name in _TELEMETRY)
    return default_variables({} if asked_for else dict.fromkeys(_TELEMETRY, "1"))


_no_telemetry = Borrowed(_forbid_telemetry)


def open_session(path: Path, options: SessionOptions) -> ort.InferenceSession:
    """Load an ONNX file into a session whose first provider is the one asked for.

    int8 is summed exactly on every processor. Where the fast kernels would saturate
    (:func:`depthrt.system.cpu_features.sums_saturate`) and the weights are not made for that, the
    CPU provider takes slower kernels; OpenVINO has none, and is refused.

    Raises:
        ModelError: missing, unreadable or corrupt file.
        ProviderError: the provider cannot be had here.
    """
    ort = import_onnxruntime()
    if not path.is_file():
        raise ModelError(f"no model file at {path}: check the path, or see `depthrt models`")
    failures: list[str] = []
    for name in candidates(options.provider, ort.get_available_providers()):
        cuda.preload(name)
        try:
            with _quiet(ort):
                if name == "cpu":
                    session = _on_cpu(ort, path, options)
                else:
                    session = _with_engines(ort, path, options, name)
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


def _on_cpu(module: ModuleType, path: Path, options: SessionOptions) -> ort.InferenceSession:
    """A session of the CPU provider that sums int8 exactly."""
    settings, provider = session_options(options), [(PROVIDERS["cpu"], dict[str, str]())]
    session = _session(module, path, settings, provider)
    if needs_exact_sums(session):
        sum_exactly(settings)
        session = _session(module, path, settings, provider)
    return session


def _with_engines(
    module: ModuleType, path: Path, options: SessionOptions, name: str
) -> ort.InferenceSession:
    """A session of another provider, which takes and keeps what it compiles where it can.

    Where that fails (what is kept is broken, or an older onnxruntime does not know the options),
    what is kept is removed and the provider compiles as it would without.
    """
    from depthrt.model.engines.engine_cache import find_engines  # the CPU provider needs it not

    engines = find_engines(path, name, module)
    if engines is not None:
        try:
            return _with_options(module, path, options, name, engines.options)
        except Exception:  # if it is not for what is kept, it is raised again below
            engines.discard()
    return _with_options(module, path, options, name, None)


def _with_options(
    module: ModuleType,
    path: Path,
    options: SessionOptions,
    name: str,
    engines: EngineOptions | None,
) -> ort.InferenceSession:
    settings = session_options(options, name)
    # A bound provider may still leave every node to the CPU.
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    of_provider = provider_options(name, options)
    if engines is not None:
        for key, value in engines.session.items():
            settings.add_session_config_entry(key, value)
        path, of_provider = engines.model or path, {**of_provider, **engines.provider}
    return _session(module, path, settings, [(PROVIDERS[name], of_provider)])


def _session(
    module: ModuleType,
    path: Path,
    settings: ort.SessionOptions,
    provider: list[tuple[str, dict[str, str]]],
) -> ort.InferenceSession:
    """Make a session that raises an error where its provider fails.

    By default onnxruntime prints the error on standard output and goes on with the CPU provider,
    both while the session is made and in the middle of a run.
    """
    made: ort.InferenceSession = module.InferenceSession(
        str(path), settings, providers=provider, enable_fallback=False
    )
    return made


def session_options(options: SessionOptions, name: str = "cpu") -> ort.SessionOptions:
    """onnxruntime's session options for the provider of this short name.

    onnxruntime's threads spin for the CPU provider only. Other providers have threads of their own,
    from which idle spinning threads take the cores: OpenVINO took 1.8 times as long on two cores.
    """
    bound = options.bound_to(name, usable_cores())
    ort = import_onnxruntime()
    result = ort.SessionOptions()
    # EXTENDED costs 2x and BASIC 5x on int8 graphs.
    result.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    result.intra_op_num_threads = bound.threads or usable_cores()
    result.inter_op_num_threads = 1
    result.log_severity_level = _FATAL_ONLY  # errors are raised, and become one sentence
    result.add_session_config_entry(
        "session.intra_op.allow_spinning", "1" if bound.spinning else "0"
    )
    result.add_session_config_entry("session.force_spinning_stop", "1")  # at the end of each run
    if bound.fast_math:
        # https://onnxruntime.ai/docs/api/c/onnxruntime__session__options__config__keys_8h.html
        result.add_session_config_entry("mlas.enable_gemm_fastmath_arm64_bfloat16", "1")
    if name == "cuda":
        # CUDA has no int8 kernels and computes in float. With this entry weights are converted to
        # float once, when the session is made, and not in every run: 0.71 of the time.
        result.add_session_config_entry("session.disable_quant_qdq", "1")
    return result


def _unfit(session: ort.InferenceSession, name: str, path: Path) -> str:
    """Why a session is not the one that was asked for; empty if it is."""
    bound = short_name(session.get_providers()[0])
    if bound != name:
        missing = cuda.obstacle(name)
        why = f": {missing}" if missing else ""
        return f"provider {name} was asked for, but onnxruntime bound {bound} instead{why}"
    if name == "openvino" and cpu_features.sums_saturate() and (weight_bits(session) or 0) > 7:
        return (
            f"provider openvino cuts int8 sums off on this CPU, which has no VNNI: {path.name} has "
            "8-bit weights; export it again with --target x86-avx2, or take --provider cpu"
        )
    if name != "cpu" and not _takes_part(session, name):
        return f"provider {name} was bound, but takes no part of {path.name}"
    return ""


def sum_exactly(settings: ort.SessionOptions) -> None:
    """Have the CPU provider sum int8 in 32 bits: it makes the weights uint8, and is slower."""
    settings.add_session_config_entry("session.x64quantprecision", "1")


def needs_exact_sums(session: ort.InferenceSession) -> bool:
    """Whether the fast int8 kernels would saturate with this file's weights on this processor.

    They do for 8-bit weights on x86 without VNNI, without an error: depthrt-s then lost two to six
    times as much accuracy to int8 as elsewhere.
    """
    if not cpu_features.sums_saturate():
        return False
    bits = weight_bits(session)
    return bits is None or bits > 7  # where the file does not say, slow is safe


def weight_bits(session: ort.InferenceSession) -> int | None:
    """Bits of the file's int8 weights; 0 if it has none, None if its metadata does not say."""
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
    """Whether any node runs on the provider; True for onnxruntime before 1.24, which cannot say."""
    try:
        parts = session.get_provider_graph_assignment_info()
    except Exception:  # no such method, or onnxruntime's own class for "not recorded"
        return True
    return any(part.ep_name == PROVIDERS[name] and part.get_nodes() for part in parts)


def offered_providers() -> list[str]:
    """Short names of the providers that this onnxruntime was built with and depthrt knows."""
    offered = [short_name(name) for name in import_onnxruntime().get_available_providers()]
    return [name for name in offered if name in PROVIDERS]


def import_onnxruntime() -> ModuleType:
    """The onnxruntime module, with its telemetry off.

    From 1.32 on onnxruntime identifies the machine and reports runs to its maker, unless an
    environment variable forbids it at the import. Whoever wants telemetry sets it to 0.

    Raises:
        ProviderError: onnxruntime is not installed; the message says how to install it.
    """
    try:
        with nullcontext() if "onnxruntime" in sys.modules else _no_telemetry():
            import onnxruntime as module
    except ImportError as error:
        raise ProviderError(
            f"onnxruntime is not installed or does not load: {install_onnxruntime()}"
        ) from error
    if not hasattr(module, "get_available_providers"):  # a folder that uninstalling left behind
        raise ProviderError(
            "onnxruntime's files are gone, as when one of two wheels was uninstalled: uninstall "
            f"every onnxruntime wheel, then {install_onnxruntime()}"
        )
    return cast(ModuleType, module)


@contextmanager
def _quiet(module: ModuleType) -> Iterator[None]:
    """Keep onnxruntime's own log off the terminal of the ``depthrt`` command.

    A provider that cannot start logs pages of C++, for which an error of one line is raised. In
    another program's process the level is left alone: it cannot be read, and so not be restored.
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
    reason = reason_of(error)
    known = other_format(path)
    if known:
        return ModelError(f"{path} {known}")
    if any(words in reason.lower() for words in ("external data", "cannot get file size")):
        return ModelError(
            f"{path} keeps weights in another file that cannot be read from here; a depthrt model "
            f"is one file: export it again ({reason})"
        )
    kinds = ("InvalidProtobuf", "InvalidGraph", "InvalidArgument", "NoSuchFile", "NotImplemented")
    if provider == "cpu" or type(error).__name__ in kinds:
        unparsed = type(error).__name__ == "InvalidProtobuf" or "No graph" in reason
        why = why_unreadable(path) if unparsed else ""
        return ModelError(
            f"{path} is corrupt or no ONNX model that onnxruntime can run ({why or reason})"
        )
    return ProviderError(
        f"provider {provider} does not work here ({cuda.obstacle(provider) or reason})"
    )
