"""Weights from a file into a network, or one sentence that says why they do not fit."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from depthrt.errors import ModelError
from depthrt.files.file_hash import file_sha256
from depthrt_export.console import quiet_torch

State = dict[str, Tensor]

_USUAL_KEYS = ("state_dict", "model_state_dict", "model", "ema", "network", "weights")
_PREFIXES = ("module.", "model.", "net.", "network.", "_orig_mod.")  # DataParallel, Lightning, ...
_SHOWN = 3


def read_state(path: Path, key: str = "", trust_code: bool = False) -> State:
    """The state dict of a ``.safetensors`` file or of a file of ``torch.save``.

    Args:
        key: where the state dict is in a nested dict, ``a.b`` for ``["a"]["b"]``; found by itself
            where only one usual key is there.
        trust_code: unpickle objects other than tensors, which runs whatever code they name.

    Raises:
        ModelError: no such file, unreadable, code inside, or no state dict in it.
    """
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}: check the path")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _find_state(_unpickle(path, trust_code), key, path)


def fit_state(module: nn.Module, state: State, path: Path) -> str:
    """Load a state dict with every name and shape fitting; weights become float32.

    Common prefixes (``module.`` of DataParallel and the like) are taken off where that makes all
    names fit. Returns the prefix that was taken off.

    Raises:
        ModelError: names are missing or unexpected, or shapes differ.
    """
    wanted = dict(module.state_dict())
    best, prefix = min(
        ((_strip(state, p), p) for p in _possible_prefixes(state)),
        key=lambda option: len(set(option[0]) ^ set(wanted)),
    )
    # Counters of batch norm are of no use to inference and absent in old checkpoints.
    missing = [n for n in wanted if n not in best and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in best if n not in wanted]
    if missing or unexpected:
        found = "; ".join(
            _listed(w, n) for w, n in (("missing", missing), ("unexpected", unexpected)) if n
        )
        raise ModelError(f"checkpoint {path} does not fit the network: {found}")
    shapes = [
        f"{n} is {tuple(best[n].shape)}, the network has {tuple(wanted[n].shape)}"
        for n in best
        if best[n].shape != wanted[n].shape
    ]
    if shapes:
        raise ModelError(
            f"checkpoint {path} does not fit the network: {len(shapes)} weights of another shape, "
            f"first {shapes[0]}"
        )
    module.load_state_dict(best, strict=False)  # only batch norm's counters may be missing
    bad = [
        n
        for n, p in module.state_dict().items()
        if p.is_floating_point() and not p.isfinite().all()
    ]
    if bad:
        raise ModelError(f"checkpoint {path} holds {_listed('non-finite weights', bad)}")
    return prefix


def checkpoint_facts(path: Path) -> dict[str, Any]:
    """Name, hash and size of the file that the weights came from."""
    return {
        "checkpoint": path.name,
        "checkpoint_sha256": file_sha256(path),
        "checkpoint_bytes": path.stat().st_size,
    }


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"checkpoint {path} is no readable safetensors file ({error})") from error


def _unpickle(path: Path, trust_code: bool) -> Any:
    try:
        with quiet_torch():
            return torch.load(path, map_location="cpu", weights_only=not trust_code)
    except Exception as error:  # torch.load raises whatever the broken archive leads to
        if not trust_code and "eights_only" in str(error):
            raise ModelError(
                f"checkpoint {path} {_code(str(error))}: save its state dict alone, or give "
                "--trust-code if you trust where it comes from"
            ) from error
        if isinstance(error, pickle.UnpicklingError):
            raise ModelError(f"checkpoint {path} is no file of torch.save or is corrupt") from error
        raise ModelError(
            f"checkpoint {path} is no file of torch.save or is corrupt ({_line(error)})"
        ) from error


def _code(refusal: str) -> str:
    """What torch would not load, as the end of a sentence."""
    if "TorchScript" in refusal:
        return "is a TorchScript file, which is code beside its weights"
    named = re.search(r"GLOBAL ([\w.]+)", refusal)
    if named:
        return f"holds code beside its weights ({named[1]})"
    return "is no plain file of torch.save, and reading it could run code"


def _find_state(content: Any, key: str, path: Path) -> State:
    if key:
        for part in key.split("."):
            if not isinstance(content, Mapping) or part not in content:
                raise ModelError(f"checkpoint {path} has no {key!r}: {_keys(content)}")
            content = content[part]
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if _is_state(content):
        return {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if isinstance(content, Mapping):
        usual = [k for k in content if k in _USUAL_KEYS and _is_state(content[k])]
        candidates = usual or [k for k in content if _is_state(content[k])]
        if len(candidates) == 1:
            return _find_state(content[candidates[0]], "", path)
        if candidates:
            names = ", ".join(str(c) for c in candidates)
            raise ModelError(
                f"checkpoint {path} holds several state dicts ({names}): choose by --key"
            )
    raise ModelError(f"checkpoint {path} holds no state dict: {_keys(content)}")


def _is_state(content: Any) -> bool:
    """Names to tensors; a few numbers between them, as some trainers leave there, do no harm."""
    if not isinstance(content, Mapping) or not content:
        return False
    tensors = sum(isinstance(value, Tensor) for value in content.values())
    return tensors > 0 and not any(isinstance(v, Mapping) and v for v in content.values())


def _keys(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"it is a {type(content).__name__}"
    shown = ", ".join(repr(k) for k in list(content)[:8])
    return f"its keys are {shown}" + (", ..." if len(content) > 8 else "")


def _possible_prefixes(state: State) -> Iterable[str]:
    """No prefix first, then those that all names share, stacked ones included."""
    prefix = ""
    while True:
        yield prefix
        step = next(
            (p for p in _PREFIXES if state and all(n.startswith(prefix + p) for n in state)), None
        )
        if step is None:
            return
        prefix += step


def _strip(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _listed(word: str, names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} {word} ({shown})"


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
