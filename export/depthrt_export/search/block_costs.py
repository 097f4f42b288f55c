"""What each block of a network costs as int8: its time, and how much exactness it loses.

Time comes from onnxruntime's own profile. Int8 pays by the kernel: a convolution that sums many
products for each number is two to three times as fast, one that sums few (depthwise, few channels)
may be slower than in float, for each result is scaled and rounded. Which is which depends on the
processor. Exactness is measured on real frames that calibration never saw.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray

from depthrt.model.providers import SessionOptions
from depthrt.model.session import (
    import_onnxruntime,
    needs_exact_sums,
    session_options,
    sum_exactly,
)

KernelTimer: TypeAlias = Callable[[Sequence[Path], NDArray[np.uint8]], list[dict[str, float]]]
"""Times the kernels of files side by side on one prepared frame (3,h,w): by node, microseconds."""

BlockErrors: TypeAlias = Mapping[str, float]
"""Error of the network with this block alone quantised; blocks that could not be are 0."""

_RUNS = 24
_QUANTILE = 25  # what disturbs a kernel makes it slower, never faster
_PAYS = 0.95
_ENDS = re.compile(r"(_kernel_time|_token_\d+|_nchwc|_quant)+$")


def kernel_times(paths: Sequence[Path], image: NDArray[np.uint8]) -> list[dict[str, float]]:
    """Microseconds of every kernel of the files on one thread of the CPU, run in turn."""
    with tempfile.TemporaryDirectory() as folder:
        sessions = [_session(path, Path(folder) / str(i)) for i, path in enumerate(paths)]
        for _ in range(_RUNS):
            for session in sessions:
                batch = session.get_inputs()[0].shape[0]
                count = batch if isinstance(batch, int) else 1
                session.run(["depth"], {"image": np.repeat(image[None], count, axis=0)})
        return [_read(Path(session.end_profiling())) for session in sessions]


def _session(path: Path, prefix: Path) -> Any:
    """A session as depthrt opens it, with a profile."""
    ort = import_onnxruntime()
    settings = session_options(SessionOptions("cpu", threads=1))
    session = ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    if needs_exact_sums(session):
        sum_exactly(settings)
    settings.enable_profiling = True
    settings.profile_file_prefix = str(prefix)
    return ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])


def _read(profile: Path) -> dict[str, float]:
    durations: dict[str, list[float]] = defaultdict(list)
    for event in json.loads(profile.read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith("_kernel_time"):
            durations[event["name"]].append(float(event["dur"]))
    profile.unlink()
    return {name: float(np.percentile(found, _QUANTILE)) for name, found in durations.items()}


def block_times(
    graph: onnx.GraphProto, groups: Mapping[str, Sequence[str]], kernels: Mapping[str, float]
) -> dict[str, float]:
    """Microseconds of every block, from the kernels of a graph made of this one.

    onnxruntime names a kernel after the node or the tensor that it comes from, with an ending; what
    can be traced to no block is left out.
    """
    owner = _owners(graph, groups)
    longest = sorted(owner, key=len, reverse=True)
    times = dict.fromkeys(groups, 0.0)
    for kernel, time in kernels.items():
        name = _ENDS.sub("", kernel)
        known = name if name in owner else next((o for o in longest if _begins(name, o)), None)
        if known is not None:
            times[owner[known]] += time
    return times


def _owners(graph: onnx.GraphProto, groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The block of every node and tensor; what stands before all blocks belongs to its reader."""
    block = {node: name for name, nodes in groups.items() for node in nodes}
    owner: dict[str, str] = {}
    for node in reversed(graph.node):
        name = block.get(node.name) or next((owner[o] for o in node.output if o in owner), None)
        if name is None:
            continue
        owner[node.name] = name
        owner.update(dict.fromkeys((o for o in node.output if o), name))
        for taken in filter(None, node.input):  # the maker of a tensor, reached later, tells better
            owner.setdefault(taken, name)
    return owner


def _begins(name: str, owner: str) -> bool:
    """Whether a name is an owner's with something added."""
    return name.startswith(owner) and not name[len(owner)].isalnum()


def without_shared(
    before: Mapping[str, float], after: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Both without the kernels that they share, such as float attention: what int8 changes."""
    return (
        {name: time for name, time in before.items() if name not in after},
        {name: time for name, time in after.items() if name not in before},
    )


def int8_over_float(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Time of every block over float32's; 1 where neither could be traced."""
    return {name: round(after[name] / t, 3) if t > 0 else 1.0 for name, t in before.items()}


def unpaid(ratios: Mapping[str, float]) -> tuple[str, ...]:
    """The blocks whose kernels gain nothing by int8, in the order of the network."""
    return tuple(name for name, ratio in ratios.items() if ratio > _PAYS)


def block_errors(
    names: Sequence[str],
    error_of: Callable[[Sequence[str]], float | None],
    late: Callable[[], bool],
) -> dict[str, float]:
    """Quantise one block at a time, all others float.

    One at a time costs one run a block, and the errors of independent blocks add up in squares,
    which :func:`expected_error` relies on. (All but one would hide a weak block behind others.)

    Args:
        error_of: error with these blocks left in float; None where nothing is left to quantise.
        late: whether the time is up; the blocks not reached are missing.
    """
    errors: dict[str, float] = {}
    for name in names:
        if late():
            break
        error = error_of([other for other in names if other != name])
        errors[name] = 0.0 if error is None else error
    return errors


def ranked(errors: BlockErrors) -> list[str]:
    """The blocks, the most sensitive first; equal ones in the order of the network."""
    order = list(errors)
    return sorted(order, key=lambda name: (-errors[name], order.index(name)))


def expected_error(errors: BlockErrors, spared: Sequence[str], measured: float) -> float:
    """Error to expect with these blocks in float, from that with all of them quantised."""
    total = sum(e * e for e in errors.values())
    left = sum(e * e for name, e in errors.items() if name not in set(spared))
    return measured * (left / total) ** 0.5 if total > 0 else measured


def counts(errors: BlockErrors, measured: float, allowed: float) -> list[int]:
    """How many of the most sensitive blocks to spare, in the order to try.

    Begins at the first count of which somewhat more than the allowed error is expected, and grows
    by one, then by a quarter.
    """
    order = ranked(errors)
    most = len(order) - 1
    first = next(
        (k for k in range(1, most + 1) if expected_error(errors, order[:k], measured) <= allowed),
        most,
    )
    tried, count = [], max(1, first - 1)
    while count <= most:
        tried.append(count)
        count = max(count + 1, round(count * 1.25))
    return tried
