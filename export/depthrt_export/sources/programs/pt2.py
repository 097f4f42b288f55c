"""A ``torch.export`` file (.pt2) as a module, with nothing of it run that is not tensor arithmetic.

``torch.export.load`` unpickles what the file tells it to, opens compiled libraries, and evaluates
texts. Without ``--trust-code`` it is given an archive that holds what was checked, and no more.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from depthrt.errors import ModelError
from depthrt_export.console import quiet_torch
from depthrt_export.sources.programs.archive import Members, packed, read_members, untrusted
from depthrt_export.sources.programs.pt2_check import UnsafeError, checked_config, checked_program

_HARMLESS = re.compile(
    r"archive_format|archive_version|byteorder|version|\.(data|format_version).*"
)
_PROGRAM = re.compile(r"models/[\w.-]+\.json|serialized_exported_program\.json", re.ASCII)
_CONFIG = re.compile(r"data/(weights|constants)/[\w.-]+_config\.json", re.ASCII)
_TENSOR = re.compile(r"data/(weights|constants)/(weight|tensor)_\d+", re.ASCII)
_SAVED = re.compile(
    r"data/(weights|constants|sample_inputs)/[\w.-]+\.pt"
    r"|serialized_(state_dict|constants|example_inputs)\.(pt|json)",
    re.ASCII,
)


def is_exported_program(names: list[str]) -> bool:
    """Whether an archive of these members is one of ``torch.export.save``, of any version."""
    ends = ("archive_format", "serialized_exported_program.json")
    return any(name.rpartition("/")[2] in ends for name in names)


def load_pt2(path: Path, *, trust_code: bool = False) -> nn.Module:
    """Load a file of ``torch.export.save``.

    Args:
        trust_code: hand the file to torch as it is, which runs whatever code it holds.

    Raises:
        ModelError: not readable, or code in it that was not trusted.
    """
    if trust_code and zipfile.is_zipfile(path):
        return _load(path, path)
    return _load(path, checked_archive(path))


def checked_archive(path: Path) -> io.BytesIO:
    """An archive with the programs and tensors of the file, none of which can run code.

    Raises:
        ModelError: not readable, or something in it could.
    """
    members = read_members(path)
    if not is_exported_program(list(members)):
        raise ModelError(f"{path} is no readable torch.export file (no program in it)")
    pickled: set[str] = set()
    kept: Members = {}
    for name, data in members.items():
        if _PROGRAM.fullmatch(name):
            kept[name] = _checked(path, name, partial(checked_program, data))
        elif _CONFIG.fullmatch(name):
            config = _checked(path, name, partial(checked_config, data))
            folder = name.rpartition("/")[0]
            pickled |= {
                f"{folder}/{entry['path_name']}"
                for entry in config.values()
                if entry.get("use_pickle")
            }
            kept[name] = json.dumps({"config": config}).encode()
        elif _TENSOR.fullmatch(name) or _HARMLESS.fullmatch(name):
            kept[name] = data
        elif _SAVED.fullmatch(name):
            kept[name] = data
            pickled.add(name)
    for name in pickled & kept.keys():
        kept[name] = _saved_again(path, name, kept[name])
    return packed(kept, flat="serialized_exported_program.json" in kept)


def _checked(path: Path, name: str, check: Callable[[], Any]) -> Any:
    try:
        return check()
    except UnsafeError as error:
        raise untrusted(path, f"{error} (in {name})") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path} is no readable torch.export file ({name} in it is broken)"
        ) from error


def _saved_again(path: Path, name: str, data: bytes) -> bytes:
    """A pickle as torch writes it of what is in it: tensors, and containers of tensors."""
    if not data:
        return data
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the broken archive leads to
        raise untrusted(path, f"holds a pickle of more than tensors ({name})") from error
    if not _is_data(content):
        raise untrusted(path, f"holds a pickle of more than tensors ({name})")
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _is_data(content: Any) -> bool:
    if isinstance(content, (tuple, list)):
        return all(map(_is_data, content))
    if isinstance(content, dict):
        return all(map(_is_data, (*content.keys(), *content.values())))
    return content is None or isinstance(content, (Tensor, bool, int, float, str))


def _load(path: Path, archive: Path | io.BytesIO) -> nn.Module:
    try:
        with quiet_torch():
            return torch.export.load(archive).module()
    except Exception as error:  # torch.export documents no base class
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{path} is no readable torch.export file ({reason[0]})") from error
