"""The sessions that are worth measuring on this machine."""

from __future__ import annotations

from dataclasses import replace

from depthrt.model.providers import AUTO_ORDER, MOST_PARALLEL, SessionOptions, untuned_options
from depthrt.model.session import offered_providers
from depthrt.system import cpu_features
from depthrt.system.cpu_cores import usable_cores


def configurations() -> list[SessionOptions]:
    """Sessions to measure: of each provider the untuned ones first, then those closest to them.

    The first row is what ``depthrt run`` does with a file where nothing is tuned, the second (the
    same, but on the CPU provider) what it does with a camera. TensorRT is left out: it builds
    engines for minutes.
    """
    offered = offered_providers()
    names = [name for name in AUTO_ORDER if name in offered]
    names += [name for name in offered if name not in (*names, "tensorrt")]
    found: list[SessionOptions] = []
    for name in names:
        cores = usable_cores()
        untuned = [untuned_options(purpose, cores) for purpose in ("throughput", "live")]
        found += [options.bound_to(name, cores) for options in untuned]
        found += {"cpu": _on_cpu, "openvino": _on_openvino}.get(name, list)()
    return list(dict.fromkeys(found))


def thread_counts() -> list[int]:
    """All usable cores and halves of that, down to 1."""
    counts = [usable_cores()]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return counts


def _on_cpu() -> list[SessionOptions]:
    """Each number of threads, with one inference at a time and with as many as fill the cores.

    On an Arm processor with bfloat16 also products in it: with all cores for one inference, and
    with one core for each of several.
    """
    counts, cores = thread_counts(), usable_cores()
    alone = [SessionOptions("cpu", n) for n in counts]
    several = [SessionOptions("cpu", n, parallel=min(cores // n, MOST_PARALLEL)) for n in counts]
    # A single thread has no other to wait for, and so never spins.
    spinning = [SessionOptions("cpu", n, spinning=True) for n in counts if n > 1]
    found = alone + several + spinning
    if cpu_features.multiplies_bfloat16():
        found += [replace(options, fast_math=True) for options in (alone[0], several[-1])]
    return found


def _on_openvino() -> list[SessionOptions]:
    """float32, and the 16-bit type where the processor has one, for each number of threads.

    There is no hint for int8: it is in the graph.
    """
    precisions = ["", cpu_features.half_type()] if cpu_features.half_type() else [""]
    threads = [None, *thread_counts()[1:]]
    return [SessionOptions("openvino", n, precision=p) for p in precisions for n in threads]
