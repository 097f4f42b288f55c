"""Weights into a network as torch loads them, or one sentence that says why they do not fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from torch import nn

from depthrt.errors import ModelError, UsageError
from depthrt_export.sources.checkpoint import State

_AVERAGED = re.compile(r"ema|teacher|average|swa", re.IGNORECASE)
_COUNTER = "num_batches_tracked"  # of batch norm: of no use to inference, absent in old checkpoints
_SHOWN = 3
_TRIED = 8  # prefixes, those first under which most names fit


@dataclass(frozen=True)
class Fitted:
    """How a state dict was fitted to a network, and what is to be said of it.

    - ``prefix``: what was taken off the names;
    - ``left_out``: names of the checkpoint that the network has no use for;
    - ``notes``: a sentence for each choice that was made.
    """

    prefix: str = ""
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def fit_state(module: nn.Module, state: State, path: Path, ignore: Sequence[str] = ()) -> Fitted:
    """Load a state dict as torch does, with every name and shape fitting; weights become float32.

    A common prefix (``module.`` of DataParallel and the like) is taken off where that makes names
    fit; what stands beside the prefix is left out. A network's own renaming of old names is used.

    Args:
        ignore: names, or patterns such as ``*.mask``, that the checkpoint may hold although the
            network does not, or of buffers that the checkpoint may lack.

    Raises:
        ModelError: names are missing or unexpected, or shapes differ.
        UsageError: a pattern of ``ignore`` fits no name.
    """
    wanted = module.state_dict()
    prefixes = _prefixes(state, set(wanted))
    problems: dict[str, list[str]] = {}
    first: ModelError | None = None
    for prefix in prefixes[:_TRIED]:
        try:
            problems = _load(module, _below(state, prefix), path, ignore)
        except ModelError as error:
            first = first or error
            continue
        if not problems:
            _require_finite(module, path)
            return _fitted(state, set(wanted), prefix, prefixes, ignore)
        first = first or _misfit(path, problems, module)
    raise first or ModelError(f"checkpoint {path} holds no weights")


def _prefixes(state: State, wanted: set[str]) -> list[str]:
    """Prefixes of the names, those first under which most of the wanted names are found."""
    counts: Counter[str] = Counter({"": sum(name in wanted for name in state)})
    for name in state:
        parts = name.split(".")
        for i in range(1, len(parts)):
            if ".".join(parts[i:]) in wanted:
                counts[".".join(parts[:i]) + "."] += 1
    # The whole dict and ordinary weights before averaged copies of them, short before long.
    return sorted(counts, key=lambda p: (-counts[p], bool(p), bool(_AVERAGED.search(p)), len(p), p))


def _below(state: State, prefix: str) -> State:
    return {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}


def _load(
    module: nn.Module, state: State, path: Path, ignore: Sequence[str]
) -> dict[str, list[str]]:
    """Load what fits; the names that are missing and those that are unexpected.

    Raises:
        ModelError: shapes differ, or torch will not load it for another reason.
    """
    wanted = module.state_dict()
    shapes = [
        f"{n} is {tuple(state[n].shape)}, the network has {tuple(v.shape)}"
        for n, v in wanted.items()
        if n in state and state[n].shape != v.shape
    ]
    kept = {n: v for n, v in state.items() if n in wanted or not _matches(n, ignore)}
    try:
        found = module.load_state_dict(kept, strict=False)
    except Exception as error:  # a network's own hooks may raise anything
        reason = (
            f"{len(shapes)} weights of another shape, first {shapes[0]}" if shapes else _line(error)
        )
        raise ModelError(f"checkpoint {path} does not fit the network: {reason}") from error
    buffers = {name for name, _ in module.named_buffers()}
    missing = [
        n
        for n in found.missing_keys
        if not n.endswith(_COUNTER) and not (n in buffers and _matches(n, ignore))
    ]
    sides = (("missing", missing), ("unexpected", list(found.unexpected_keys)))
    return {side: names for side, names in sides if names}


def _misfit(path: Path, problems: dict[str, list[str]], module: nn.Module) -> ModelError:
    found = "; ".join(_listed(side, names) for side, names in problems.items())
    buffers = {name for name, _ in module.named_buffers()}
    advice = ""
    if all(name in buffers for name in problems.get("missing", ())):
        advice = ": if the network's code has no use for them, leave them out by --ignore NAME"
    return ModelError(f"checkpoint {path} does not fit the network: {found}{advice}")


def _require_finite(module: nn.Module, path: Path) -> None:
    bad = [
        n
        for n, p in module.state_dict().items()
        if p.is_floating_point() and not p.isfinite().all()
    ]
    if bad:
        raise ModelError(f"checkpoint {path} holds {_listed('non-finite weights', bad)}")


def _fitted(
    state: State, wanted: set[str], prefix: str, prefixes: list[str], ignore: Sequence[str]
) -> Fitted:
    """What was done, in words."""
    for pattern in ignore:
        if not any(_matches(name, [pattern]) for name in (*_below(state, prefix), *wanted)):
            raise UsageError(f"--ignore {pattern}: neither checkpoint nor network has such a name")
    below = _below(state, prefix)
    waived = [n for n in below if n not in wanted and _matches(n, ignore)]
    foreign = [n for n in state if not n.startswith(prefix)]
    rivals = [
        p
        for p in prefixes
        if p != prefix and not prefix.startswith(p) and _holds_all(_below(state, p), wanted)
    ]
    notes = []
    if rivals:
        others = ", ".join(rival.rstrip(".") for rival in rivals)
        notes.append(
            f"{prefix.rstrip('.') or 'the whole file'} was taken of the checkpoint, which also "
            f"holds {others}; say --key for another"
        )
        foreign = [n for n in foreign if not n.startswith(tuple(rivals))]
    if foreign:
        notes.append(f"left out of the checkpoint, as not the network's: {_names(foreign)}")
    if waived:
        notes.append(f"left out of the checkpoint by --ignore: {_names(waived)}")
    return Fitted(prefix, (*foreign, *waived), tuple(notes))


def _holds_all(state: State, wanted: set[str]) -> bool:
    return all(name in state or name.endswith(_COUNTER) for name in wanted)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _listed(word: str, names: list[str]) -> str:
    return f"{len(names)} {word} ({_names(names)})"


def _names(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
