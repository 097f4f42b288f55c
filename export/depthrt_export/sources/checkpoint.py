"""Weights from a file, without running code that is in it."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from depthrt.errors import ModelError
from depthrt.files.file_hash import file_sha256
from depthrt_export.console import quiet_torch

State = dict[str, Tensor]

_USUAL_KEYS = ("state_dict", "model_state_dict", "model", "ema", "network", "weights")


def read_state(path: Path, key: str = "", trust_code: bool = False) -> State:
    """The state dict of a ``.safetensors`` file or of a file of ``torch.save``.

    Args:
        key: where the state dict is in a nested dict, ``a.b`` for ``["a"]["b"]``, or a prefix of
            the names in a flat one; found by itself where only one usual key is there.
        trust_code: unpickle objects other than tensors, which runs whatever code they name.

    Raises:
        ModelError: no such file, unreadable, code inside, or no state dict in it.
    """
    return read_states(path, key, trust_code)[0]


def read_states(path: Path, key: str = "", trust_code: bool = False) -> tuple[State, str]:
    """:func:`read_state`, and a sentence on the choice where the file holds several."""
    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}: check the path")
    content = (
        _read_safetensors(path) if path.suffix == ".safetensors" else _unpickle(path, trust_code)
    )
    return _find_state(content, key, path)


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
        if trust_code and isinstance(error, (AttributeError, ModuleNotFoundError)):
            raise ModelError(
                f"checkpoint {path} is a pickled network whose code is not here ({_line(error)}): "
                "save its state dict alone, torch.save(network.state_dict(), path)"
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


def _find_state(content: Any, key: str, path: Path) -> tuple[State, str]:
    """The state dict, and what is to be said where it was one of several."""
    if key:
        for part in key.split("."):
            if isinstance(content, Mapping) and part not in content:
                below = _flat_below(content, f"{part}.")
                if below:
                    content = below
                    continue
            if not isinstance(content, Mapping) or part not in content:
                raise ModelError(f"checkpoint {path} has no {key!r}: {_keys(content)}")
            content = content[part]
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if _is_state(content):
        return {name: value for name, value in content.items() if isinstance(value, Tensor)}, ""
    if isinstance(content, Mapping):
        candidates = [k for k in content if _is_state(content[k])]
        usual = [k for k in candidates if k in _USUAL_KEYS]
        if len(usual or candidates) == 1:
            (taken,) = usual or candidates
            others = ", ".join(str(k) for k in candidates if k != taken)
            note = (
                f"{taken} was taken of the checkpoint, which also holds {others}; "
                "say --key for another"
            )
            return _find_state(content[taken], "", path)[0], note if others else ""
        if candidates:
            names = ", ".join(str(c) for c in candidates)
            raise ModelError(
                f"checkpoint {path} holds several state dicts ({names}): choose by --key"
            )
    raise ModelError(f"checkpoint {path} holds no state dict: {_keys(content)}")


def _flat_below(content: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
    """The entries of a flat state dict whose names begin so, without it."""
    named = ((str(name), value) for name, value in content.items())
    return {n.removeprefix(prefix): v for n, v in named if n.startswith(prefix)}


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


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
